"""The commands and their options. Bodies are imported when a command runs: `o2c --help` answers in 300 ms."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from order_to_cash.cli.demo_place import remind
from order_to_cash.cli.events import events
from order_to_cash.cli.group import O2CGroup
from order_to_cash.cli.ladder import ladder

app = typer.Typer(
    cls=O2CGroup,
    name="o2c",
    help="Order to cash between Salesforce and Stripe: won deals become sent invoices.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
salesforce = typer.Typer(no_args_is_help=True, help="The Salesforce package.")
held = typer.Typer(no_args_is_help=True, help="Records that are held until someone corrects them.")
audit = typer.Typer(no_args_is_help=True, help="The record of every outside call.")
catalog = typer.Typer(no_args_is_help=True, help="Salesforce products and Stripe prices.")
webhooks = typer.Typer(no_args_is_help=True, help="The endpoint at Stripe that points to `o2c receive`.")
config = typer.Typer(no_args_is_help=True, help="The settings in force.")
for name, group in {
    "salesforce": salesforce,
    "catalog": catalog,
    "events": events,
    "ladder": ladder,
    "held": held,
    "webhooks": webhooks,
    "audit": audit,
    "config": config,
}.items():
    app.add_typer(group, name=name)
app.add_typer(held, name="quarantine", hidden=True)  # what it was called before


class Mode(StrEnum):
    """`plan` shows what would be billed and touches nothing; `apply` bills."""

    PLAN = "plan"
    APPLY = "apply"


@app.callback()
def options(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
) -> None:
    del debug  # read by O2CGroup
    remind(context.invoked_subcommand)


@app.command()
def status() -> None:
    """Show how the work does: deals, events, webhooks, calls, alerts."""
    from order_to_cash.cli import status as command
    from order_to_cash.settings import load_settings

    command.show(load_settings())


@app.command()
def version() -> None:
    """Print the version."""
    from importlib.metadata import version as installed

    typer.echo(f"o2c {installed('order-to-cash')}")


@app.command()
def demo(
    exit_when_done: Annotated[
        bool, typer.Option("--exit", help="Stop by itself; status 0 only if every outcome is as told.")
    ] = False,
) -> None:
    """Show all of it against the emulators: no account, no sign-up."""
    from order_to_cash.cli import demo as command

    command.run(exit_when_done=exit_when_done)


@app.command()
def up() -> None:
    """Run everything on this machine: Prefect server, receiver, drain and worker."""
    from order_to_cash.cli import up as command
    from order_to_cash.settings import load_settings

    command.run(load_settings())


@app.command()
def emulators(
    stripe_port: Annotated[int, typer.Option(min=0, max=65535)] = 12111,
    salesforce_port: Annotated[int, typer.Option(min=0, max=65535)] = 12112,
    slack_port: Annotated[int, typer.Option(min=0, max=65535)] = 12113,
    mail_port: Annotated[int, typer.Option(min=0, max=65535, help="The mailbox, over HTTP.")] = 12114,
    smtp_port: Annotated[int, typer.Option(min=0, max=65535)] = 12115,
) -> None:
    """Run the local stand-ins for Stripe, Salesforce, Slack and a mail server."""
    from order_to_cash.cli import stand_ins as command

    command.run(
        {
            "stripe": stripe_port,
            "salesforce": salesforce_port,
            "slack": slack_port,
            "mail": mail_port,
            "smtp": smtp_port,
        }
    )


@app.command()
def init() -> None:
    """Make what the settings describe: the ledger's tables and the Prefect blocks. Safe to repeat."""
    from order_to_cash.cli import init as command
    from order_to_cash.settings import load_settings

    command.run(load_settings())


@app.command()
def drain(
    once: Annotated[bool, typer.Option("--once", help="Look once, bill what is there, and stop.")] = False,
) -> None:
    """Bill won deals and apply what Stripe said, as one warm, long-lived process."""
    from order_to_cash.cli import drain as command
    from order_to_cash.settings import load_settings

    command.run(load_settings(), once=once)


@app.command()
def receive() -> None:
    """Take what Stripe and Salesforce send, and store it; the drain applies it."""
    from order_to_cash.cli import receive as command
    from order_to_cash.settings import load_settings

    command.run(load_settings())


@app.command()
def bill(
    opportunity_ids: Annotated[
        list[str] | None, typer.Argument(help="Salesforce ids; none: every won deal that is not billed.")
    ] = None,
    mode: Annotated[
        Mode, typer.Option(help="plan shows what would be billed and touches nothing; apply bills.")
    ] = Mode.PLAN,
    approved_by: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Who approves a run, or a single deal, that is larger than the policy allows.",
        ),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show the run's log lines as well.")] = False,
) -> None:
    """Bill won deals, or show what billing them would do."""
    from order_to_cash.cli import bill as command
    from order_to_cash.settings import load_settings

    ids = tuple(opportunity_ids or ())
    command.run(load_settings(), ids, mode=mode.value, approved_by=approved_by, verbose=verbose)


@app.command()
def doctor() -> None:
    """Check settings, ledger, Stripe, Salesforce, Slack and Prefect; say what to do about each failure."""
    from order_to_cash.cli import doctor as command

    raise typer.Exit(command.run())


@salesforce.command("deploy")
def salesforce_deploy(
    check: Annotated[bool, typer.Option("--check", help="Dry run: validate, change nothing.")] = False,
    assign_integration_user: Annotated[
        str, typer.Option(metavar="USERNAME", help="Give this user the permission set O2C_Integration.")
    ] = "",
) -> None:
    """Deploy our fields, objects and permission sets to the org."""
    from order_to_cash.cli import salesforce as command
    from order_to_cash.settings import load_settings

    command.deploy(load_settings(), check_only=check, assign_to=assign_integration_user)


@catalog.command("match")
def catalog_match(
    apply: Annotated[bool, typer.Option("--apply", help="Write Stripe_Price_Id__c on what matched.")] = False,
) -> None:
    """Match Salesforce products with Stripe prices and list what does not match."""
    from order_to_cash.cli import catalog as command
    from order_to_cash.settings import load_settings

    command.match(load_settings(), apply=apply)


@held.command("list")
def held_list() -> None:
    """List the records that are held: since when, whose, why, and what to do."""
    from order_to_cash.cli import held as command
    from order_to_cash.settings import load_settings

    command.list_held(load_settings())


@webhooks.command("show")
def webhooks_show() -> None:
    """List the endpoints at Stripe: whether they are on, their version, and which types of events they lack."""
    from order_to_cash.cli import webhooks as command
    from order_to_cash.settings import load_settings

    command.show(load_settings())


@webhooks.command("ensure")
def webhooks_ensure(
    url: Annotated[str, typer.Option(help="The receiver's public address, ending in /stripe/webhook.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done; change nothing.")
    ] = False,
) -> None:
    """Have Stripe send every type of event that is handled to the receiver; tells a new endpoint's secret once."""
    from order_to_cash.cli import webhooks as command
    from order_to_cash.settings import load_settings

    command.ensure(load_settings(), url, dry_run=dry_run)


@audit.command("list")
def audit_list(
    system: Annotated[str, typer.Option(help="stripe, salesforce or slack; empty: all.")] = "",
    reference: Annotated[
        str, typer.Option(help="A run, record id, request id, audit id or idempotency key.")
    ] = "",
    writes: Annotated[
        bool, typer.Option("--writes", help="Only calls that may have changed something.")
    ] = False,
    every: Annotated[
        bool,
        typer.Option("--every", help="A line for every call, also of those that only repeat a question."),
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many lines.")] = 50,
) -> None:
    """List the newest outside calls. The same question asked again and again is one line."""
    from order_to_cash.cli import records as command
    from order_to_cash.settings import load_settings

    command.audit_list(
        load_settings(), system=system, reference=reference, writes=writes, every=every, limit=limit
    )


@audit.command("seal")
def audit_seal() -> None:
    """Chain the rows that are not sealed yet, so that a later edit shows."""
    from order_to_cash.cli import records as command
    from order_to_cash.settings import load_settings

    command.audit_seal(load_settings())


@audit.command("verify")
def audit_verify(
    head: Annotated[
        str, typer.Option(help="A head that `o2c audit seal` printed: also finds a rewritten chain.")
    ] = "",
) -> None:
    """Recompute the chain; status 1 and the first broken row when something was edited or removed."""
    from order_to_cash.cli import records as command
    from order_to_cash.settings import load_settings

    raise typer.Exit(command.audit_verify(load_settings(), head))


@config.command("show")
def config_show() -> None:
    """Show every setting, secrets masked, and where it can be set."""
    from order_to_cash.cli import configuration as command
    from order_to_cash.settings import load_settings

    command.show(load_settings())
