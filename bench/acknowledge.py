"""Events durably acknowledged a second: the receiver, beside a commit per event and a session per request."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import httpx
import psycopg
from sqlalchemy.engine import make_url

from bench.acknowledge_load import ID_MARK
from bench.table import Row
from emulators.run import make_services, running

CONNECTIONS = (32, 128)
ROUNDS = 3
SECONDS, WARM_SECONDS = 2.5, 0.5
KINDS: Mapping[str, str] = {
    "ours": "the receiver",
    "single": "the same with a commit per event",
    "session": "FastAPI with a SQLModel session per request",
}
_LOCAL = "postgresql://root@127.0.0.1:5432/postgres"


def acknowledge() -> list[Row]:
    """Medians of three rounds in which all take turns, so that none has the machine's better minute."""
    event = _event()
    rows: list[Row] = []
    with TemporaryDirectory(prefix="o2c-acknowledge-") as folder:
        rows += _compared("SQLite", "synchronous=FULL", lambda kind: _file(Path(folder), kind), event)
    with _schemas() as schema:
        if schema is not None:
            rows += _compared("PostgreSQL", _durability(), schema, event)
    return rows


def _compared(database: str, durability: str, place: Any, event: str) -> list[Row]:
    found: dict[tuple[str, int], list[dict[str, float]]] = {}
    with ExitStack() as servers:
        ports = {kind: servers.enter_context(_server(kind, place(kind))) for kind in KINDS}
        for _ in range(ROUNDS):
            for connections in CONNECTIONS:
                for kind, port in ports.items():
                    found.setdefault((kind, connections), []).append(_load(port, connections, event))
    return [_row(database, durability, connections, found) for connections in CONNECTIONS]


def _row(
    database: str,
    durability: str,
    connections: int,
    found: Mapping[tuple[str, int], Sequence[Mapping[str, float]]],
) -> Row:
    def of(kind: str, what: str) -> float:
        return median(one[what] for one in found[kind, connections])

    others = "; ".join(
        f"{name} {of(kind, 'a_second'):,.0f}/s, p99 {of(kind, 'p99_ms'):.0f} ms "
        f"({of('ours', 'a_second') / of(kind, 'a_second'):.1f} ×)"
        for kind, name in KINDS.items()
        if kind != "ours"
    )
    refused = sum(one["refused"] for runs in found.values() for one in runs)
    return Row(
        f"acknowledged, {database}, {connections} connections",
        f"{of('ours', 'a_second'):,.0f}/s, p50 {of('ours', 'p50_ms'):.1f} ms, p99 {of('ours', 'p99_ms'):.0f} ms",
        "11,200/s, p99 9 ms" if (database, connections) == ("SQLite", 32) else "",
        f"{others}. Median of {ROUNDS} rounds of {SECONDS} s, {durability}, "
        f"{of('ours', 'cpu_us'):.0f} µs an event for the load; {refused:.0f} refused",
    )


@contextmanager
def _server(kind: str, url: str) -> Iterator[int]:
    """A receiver in a process of its own; its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.acknowledge_server", kind, url], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the receiver {kind!r} did not start")
        yield int(line)
    finally:
        process.terminate()
        process.wait(30)
        if process.stdout is not None:
            process.stdout.close()


def _load(port: int, connections: int, event: str) -> dict[str, float]:
    order = {
        "port": port,
        "prefix": uuid4().hex[:12],
        "event": event,
        "seconds": SECONDS,
        "warm_seconds": WARM_SECONDS,
        "connections": connections,
    }
    done = subprocess.run(
        [sys.executable, "-m", "bench.acknowledge_load"],
        input=json.dumps(order),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def _event() -> str:
    """An `invoice.finalized` of one line, as the emulator renders it, with a mark for its id."""
    known: dict[str, Any] = {"auth": ("sk_test_emulator", ""), "trust_env": False}
    with (
        running(*make_services(["stripe"])) as urls,
        httpx.Client(base_url=urls["stripe"], **known) as client,
    ):

        def made(what: str, **fields: str) -> str:
            name: str = client.post(f"/v1/{what}", data=fields).raise_for_status().json()["id"]
            return name

        customer = made("customers", name="Acme", email="billing@acme.example")
        invoice = made("invoices", customer=customer, collection_method="send_invoice", days_until_due="30")
        made("invoiceitems", customer=customer, invoice=invoice, amount="120000", currency="usd")
        made(f"invoices/{invoice}/finalize")
        (event,) = client.get("/v1/events", params={"type": "invoice.finalized"}).json()["data"]
    written = json.dumps(event, indent=2, ensure_ascii=False)
    return written.replace(event["id"], ID_MARK.decode())


def _file(folder: Path, kind: str) -> str:
    return f"sqlite:///{folder / kind}.db"


@contextmanager
def _schemas() -> Iterator[Any]:
    """Makes a schema for each receiver on the server of the tests; None when none answers."""
    server = _postgres()
    if not server:
        yield None
        return
    made: list[str] = []

    def schema(kind: str) -> str:
        name = f"o2c_acknowledge_{kind}_{uuid4().hex[:8]}"
        with psycopg.connect(_plain(server), autocommit=True) as connection:
            connection.execute(f'CREATE SCHEMA "{name}"')
        made.append(name)
        url = make_url(server).update_query_dict({"options": f"-csearch_path={name}"})
        return url.render_as_string(hide_password=False)

    try:
        yield schema
    finally:
        with psycopg.connect(_plain(server), autocommit=True) as connection:
            for name in made:
                connection.execute(f'DROP SCHEMA "{name}" CASCADE')


def _postgres() -> str:
    url = os.environ.get("O2C_TEST_POSTGRES_URL", "") or _LOCAL
    try:
        psycopg.connect(_plain(url), connect_timeout=3).close()
    except psycopg.OperationalError:
        print("acknowledged, PostgreSQL: no server answers", file=sys.stderr)
        return ""
    return url


def _durability() -> str:
    with psycopg.connect(_plain(_postgres())) as connection:
        names = ("fsync", "synchronous_commit")
        values = [connection.execute(f"SHOW {name}".encode()).fetchone() for name in names]
    return ", ".join(f"{name}={value[0]}" for name, value in zip(names, values, strict=True) if value)


def _plain(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
