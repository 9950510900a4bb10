"""The dunning policy in force: shown, a file checked, a file saved to the block in Prefect."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from order_to_cash.cli.init import require_prefect, use_prefect
from order_to_cash.cli.ladder_policy_file import PolicyFile, read_policy_file
from order_to_cash.cli.ladder_simulated import show_warnings
from order_to_cash.cli.output import show_table
from order_to_cash.cli.wiring import make_clock, open_ledger
from order_to_cash.domain.dunning.policy import DunningPolicy, Ladder
from order_to_cash.domain.dunning.reading import read_policy
from order_to_cash.domain.dunning.reasons import why_then
from order_to_cash.domain.dunning.simulate import Scenario, final_action_after, simulate
from order_to_cash.domain.errors import ConfigurationError
from order_to_cash.gateways.mail_templates import MailTemplates
from order_to_cash.settings import Settings

if TYPE_CHECKING:
    from blocks.dunning_policy import DunningPolicyBlock

# A Tuesday morning within most people's hours: no weekend lies near the first steps.
_TUESDAY = datetime(2026, 3, 3, 10, tzinfo=UTC)
_RETRIES = tuple(timedelta(days=day) for day in (1, 3, 5))


def show(settings: Settings) -> None:
    """Print what the block says. Raises ConfigurationError, Unavailable."""
    block = asyncio.run(_block(settings))
    typer.echo(json.dumps(block.policy, indent=2))
    if not block.enabled:
        typer.secho(
            "Ladders are off: no ladder goes by it. Switch them on in the block.", fg="yellow", err=True
        )


def check(settings: Settings, path: Path) -> None:
    """Print its steps and what does not go together. What is wrong with it is told with status 2."""
    policy = read_policy_file(path, "FILE").policy
    typer.echo(f"Policy {policy.name} is valid: version {policy.version}. Nothing is touched.\n")
    _show_steps(policy)
    _show_warnings(policy)
    _show_missing_templates(settings, policy)
    typer.echo(f"\nNext: o2c ladder simulate --policy {path}, then o2c ladder policy apply {path}")


def apply(settings: Settings, path: Path) -> None:
    """Save it. Raises ConfigurationError, Unavailable."""
    file = read_policy_file(path, "FILE")
    _keep(settings, file.policy)
    before, enabled = asyncio.run(_save(settings, file))
    said = f"policy {file.policy.name}, version {file.policy.version}"
    if before == file.policy.version:
        typer.echo(f"Unchanged: {said}.")
    else:
        typer.echo(f"Saved: {said}{f'; before: {before}' if before else ''}.")
        _show_warnings(file.policy)
        _show_missing_templates(settings, file.policy)
        _tell_of_open_ladders(settings)
    if not enabled:
        typer.secho("Ladders are off: switch them on in the Dunning Policy block.", fg="yellow", err=True)


def _keep(settings: Settings, policy: DunningPolicy) -> None:
    """The ledger keeps each version: a restored one may have lost that of a ladder which began with it."""
    require_prefect(settings)
    with open_ledger(settings, make_clock(settings)) as ledger:
        ledger.ladders.keep_policy(policy.version, policy.model_dump(mode="json"), policy.name)


def _tell_of_open_ladders(settings: Settings) -> None:
    with open_ledger(settings, make_clock(settings)) as ledger:
        count = sum(ledger.ladders.counts().values())
    typer.echo("Ladders that begin from now on go by it; a drain that runs takes it up within a minute.")
    if count:
        whose = "The ladder that is open keeps" if count == 1 else f"The {count} open ladders keep"
        typer.echo(f"{whose} the version from the beginning.")


async def _save(settings: Settings, file: PolicyFile) -> tuple[str, bool]:
    """The version before, "" where that was no valid one, and whether ladders are on."""
    block = await _block(settings)
    try:
        before = read_policy(block.policy).version
    except ConfigurationError:
        before = ""
    if block.policy != file.data:
        from blocks.registry import BLOCK_NAME

        block.policy = dict(file.data)
        await block.asave(BLOCK_NAME, overwrite=True)
    return before, block.enabled


async def _block(settings: Settings) -> DunningPolicyBlock:
    require_prefect(settings)
    use_prefect(settings)
    from blocks.dunning_policy import DunningPolicyBlock
    from blocks.registry import BLOCK_NAME

    try:
        block: DunningPolicyBlock = await DunningPolicyBlock.aload(BLOCK_NAME)
    except ValueError:
        raise ConfigurationError(
            "Prefect has no Dunning Policy block yet.",
            code="block_missing",
            remedy="Run `o2c init`, then again.",
        ) from None
    return block


def _show_steps(policy: DunningPolicy) -> None:
    rows = [
        *_steps("charged", policy.charged),
        *_steps("sent", policy.sent),
    ]
    show_table(("invoices", "step", "title", "when", "what"), rows)
    typer.echo("")


def _steps(kind: str, ladder: Ladder) -> Iterator[tuple[str, ...]]:
    for step in ladder.steps:
        actions = ", ".join(action.kind.replace("_", " ") for action in step.actions)
        yield kind, step.key, step.name, why_then(step, ladder), actions


def _show_warnings(policy: DunningPolicy) -> None:
    """Against Stripe's usual retries, for a charged invoice and for a sent one."""
    for sent in (False, True):
        scenario = Scenario(
            starts=policy.contact_hours.next_open(_TUESDAY, policy.contact_hours.zone()),
            retries=() if sent else _RETRIES,
            cancel_after=final_action_after(policy, sent=sent),
            sent=sent,
        )
        show_warnings(simulate(scenario, policy), policy)


def _show_missing_templates(settings: Settings, policy: DunningPolicy) -> None:
    """Steps whose mail could not be written here. Where the drain runs, O2C_MAIL_TEMPLATES may name another folder."""
    known = MailTemplates(settings.mail_templates).names()
    for ladder in (policy.charged, policy.sent):
        for step in ladder.steps:
            for action in step.actions:
                if action.template and action.template not in known:
                    typer.secho(
                        f"Step {step.key}: there is no mail template {action.template}. Put it into "
                        f"O2C_MAIL_TEMPLATES, or name one of these: {', '.join(known)}.",
                        fg="yellow",
                        err=True,
                    )
