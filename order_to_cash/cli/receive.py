"""`o2c receive`: takes what Stripe and Salesforce send, and stores it."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

import typer

from order_to_cash.cli.wiring import make_clock, open_ledger
from order_to_cash.settings import Settings

if TYPE_CHECKING:
    from order_to_cash.receiver.app import Endpoints
    from order_to_cash.receiver.serve import ReceiverServer

RECEIVES = "Receiving at "  # what the receiver says once it does


def run(settings: Settings) -> None:
    """Receive until SIGTERM or Ctrl-C. Raises ConfigurationError, such as for a port in use; Unavailable."""
    from order_to_cash.receiver.app import Receiver
    from order_to_cash.receiver.serve import ReceiverServer, listen
    from order_to_cash.receiver.serve import run as run_loop
    from order_to_cash.receiver.store import LedgerStore

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    clock = make_clock(settings)
    with (
        listen(settings.receive_host, settings.receive_port) as listener,
        open_ledger(settings, clock) as ledger,
    ):
        receiver = Receiver(endpoints(settings), LedgerStore(ledger, clock), clock)
        port = listener.getsockname()[1]
        server = ReceiverServer(receiver.app, listener)
        run_loop(_serve(server, lambda: _introduce(settings, port)))
    typer.echo("Stopped receiving: what was acknowledged is stored.")


def endpoints(settings: Settings) -> Endpoints:
    """What the settings say about who may send."""
    from order_to_cash.receiver.app import Endpoints

    return Endpoints(
        environment=settings.environment,
        stripe_secrets=[secret.get_secret_value().encode() for secret in settings.stripe_webhook_secrets],
        salesforce_secret=settings.salesforce_nudge_secret.get_secret_value().encode(),
        salesforce_org_ids=settings.salesforce_org_id,
    )


async def _serve(server: ReceiverServer, introduce: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    await server.serve(on_start=introduce)


def _introduce(settings: Settings, port: int) -> None:
    from order_to_cash.receiver.app import SALESFORCE_PATH, STRIPE_PATH

    host = f"[{settings.receive_host}]" if ":" in settings.receive_host else settings.receive_host
    here = f"http://{host}:{port}"
    off = "  (off: {} is not set)"
    stripe_off = off.format("O2C_STRIPE_WEBHOOK_SECRETS") if not settings.stripe_webhook_secrets else ""
    no_nudges = not settings.salesforce_nudge_secret.get_secret_value()
    salesforce_off = off.format("O2C_SALESFORCE_NUDGE_SECRET") if no_nudges else ""
    typer.echo(f"{RECEIVES}{here} (put what speaks TLS in front of it).")
    typer.echo(f"  Stripe:      https://YOUR-HOST{STRIPE_PATH}{stripe_off}")
    typer.echo(f"  Salesforce:  https://YOUR-HOST{SALESFORCE_PATH}{salesforce_off}")
    typer.echo(f"  Health:      {here}/healthz  {here}/readyz  {here}/metrics")
