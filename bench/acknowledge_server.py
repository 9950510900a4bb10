"""The receivers that are compared: `python -m bench.acknowledge_server ours|single|session LEDGER_URL`."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

import stripe
from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.exc import IntegrityError
from sqlmodel import Field, Session, SQLModel
from starlette.types import ASGIApp

from bench.acknowledge_load import SECRET
from order_to_cash.domain.records import Environment
from order_to_cash.gateways.clock import SystemClock
from order_to_cash.ledger.engine import Database
from order_to_cash.ledger.ledger import Ledger
from order_to_cash.receiver.app import STRIPE_PATH, Endpoints, Receiver
from order_to_cash.receiver.limits import Limits
from order_to_cash.receiver.serve import ReceiverServer, listen, run
from order_to_cash.receiver.store import LedgerStore


class BenchEvent(SQLModel, table=True):
    """The inbox of the receiver that one would write first: five columns and a body."""

    event_id: str = Field(primary_key=True)
    type: str
    created: int
    livemode: bool
    received_at: datetime
    body: bytes


def ours(url: str, batch: int) -> ASGIApp:
    """The product's; with batches of one it commits each event by itself."""
    ledger = Ledger.open(url, clock=SystemClock(), environment=Environment.TEST)
    ledger.migrate()
    endpoints = Endpoints(Environment.TEST, [SECRET.encode()])
    return Receiver(endpoints, LedgerStore(ledger, SystemClock()), SystemClock(), Limits(batch=batch)).app


def session_per_request(url: str) -> ASGIApp:
    """FastAPI, the SDK's check of the header alone, and a SQLModel session a request in a thread."""
    engine = Database(url).engine  # the same settings of the database: WAL, synchronous=FULL
    SQLModel.metadata.create_all(engine, tables=[SQLModel.metadata.tables["benchevent"]])
    app = FastAPI()

    def keep(row: BenchEvent) -> None:
        with Session(engine) as session, suppress(IntegrityError):
            session.add(row)
            session.commit()

    @app.post(STRIPE_PATH)
    async def webhook(request: Request) -> Response:
        body = await request.body()
        stripe.WebhookSignature.verify_header(
            body.decode(), request.headers["stripe-signature"], SECRET, tolerance=300
        )
        said = json.loads(body)
        row = BenchEvent(
            event_id=said["id"],
            type=said["type"],
            created=said["created"],
            livemode=said["livemode"],
            received_at=datetime.now(UTC),
            body=body,
        )
        await run_in_threadpool(keep, row)
        return Response()

    return app


KINDS: dict[str, Callable[[str], ASGIApp]] = {
    "ours": lambda url: ours(url, Limits().batch),
    "single": lambda url: ours(url, 1),
    "session": session_per_request,
}


async def serve(app: ASGIApp) -> None:
    with listen("127.0.0.1", 0) as listener:
        server = ReceiverServer(app, listener)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.stop)
        await server.serve(on_start=lambda: print(listener.getsockname()[1], flush=True))


if __name__ == "__main__":
    run(serve(KINDS[sys.argv[1]](sys.argv[2])))
