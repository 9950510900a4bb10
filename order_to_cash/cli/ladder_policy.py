"""`o2c ladder policy`: the command and its options. What it does stands in `ladder_policy_kept`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

policy = typer.Typer(
    invoke_without_command=True,
    help="The dunning policy. Without a command: print the default one as JSON, to start one's own from.",
)

File = Annotated[
    Path,
    typer.Argument(metavar="FILE", exists=True, dir_okay=False, readable=True, help="JSON or YAML."),
]


@policy.callback()
def ladder_policy(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        from order_to_cash.cli import ladder_simulated as command

        command.show_policy()


@policy.command("show")
def ladder_policy_show() -> None:
    """Print the policy in force as JSON: what the Dunning Policy block in Prefect says."""
    from order_to_cash.cli import ladder_policy_kept as command
    from order_to_cash.settings import load_settings

    command.show(load_settings())


@policy.command("check")
def ladder_policy_check(path: File) -> None:
    """Say whether a policy is valid, show its steps, and warn of what does not go together. Touches nothing."""
    from order_to_cash.cli import ladder_policy_kept as command
    from order_to_cash.settings import load_settings

    command.check(load_settings(), path)


@policy.command("apply")
def ladder_policy_apply(path: File) -> None:
    """Save a policy to the Dunning Policy block: ladders that begin from then on go by it."""
    from order_to_cash.cli import ladder_policy_kept as command
    from order_to_cash.settings import load_settings

    command.apply(load_settings(), path)
