"""Tasks and Cases of ladders as rows for Salesforce."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

from order_to_cash.domain.dunning.calendar import ContactHours
from order_to_cash.domain.dunning.steps import Priority
from order_to_cash.domain.dunning.wording import LONGEST_SUBJECT, fitting, with_note
from order_to_cash.domain.messages import one_line
from order_to_cash.domain.sync.fields import KEY
from order_to_cash.domain.sync.reaction_texts import Text
from order_to_cash.domain.sync.shapes import Person


def task(
    key: str, said: Text, *, account_id: str, owner: Person, due: date, priority: Priority | None = None
) -> dict[str, Any]:
    """A Task on the Account. Without an owner it is the integration user's, as Salesforce has it."""
    return {
        **_record(key, said, owner, priority),
        "WhatId": account_id,
        "Status": "Not Started",
        "ActivityDate": due,
    }


def case(
    key: str, said: Text, *, account_id: str, owner: Person, priority: Priority | None = None
) -> dict[str, Any]:
    return {**_record(key, said, owner, priority), "AccountId": account_id}


def closed_task(row: Mapping[str, Any], note: str) -> dict[str, Any]:
    """An open Task as it is closed, with why on top."""
    return {"Id": row["Id"], "Status": "Completed", "Description": with_note(_description(row), note)}


def closed_case(row: Mapping[str, Any], note: str) -> dict[str, Any]:
    return {"Id": row["Id"], "Status": "Closed", "Description": with_note(_description(row), note)}


def noted(row: Mapping[str, Any], note: str) -> dict[str, Any]:
    """A record that stays open, with a note on top."""
    return {"Id": row["Id"], "Description": with_note(_description(row), note)}


def with_more(row: Mapping[str, Any], lines: Iterable[str]) -> dict[str, Any]:
    """A record with more at its end."""
    return {"Id": row["Id"], "Description": fitting("\n".join([_description(row), "", *lines]))}


def working_day(now: datetime, hours: ContactHours) -> date:
    """The day on which somebody can take care of it: today where the office is open, or opens later, else the next."""
    zone = hours.zone()
    return hours.next_open(now, zone).astimezone(zone).date()


def _record(key: str, said: Text, owner: Person, priority: Priority | None) -> dict[str, Any]:
    subject = one_line(said.subject)
    return {
        KEY: key,
        "Subject": subject if len(subject) <= LONGEST_SUBJECT else f"{subject[: LONGEST_SUBJECT - 1]}…",
        "Description": fitting("\n".join(said.lines)),
        "Priority": str(priority or Priority.NORMAL),
        **({"OwnerId": owner.user_id} if owner.user_id else {}),
    }


def _description(row: Mapping[str, Any]) -> str:
    return str(row.get("Description") or "")
