"""`o2c audit`: the record of every outside call, for people."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, islice
from typing import Any

import typer

from order_to_cash.cli.output import show_table
from order_to_cash.cli.wiring import read_ledger
from order_to_cash.domain.audit import may_write
from order_to_cash.ledger.audit import AuditLog
from order_to_cash.ledger.audit_chain import Head
from order_to_cash.ledger.tables import AuditRow
from order_to_cash.settings import Settings

_MOMENT = "%Y-%m-%d %H:%M:%S"
_PAGE = 1000
_MOST_READ = 20_000


def audit_list(
    settings: Settings, *, system: str, reference: str, writes: bool, every: bool, limit: int
) -> None:
    """Print the newest calls, the newest last, as a log reads. `every`: also each repetition of a question."""
    with read_ledger(settings) as ledger:
        rows = _newest(ledger.audit, system=system, reference=reference, writes=writes)
        calls = list(islice(_calls(rows, every=every), limit))
    if not calls:
        typer.echo("No call recorded.")
        return
    show_table(
        ("began (UTC)", "system", "call", "result", "ms", "request", "sealed"),
        [_line(call) for call in reversed(calls)],
    )


def audit_seal(settings: Settings) -> None:
    """Chain what is not chained and print the head, to be kept elsewhere."""
    with read_ledger(settings) as ledger:
        head = ledger.audit.seal()
    typer.echo(f"{head.count} rows sealed in all. Keep this head outside the database:")
    typer.echo(f"{head.count}:{head.hash}")


def audit_verify(settings: Settings, expected: str) -> int:
    """0 when the chain holds; 1 after printing the first broken row. `expected`: a head that seal printed."""
    head = _head(expected)
    with read_ledger(settings) as ledger:
        broken = ledger.audit.verify(head)
        sealed, unsealed = ledger.audit.sealed(), ledger.audit.unsealed()
    if broken is None:
        if sealed:
            typer.echo(
                f"The audit log holds: no sealed row was edited, removed or added ({sealed} are sealed)."
            )
        else:
            typer.echo("No row is sealed yet, so there is nothing to verify.")
        if unsealed:
            typer.echo(
                f"Not verified: {unsealed} not sealed yet; an edit of these would not show. "
                "The drain seals every five minutes. By hand: o2c audit seal"
            )
        return 0
    where = f"row {broken.seq} ({broken.audit_id})" if broken.audit_id else f"link {broken.chain_no}"
    typer.secho(f"The audit log is broken at {where}: {broken.reason}", fg="red", err=True)
    typer.echo("  to do:  compare with a backup, and find out who can write the ledger's database.", err=True)
    return 1


@dataclass
class _Call:
    """One call, or the same question asked `times` in a row: `row` is the newest of them."""

    row: AuditRow
    began: datetime
    times: int = 1


def _newest(audit: AuditLog, **wanted: Any) -> Iterator[AuditRow]:
    """Rows, the newest first, a page at a time; at most `_MOST_READ`: nothing but questions may fill a year."""
    before = None
    for _ in range(_MOST_READ // _PAGE):
        page = audit.query(before_seq=before, limit=_PAGE, **wanted)
        yield from page
        if len(page) < _PAGE:
            return
        before = page[-1].seq


def _calls(newest_first: Iterable[AuditRow], *, every: bool) -> Iterator[_Call]:
    """The calls, the newest first; unless `every`, those that repeat a question and its result as one."""
    for _, rows in groupby(newest_first, key=lambda row: row.seq if every else _question(row)):
        same = list(rows)
        yield _Call(same[0], same[-1].started_at, len(same))


def _question(row: AuditRow) -> object:
    """Equal for calls that ask the same; what may write is equal to nothing."""
    if may_write(row.method, row.path, row.request_body):
        return row.seq
    return row.system, row.method, row.path, row.status, row.error


def _line(call: _Call) -> tuple[str, ...]:
    row = call.row
    result = row.error or (str(row.status) if row.status is not None else "no answer")
    moment = "%H:%M:%S" if row.started_at.date() == call.began.date() else _MOMENT
    again = f" ({call.times} times until {row.started_at:{moment}})" if call.times > 1 else ""
    return (
        f"{call.began:{_MOMENT}}",
        row.system,
        f"{row.method} {row.path}{again}",
        result,
        str(row.duration_ms),
        row.request_id,
        "yes" if row.chain_no else "no",
    )


def _head(text: str) -> Head | None:
    if not text:
        return None
    matched = re.fullmatch(r"(\d+):([0-9a-f]{64})", text)
    if matched is None:
        raise typer.BadParameter(
            "it is not one that `o2c audit seal` prints; give the whole line, such as 120:9f86d0….",
            param_hint="'--head'",
        )
    return Head(int(matched[1]), matched[2])
