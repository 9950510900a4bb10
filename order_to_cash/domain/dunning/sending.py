"""Whether a mail may be sent: what the ledger and the record in Salesforce say of it, put together.

A mail server cannot be asked what it took. So a Task is "In Progress" in Salesforce before a mail leaves, and the
ledger knows that it is being sent; whatever is found in between is not sent again. The ledger may be an hour old,
restored from a backup: then the Task alone tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

PREFIX = "E-mail: "
"""How the subject of a Task begins that stands for a mail; one that was left to a person is called otherwise."""

SENDING = "sending"
SENT = "sent"


class TaskStatus(StrEnum):
    """Salesforce's own values."""

    NOT_STARTED = "Not Started"  # left to a person
    IN_PROGRESS = "In Progress"  # leaving
    DEFERRED = "Deferred"  # surely not taken by the server; tried again
    COMPLETED = "Completed"


class Standing(StrEnum):
    """`to_send`: it surely has not left. `unknown`: it may have. `by_hand`: a person has it."""

    TO_SEND = "to_send"
    SENT = "sent"
    UNKNOWN = "unknown"
    BY_HAND = "by_hand"


def standing(intent: Mapping[str, Any], record: Mapping[str, Any] | None) -> Standing:
    """How one mail stands. `intent`: the ledger's, with `sending` and `sent`. `record`: its Task, None for none."""
    if intent.get(SENT):
        return Standing.SENT
    if record is None:
        return Standing.UNKNOWN if intent.get(SENDING) else Standing.TO_SEND
    status = str(record.get("Status") or "")
    if not str(record.get("Subject") or "").startswith(PREFIX):
        return Standing.BY_HAND
    if status == TaskStatus.COMPLETED:
        return Standing.SENT
    return Standing.TO_SEND if status == TaskStatus.DEFERRED else Standing.UNKNOWN


def named_line(number: str, invoice_id: str, step_key: str) -> str:
    """How a Task says what it is about, so that it is found by that as well as by its key."""
    return f"Invoice {number} {_mark(invoice_id, step_key)}"


def is_about(record: Mapping[str, Any], invoice_id: str, step_key: str) -> bool:
    """Whether a Task is about this step of this invoice.

    A mail's key names a day. With the ledger restored from a backup the step may come again on the next one.
    """
    return _mark(invoice_id, step_key) in str(record.get("Description") or "")


def _mark(invoice_id: str, step_key: str) -> str:
    return f"({invoice_id}), step {step_key}."
