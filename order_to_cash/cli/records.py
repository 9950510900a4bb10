"""What the ledger knows, for people: held records and the audit log."""

from __future__ import annotations

import re

import typer

from order_to_cash.cli.output import show_table
from order_to_cash.cli.wiring import open_ledger
from order_to_cash.domain.errors import ConfigurationError
from order_to_cash.ledger.audit_chain import Head
from order_to_cash.ledger.tables import AuditRow
from order_to_cash.settings import Settings

_MOMENT = "%Y-%m-%d %H:%M:%S"


def quarantine_list(settings: Settings) -> None:
    """Print what is held, oldest first."""
    with open_ledger(settings) as ledger:
        entries = ledger.quarantine.open()
    if not entries:
        typer.echo("Nothing is held.")
        return
    rows = [
        (f"{entry.opened_at:{_MOMENT}}", entry.record_type, entry.record_id, entry.owner_id, entry.message)
        for entry in entries
    ]
    show_table(("since (UTC)", "record", "id", "owner", "reason"), rows)
    typer.echo("\nWhat to do:")
    for remedy in dict.fromkeys(entry.remedy for entry in entries):
        ids = [entry.record_id for entry in entries if entry.remedy == remedy]
        typer.echo(f"  {remedy}\n    {', '.join(dict.fromkeys(ids))}")


def audit_list(settings: Settings, *, system: str, reference: str, limit: int) -> None:
    """Print the newest calls, the newest last, as a log reads."""
    with open_ledger(settings) as ledger:
        rows = ledger.audit.query(system=system, reference=reference, limit=limit)
    if not rows:
        typer.echo("No call recorded.")
        return
    show_table(
        ("began (UTC)", "system", "call", "result", "ms", "request", "sealed"),
        [_line(row) for row in reversed(rows)],
    )


def audit_seal(settings: Settings) -> None:
    """Chain what is not chained and print the head, to be kept elsewhere."""
    with open_ledger(settings) as ledger:
        head = ledger.audit.seal()
    typer.echo(f"{head.count} rows sealed in all. Keep this head outside the database:")
    typer.echo(f"{head.count}:{head.hash}")


def audit_verify(settings: Settings, expected: str) -> int:
    """0 when the chain holds; 1 after printing the first broken row. `expected`: a head that seal printed."""
    head = _head(expected)
    with open_ledger(settings) as ledger:
        broken = ledger.audit.verify(head)
    if broken is None:
        typer.echo("The audit log holds: no sealed row was edited, removed or added.")
        return 0
    where = f"row {broken.seq} ({broken.audit_id})" if broken.audit_id else f"link {broken.chain_no}"
    typer.secho(f"The audit log is broken at {where}: {broken.reason}", fg="red", err=True)
    typer.echo("  to do:  compare with a backup, and find out who can write the ledger's database.", err=True)
    return 1


def _line(row: AuditRow) -> tuple[str, ...]:
    result = row.error or (str(row.status) if row.status is not None else "no answer")
    began = f"{row.started_at:{_MOMENT}}"
    call = f"{row.method} {row.path}"
    return (
        began,
        row.system,
        call,
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
        raise ConfigurationError(
            "The head is not one that `o2c audit seal` prints.",
            code="audit_head",
            remedy="Give the whole line, such as 120:9f86d0….",
        )
    return Head(int(matched[1]), matched[2])
