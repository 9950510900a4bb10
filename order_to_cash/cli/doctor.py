"""`o2c doctor`: everything that must fit together, each line ok or what to do about it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from order_to_cash.cli.field_check import check_fields
from order_to_cash.cli.ladder_check import check_ladders, check_mail, prefect_findings
from order_to_cash.cli.ladder_preview import check_templates
from order_to_cash.cli.output import Finding, show_findings
from order_to_cash.cli.wiring import (
    make_clock,
    make_home,
    require_emulators,
    salesforce_gateway,
    stripe_gateway,
)
from order_to_cash.domain.audit import NoAudit
from order_to_cash.domain.errors import O2CError
from order_to_cash.domain.records import Environment
from order_to_cash.settings import Settings, load_settings

ACTOR = "o2c doctor"
Check = Callable[[Settings], Iterator[Finding]]


def run(env_file: Path | None = Path(".env")) -> int:
    """Print all findings; 1 when something failed, else 0. Changes nothing outside."""
    return show_findings(examine(env_file))


def examine(env_file: Path | None = Path(".env")) -> Iterator[Finding]:
    """One finding after the other. Wrong settings end it: the rest would be about something else."""
    try:
        settings = load_settings(env_file)
    except O2CError as error:
        yield _failed("settings", error)
        return
    yield Finding(True, "settings", f"environment {settings.environment}")
    from order_to_cash.cli.init import use_prefect

    use_prefect(settings)  # some checks import what imports Prefect, which then asks a server of its own
    checks: dict[str, Check] = {
        "ledger": check_ledger,
        "stripe": check_stripe,
        "webhooks": check_webhooks,
        "salesforce": check_salesforce,
        "slack": check_slack,
        "mail": check_mail,
        "templates": check_templates,
        "ladders": check_ladders,
        "prefect": check_prefect,
    }
    try:
        require_emulators(settings)
    except O2CError as error:
        yield _failed("emulators", error)
        checks = {"prefect": check_prefect}  # the others would only say the same
    for subject, check in checks.items():
        try:
            yield from check(settings)
        except O2CError as error:
            yield _failed(subject, error)


def check_ledger(settings: Settings) -> Iterator[Finding]:
    """That it opens, is of this environment, and has its tables."""
    from order_to_cash.ledger.ledger import Ledger
    from order_to_cash.ledger.migrate import has_tables

    make_home(settings)
    clock = make_clock(settings)
    with Ledger.open(settings.ledger_address, clock=clock, environment=settings.environment) as ledger:
        if not has_tables(ledger.database):
            yield Finding(False, "ledger", "has no tables yet", "Run `o2c init`.")
            return
        kind = ledger.database.url.get_backend_name()
        yield Finding(True, "ledger", f"{kind}, {len(ledger.quarantine.open())} records held")


def check_stripe(settings: Settings) -> Iterator[Finding]:
    """That the key works and has the rights that are needed."""
    account, missing = asyncio.run(_ask_stripe(settings))
    yield Finding(True, "stripe", f"account {account}")
    real = settings.environment is not Environment.EMULATOR
    if real and settings.stripe_api_key.get_secret_value().startswith("sk_"):
        yield Finding(
            True,
            "stripe",
            "the key may do everything",
            "Better: a restricted key (rk_…) with the rights that .env.example names.",
        )
    for right in missing:
        yield Finding(
            False, "stripe", f"the key lacks {right}", "Add it to the restricted key in the Dashboard."
        )
    if not missing:
        yield Finding(True, "stripe", "the key has every right that is needed")


async def _ask_stripe(settings: Settings) -> tuple[str, list[str]]:
    gateway = stripe_gateway(settings, NoAudit(), ACTOR)
    try:
        return await gateway.account_id(), await gateway.missing_permissions()
    finally:
        await gateway.aclose()


def check_webhooks(settings: Settings) -> Iterator[Finding]:
    """That Stripe sends what is handled to an endpoint that is on."""
    from order_to_cash.cli.webhooks import findings

    yield from findings(settings)


def check_salesforce(settings: Settings) -> Iterator[Finding]:
    """The login, the org, the day's calls; each field there, visible, and writable where it is written."""
    gateway = salesforce_gateway(settings, NoAudit(), ACTOR)
    try:
        yield Finding(True, "salesforce", f"org {gateway.org_id()}")
        calls = gateway.limits()["DailyApiRequests"]
        left, most = int(calls["Remaining"]), int(calls["Max"])
        enough = left * 5 >= most  # a fifth is held in reserve
        yield Finding(
            enough,
            "salesforce",
            f"{left:,} of {most:,} API calls left today",
            "" if enough else "Wait for the rolling 24 hours, or find out what uses them up in Setup.",
        )
        yield from check_fields(gateway, settings.field_names)
    finally:
        gateway.close()


def check_slack(settings: Settings) -> Iterator[Finding]:
    """That token and channel work. Posts nothing."""
    if not settings.slack_enabled:
        yield Finding(True, "slack", "off: no token and channel set")
        return
    from order_to_cash.gateways.slack_gateway import SlackGateway

    address: dict[str, Any] = {"base_url": settings.slack_base_url} if settings.slack_base_url else {}
    gateway = SlackGateway(
        token=settings.slack_bot_token,
        environment=settings.environment,
        audit=NoAudit(),
        actor=ACTOR,
        **address,
    )
    try:
        # Looking for a message exercises token, scopes and membership without posting.
        gateway.find(settings.slack_channel, ACTOR)
    finally:
        gateway.close()
    yield Finding(True, "slack", f"channel {settings.slack_channel}")


def check_prefect(settings: Settings) -> Iterator[Finding]:
    """That the API answers and its blocks say what the settings say."""
    from order_to_cash.cli.init import require_prefect

    require_prefect(settings)
    yield Finding(True, "prefect", settings.prefect_api_url)
    from blocks.registry import BLOCK_NAME, BlockState, compare

    for report in asyncio.run(compare(settings)):
        subject = f"block {report.slug}/{BLOCK_NAME}"
        if report.state is BlockState.UNCHANGED:
            yield Finding(True, "prefect", f"{subject} as in the settings")
        else:
            said = "does not exist" if report.state is BlockState.CREATED else "differs from the settings in "
            yield Finding(False, "prefect", f"{subject} {said}{', '.join(report.fields)}", "Run `o2c init`.")
    yield from _alert_findings(settings)
    yield from prefect_findings(settings)


def _alert_findings(settings: Settings) -> Iterator[Finding]:
    from order_to_cash.cli.automations import missing

    absent = asyncio.run(missing(settings))
    if absent is None:
        yield Finding(
            True, "alerts", "off: no Slack channel is set, and no other notification block is named"
        )
    elif absent:
        yield Finding(False, "alerts", f"without automation: {', '.join(absent)}", "Run `o2c init`.")
    else:
        yield Finding(True, "alerts", "every alert has its automation in Prefect")


def _failed(subject: str, error: O2CError) -> Finding:
    return Finding(False, subject, f"{error.message} [{error.code}]", error.remedy)
