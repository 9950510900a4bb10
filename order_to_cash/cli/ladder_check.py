"""What `o2c doctor` finds of dunning: mail, the policy in force, deployments, and ladders that do not climb."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

from order_to_cash.cli.output import Finding
from order_to_cash.cli.status import ladder_counts
from order_to_cash.cli.wiring import make_clock
from order_to_cash.domain.dunning.policy import DunningPolicy
from order_to_cash.domain.dunning.steps import ActionKind
from order_to_cash.settings import Settings

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

DEPLOYMENTS = ("dunning-ladder", "sweep-ladders", "hold-ladder", "recovery-report")


def check_mail(settings: Settings) -> Iterator[Finding]:
    """That the mail server takes us. Sends nothing."""
    if not settings.smtp_enabled:
        yield Finding(
            True,
            "mail",
            "off: no server and sender set",
            "Set O2C_SMTP_HOST and O2C_SMTP_FROM. Until then each mail of a ladder is a Task for its owner instead.",
        )
        return
    from blocks.smtp_server import SmtpServer

    SmtpServer.from_settings(settings).get_client().check()
    elsewhere = f"; everything goes to {settings.smtp_redirect_to}" if settings.smtp_redirect_to else ""
    yield Finding(True, "mail", f"{settings.smtp_host}:{settings.smtp_port}{elsewhere}")


def check_ladders(settings: Settings) -> Iterator[Finding]:
    """That no ladder is late, and none failed at its last try. Reads the ledger alone."""
    from order_to_cash.ledger.ledger import Ledger

    clock = make_clock(settings)
    with Ledger.open(settings.ledger_address, clock=clock, environment=settings.environment) as ledger:
        if not ledger.is_current():
            return  # said already
        counts = ladder_counts(ledger, clock.now())
    if counts.late:
        yield Finding(
            False,
            "ladders",
            f"{counts.late} late: nobody took them up",
            "Start `o2c drain` or `o2c up`; `o2c ladder list --overdue` shows them.",
        )
    if counts.failing:
        yield Finding(
            False,
            "ladders",
            f"{counts.failing} failed at their last try, one of them: {counts.first_reason}",
            "`o2c ladder list --failing` shows each with its reason. They are tried again.",
        )
    if not (counts.late or counts.failing):
        number = counts.waiting + counts.held + counts.resting
        yield Finding(True, "ladders", f"{number} open, none late, none failing")


def prefect_findings(settings: Settings) -> Iterator[Finding]:
    """That the policy in force is one, that it can do what it says, and that its deployments are registered."""
    policy = asyncio.run(_policy())
    if policy is None:
        yield Finding(True, "ladders", "off: the Dunning Policy block is missing or switched off")
        return
    yield Finding(True, "ladders", f"policy {policy.name}, version {policy.version}")
    channels = {ActionKind.SLACK, ActionKind.EXECUTIVE_ALERT}
    if not settings.slack_enabled and any(
        step.kinds & channels for ladder in (policy.charged, policy.sent) for step in ladder.steps
    ):
        yield Finding(
            True,
            "ladders",
            "steps post to Slack, and no channel is set",
            "Set O2C_SLACK_BOT_TOKEN and O2C_SLACK_CHANNEL, or take these actions out of the policy.",
        )
    missing = asyncio.run(_missing())
    if missing:
        yield Finding(
            True,
            "ladders",
            f"not registered in Prefect: {', '.join(missing)}",
            "`o2c up` or `prefect deploy --all` registers them. Until then only a running drain takes ladders.",
        )


async def _policy() -> DunningPolicy | None:
    """Raises ConfigurationError naming what is wrong."""
    from blocks.dunning_policy import DunningPolicyBlock
    from blocks.registry import BLOCK_NAME

    try:
        block: DunningPolicyBlock = await DunningPolicyBlock.aload(BLOCK_NAME)
    except ValueError:
        return None
    return block.chosen()


async def _missing() -> list[str]:
    from prefect.client.orchestration import get_client

    async with get_client() as client:
        known = await _known(client)
    return [name for name in DEPLOYMENTS if name not in known]


async def _known(client: PrefectClient) -> set[str]:
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName

    ours = DeploymentFilter(name=DeploymentFilterName(any_=list(DEPLOYMENTS)))
    return {one.name for one in await client.read_deployments(deployment_filter=ours)}
