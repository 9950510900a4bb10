"""What was written in Salesforce about a Stripe object, as the record of outside calls has it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import typer

from order_to_cash.cli.output import show_table
from order_to_cash.domain.events import EventState
from order_to_cash.domain.messages import record_url
from order_to_cash.ledger.audit import BODIES_DAYS, AuditLog
from order_to_cash.ledger.inbox_tables import InboxRow
from order_to_cash.ledger.tables import AuditRow

Json = Mapping[str, Any]

_MOST_CALLS = 500
_MOST_SHOWN = 25


@dataclass(frozen=True)
class Written:
    """One record of one call. `how`: created, updated, or the code that it was refused with."""

    at: datetime
    sobject: str
    record_id: str
    how: str


def show_written(audit: AuditLog, event: InboxRow, org: str, now: datetime) -> None:
    """Print the records that were written from the event's arrival to its end and name its object."""
    if not event.object_id or event.finished_at is None or event.state != EventState.DONE:
        return
    calls = audit.query(
        system="salesforce",
        since=event.received_at,
        until=event.finished_at + timedelta(microseconds=1),
        reference=event.object_id,
        writes=True,
        limit=_MOST_CALLS,
    )
    found = list(records_about(event.object_id, reversed(calls)))
    if not found:
        forgotten = now - event.finished_at >= timedelta(days=BODIES_DAYS)
        known = (
            f"not known any more, after {BODIES_DAYS} days"
            if forgotten
            else f"nothing that names {event.object_id}"
        )
        typer.echo(f"\nWritten in Salesforce: {known}.")
        return
    typer.echo(f"\nWritten in Salesforce about {event.object_id}, from its arrival to its end:")
    rows = [
        (
            f"{one.at:%Y-%m-%d %H:%M:%S}",
            one.sobject,
            one.how,
            record_url(org, one.record_id) if one.record_id else "",
        )
        for one in found
    ]
    show_table(("at (UTC)", "object", "how", "record"), rows[:_MOST_SHOWN])
    if len(rows) > _MOST_SHOWN:
        typer.echo(
            f"… and {len(rows) - _MOST_SHOWN} more: o2c audit list --writes --reference {event.object_id}"
        )


def records_about(object_id: str, calls: Iterable[AuditRow]) -> Iterator[Written]:
    """The rows of calls that name the object in some field. What has no bodies any more is left out."""
    for call in calls:
        for record, answer in _pairs(_json(call.request_body), _json(call.response_body)):
            if _names(record, object_id):
                sobject = str((record.get("attributes") or {}).get("type") or "record")
                inserted = call.method == "POST" and call.path.endswith("/sobjects")
                how = _how(answer, inserted=inserted)
                yield Written(call.started_at, sobject, str(answer.get("id") or ""), how)


def _pairs(asked: Json, answered: Json) -> Iterator[tuple[Json, Json]]:
    """Each row with its answer: of one list of rows, or of several together in one call."""
    parts, answers = asked.get("compositeRequest"), answered.get("compositeResponse")
    if isinstance(parts, list) and isinstance(answers, list):
        for part, answer in zip(parts, answers, strict=False):
            if isinstance(part, Mapping) and isinstance(answer, Mapping):
                yield from _rows(part.get("body"), answer.get("body"))
    else:
        yield from _rows(asked, answered.get("items"))


def _rows(asked: object, answers: object) -> Iterator[tuple[Json, Json]]:
    rows = asked.get("records") if isinstance(asked, Mapping) else None
    if isinstance(rows, list) and isinstance(answers, list) and len(rows) == len(answers):
        yield from zip(rows, answers, strict=True)


def _json(body: str | None) -> Json:
    content = json.loads(body) if body else None
    return content if isinstance(content, dict) else {}


def _names(value: Any, object_id: str) -> bool:
    """Whether it stands in a field, a lookup, or one of our keys: `o2c:case:payment_failed:in_…`."""
    if isinstance(value, Mapping):
        return any(_names(one, object_id) for one in value.values())
    return isinstance(value, str) and object_id in value.split(":")


def _how(answer: Mapping[str, Any], *, inserted: bool) -> str:
    if not answer.get("success"):
        codes = [str(one.get("statusCode")) for one in answer.get("errors") or () if isinstance(one, Mapping)]
        return ", ".join(["refused", *codes])
    return "created" if answer.get("created") or inserted else "updated"
