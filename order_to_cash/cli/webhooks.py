"""`o2c webhooks`: the endpoint at Stripe that points to `o2c receive`, shown, made and corrected."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import typer

from order_to_cash.cli import emulated_webhooks
from order_to_cash.cli.output import Finding, show_table
from order_to_cash.cli.wiring import open_ledger, require_emulators, stripe_gateway
from order_to_cash.domain.audit import AuditSink, NoAudit
from order_to_cash.domain.errors import PermissionMissing
from order_to_cash.domain.records import Environment
from order_to_cash.domain.sync.handled import HANDLED
from order_to_cash.settings import Settings

if TYPE_CHECKING:
    from order_to_cash.gateways.stripe_endpoints import WebhookEndpoint
    from order_to_cash.gateways.stripe_gateway import StripeGateway

T = TypeVar("T")

RECEIVER_PATH = "/stripe/webhook"
SECRETS_VARIABLE = "O2C_STRIPE_WEBHOOK_SECRETS"
ACTOR = "o2c webhooks"
_MOST_SHOWN = 5
_MAKE = "`o2c webhooks ensure --url https://…/stripe/webhook`"


def show(settings: Settings) -> None:
    """Print every endpoint: whether it is on, in which version it speaks, what it lacks."""
    require_emulators(settings)
    with open_ledger(settings) as ledger:
        found = asyncio.run(_with(settings, ledger.audit, lambda gateway: gateway.webhook_endpoints()))
    if not found:
        typer.echo(
            "Stripe has no webhook endpoint. Make one: o2c webhooks ensure --url https://…/stripe/webhook"
        )
        return
    rows = [
        (
            one.endpoint_id,
            "enabled" if one.enabled else "disabled",
            one.api_version or "the account's",
            _lacking(one),
            one.url,
        )
        for one in found
    ]
    show_table(("endpoint", "status", "version", "lacks", "url"), rows)


def ensure(settings: Settings, url: str, *, dry_run: bool) -> None:
    """Have exactly the handled types sent to `url`: the endpoint is made, switched on or corrected.

    Raises typer.BadParameter for an address that Stripe cannot send to.
    """
    wanted = checked_url(url, settings.environment)
    require_emulators(settings)
    with open_ledger(settings) as ledger:
        asyncio.run(_with(settings, ledger.audit, lambda gateway: _ensure(gateway, wanted, dry_run)))


async def _ensure(gateway: StripeGateway, url: str, dry_run: bool) -> None:
    known = next((one for one in await gateway.webhook_endpoints() if _same(one.url, url)), None)
    changes = _changes(known) if known else []
    if known is not None and not changes:
        typer.echo(f"{known.endpoint_id} is as it should be.")
    elif dry_run and known is not None:
        typer.echo(f"{known.endpoint_id} would be changed: {', '.join(changes)}. Nothing was changed.")
    elif dry_run:
        typer.echo(f"An endpoint would be made that sends {len(HANDLED)} types of events to {url}.")
        typer.echo("Nothing was changed.")
    elif known is not None:
        await gateway.update_webhook_endpoint(known, HANDLED)
        typer.echo(f"{known.endpoint_id} is changed: {', '.join(changes)}.")
    else:
        _made(await gateway.create_webhook_endpoint(url, HANDLED))
        return
    if known is not None and known.api_version != gateway.api_version:
        typer.echo(
            f"It sends events in version {known.api_version or 'of the account'}, which o2c reads too. A version "
            f"cannot be changed: for {gateway.api_version}, delete it in the dashboard and run this again."
        )


def _made(endpoint: WebhookEndpoint) -> None:
    typer.echo(
        f"{endpoint.endpoint_id} is made. Stripe tells its signing secret only now; set it once in .env:"
    )
    typer.echo()
    typer.echo(f"{SECRETS_VARIABLE}={endpoint.secret.get_secret_value()}")
    typer.echo()
    typer.echo("Two may stand there, separated by a comma. Then restart `o2c receive`, and `o2c doctor`.")


def findings(settings: Settings) -> Iterator[Finding]:
    """For `o2c doctor`: whether Stripe sends all that is handled to some endpoint. Changes nothing."""
    try:
        found = asyncio.run(_with(settings, NoAudit(), lambda gateway: gateway.webhook_endpoints()))
    except PermissionMissing as refusal:
        right = refusal.ids.get("permission") or "webhook endpoints: read"
        yield Finding(
            True,
            "webhooks",
            f"cannot be looked at: the key lacks {right}",
            "Add it, or look in the Dashboard.",
        )
        return
    serving = [one for one in found if one.enabled]
    expected = bool(settings.stripe_webhook_secrets)
    if not serving:
        said = "the endpoint is disabled" if found else "Stripe has no endpoint"
        make = "`o2c up` makes one" if emulated_webhooks.needed(settings) else _MAKE
        yield Finding(
            not expected, "webhooks", said, f"{make}; until then events come by the hourly list only."
        )
        return
    best = min(serving, key=lambda one: len(one.lacks(HANDLED)))
    lacking = best.lacks(HANDLED)
    if lacking:
        remedy = f"`o2c webhooks ensure --url {best.url}`"
        yield Finding(not expected, "webhooks", f"{best.endpoint_id} lacks {_listed(lacking)}", remedy)
    elif best.endpoint_id == emulated_webhooks.kept_for(settings):
        yield Finding(True, "webhooks", f"{best.endpoint_id} sends every type that is handled to `o2c up`")
    elif not expected:
        remedy = f"Set {SECRETS_VARIABLE} to its signing secret."
        yield Finding(True, "webhooks", f"{best.endpoint_id} is on, its secret is not set here", remedy)
    else:
        yield Finding(True, "webhooks", f"{best.endpoint_id} sends every type that is handled")


def checked_url(url: str, environment: Environment) -> str:
    """`url` if Stripe can send to it, else typer.BadParameter: https, but for the emulators."""
    parts = urlsplit(url)
    schemes = ("https", "http") if environment is Environment.EMULATOR else ("https",)
    if parts.scheme not in schemes or not parts.hostname:
        raise typer.BadParameter(
            f"{url!r} is no address that Stripe sends to: give the receiver's public one, such as "
            f"https://o2c.acme.example{RECEIVER_PATH}.",
            param_hint="--url",
        )
    if parts.path in ("", "/"):
        raise typer.BadParameter(
            f"`o2c receive` takes Stripe's events at {RECEIVER_PATH}, not at /: give the whole address.",
            param_hint="--url",
        )
    return url


async def _with(settings: Settings, audit: AuditSink, ask: Callable[[StripeGateway], Awaitable[T]]) -> T:
    gateway = stripe_gateway(settings, audit, ACTOR)
    try:
        return await ask(gateway)
    finally:
        await gateway.aclose()


def _changes(endpoint: WebhookEndpoint) -> list[str]:
    lacking = endpoint.lacks(HANDLED)
    extra = sorted(set(endpoint.enabled_events) - HANDLED)
    return [
        *([] if endpoint.enabled else ["switched on"]),
        *([f"{len(lacking)} types more"] if lacking else []),
        *([f"without {_listed(extra)}"] if extra else []),
    ]


def _lacking(endpoint: WebhookEndpoint) -> str:
    return _listed(endpoint.lacks(HANDLED)) or "-"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_SHOWN
    return ", ".join(names[:_MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _same(one: str, other: str) -> bool:
    return one.rstrip("/") == other.rstrip("/")
