"""`o2c held list`: what is held, whose it is and what to do.

The ledger keeps no names: Salesforce is asked for them, and the list comes without where it does not answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import typer

from order_to_cash.cli.output import show_table
from order_to_cash.cli.wiring import read_ledger, require_emulators, salesforce_gateway
from order_to_cash.domain.audit import AuditSink
from order_to_cash.domain.errors import O2CError
from order_to_cash.domain.messages import one_line, record_url
from order_to_cash.domain.redaction import redact
from order_to_cash.domain.sync.soql import chunked
from order_to_cash.ledger.tables import QuarantineEntry
from order_to_cash.settings import Settings

ACTOR = "o2c held list"
_DEAL = "Opportunity"
_LONGEST = 44  # of a name: the table fits into 110 columns


@dataclass(frozen=True)
class Names:
    """What people call a deal, without the addresses that some of them write into a name; empty when not known."""

    deal: str = ""
    owner: str = ""


def list_held(settings: Settings) -> None:
    """Print what is held, oldest first, then what to do about it."""
    with read_ledger(settings) as ledger:
        entries = ledger.quarantine.open()
        if not entries:
            typer.echo("Nothing is held.")
            return
        names = _names(settings, ledger.audit, entries)
    rows = [
        (
            f"{entry.opened_at:%Y-%m-%d %H:%M}",
            _label(entry, names),
            names.get(entry.record_id, Names()).owner,
            entry.code,
        )
        for entry in entries
    ]
    show_table(("held since (UTC)", "deal", "owner", "reason"), rows)
    typer.echo("\nWhat to do:")
    for remedy in dict.fromkeys(entry.remedy for entry in entries):
        typer.echo(f"  {remedy}")
        for entry in entries:
            if entry.remedy == remedy:
                typer.echo(f"    {_label(entry, names)} · {entry.message}")
                typer.echo(f"      {record_url(settings.salesforce_login_url, entry.record_id)}")


def _names(settings: Settings, audit: AuditSink, entries: Sequence[QuarantineEntry]) -> Mapping[str, Names]:
    """Record id → names; none, and a line that says why, where Salesforce does not tell."""
    ids = {entry.record_id for entry in entries if entry.record_type == _DEAL}
    fields = ("Id", "Name", "Account.Name", "Owner.Name")
    try:
        require_emulators(settings)
        gateway = salesforce_gateway(settings, audit, ACTOR, patient=False)
        try:
            rows = [row for soql in chunked(fields, _DEAL, "Id", ids) for row in gateway.query(soql)]
        finally:
            gateway.close()
    except O2CError as error:
        typer.echo(f"Without names, which Salesforce does not tell now: {error.message}\n", err=True)
        return {}
    return {str(row["Id"]): _named(row) for row in rows}


def _named(row: Mapping[str, Any]) -> Names:
    deal, account, owner = (
        one_line(str(redact((one or {}).get("Name") or "")))
        for one in (row, row.get("Account"), row.get("Owner"))
    )
    return Names(deal if deal.startswith(account) else f"{account}: {deal}", owner)


def _label(entry: QuarantineEntry, names: Mapping[str, Names]) -> str:
    name = names.get(entry.record_id, Names()).deal
    if not name:
        return entry.record_id if entry.record_type == _DEAL else f"{entry.record_type} {entry.record_id}"
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
