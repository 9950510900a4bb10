"""Whether a mail may be sent: only where nothing says that it may have left."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from order_to_cash.domain.dunning.sending import (
    PREFIX,
    SENDING,
    SENT,
    Standing,
    TaskStatus,
    is_about,
    named_line,
    standing,
)

OURS = f"{PREFIX}your payment did not go through"


def task(status: str, subject: str = OURS) -> dict[str, Any]:
    return {"Status": status, "Subject": subject}


@pytest.mark.parametrize(
    ("intent", "record", "expected"),
    [
        ({}, None, Standing.TO_SEND),
        ({"about": ["in_1"]}, None, Standing.TO_SEND),
        ({SENDING: True}, None, Standing.UNKNOWN),  # the Task was deleted by a person
        ({SENDING: False}, None, Standing.TO_SEND),
        ({}, task(TaskStatus.IN_PROGRESS), Standing.UNKNOWN),  # the ledger is of before
        ({SENDING: False}, task(TaskStatus.IN_PROGRESS), Standing.UNKNOWN),
        ({SENDING: True}, task(TaskStatus.DEFERRED), Standing.TO_SEND),  # Salesforce is told first
        ({}, task(TaskStatus.COMPLETED), Standing.SENT),
        ({SENDING: True, SENT: True}, task(TaskStatus.IN_PROGRESS), Standing.SENT),
        ({}, task(TaskStatus.NOT_STARTED, "Write to the billing contact"), Standing.BY_HAND),
        ({}, task(TaskStatus.COMPLETED, "Write to the billing contact"), Standing.BY_HAND),
        ({SENDING: True}, task(TaskStatus.NOT_STARTED), Standing.UNKNOWN),  # a person reopened it
    ],
)
def test_how_a_mail_stands(intent: dict[str, Any], record: dict[str, Any] | None, expected: Standing) -> None:
    assert standing(intent, record) is expected


def test_it_is_sent_only_where_both_say_that_it_has_not_left() -> None:
    records = [
        None,
        *(task(str(status), subject) for status in [*TaskStatus, "Waiting"] for subject in (OURS, "Call")),
    ]
    for sending, sent, record in itertools.product((None, True, False), (None, True), records):
        intent = {name: value for name, value in ((SENDING, sending), (SENT, sent)) if value is not None}
        if standing(intent, record) is Standing.TO_SEND:
            deferred = record is not None and record["Status"] == TaskStatus.DEFERRED
            assert not sent
            assert deferred or (record is None and not sending)


def test_a_task_names_its_invoice_and_step() -> None:
    line = named_line("UMB-7", "in_1", "customer-mail")
    assert is_about({"Description": f"To: a\n{line}\nHello"}, "in_1", "customer-mail")
    assert not is_about({"Description": line}, "in_1", "customer")
    assert not is_about({"Description": line}, "in_11", "customer-mail")
    assert not is_about({"Description": None}, "in_1", "customer-mail")
    assert "(in_1)" in line  # as other Tasks of ladders name it
