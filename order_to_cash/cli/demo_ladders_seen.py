"""What people see of an unpaid invoice: read from Salesforce's records, the mailbox and the channel in Slack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from order_to_cash.cli import demo_slack
from order_to_cash.domain.dunning.sending import PREFIX
from order_to_cash.settings import Settings

Row = Mapping[str, Any]
Happening = tuple[datetime, str]
People = Mapping[str, tuple[str, str, str]]
"""ref → name of the customer, billing address, Salesforce Account."""


@dataclass(frozen=True)
class Seen:
    """Of one customer: what happened when, oldest first, and how its Account stands."""

    happenings: Sequence[Happening]
    account: str


def happened(settings: Settings, mailbox: str, people: People) -> dict[str, Seen]:
    """ref → what people see. `mailbox`: the address of the mail emulator's pages."""
    rows = {kind: records(settings, kind) for kind in ("Account", "Task", "Case")}
    mails = mails_in(mailbox)
    posts = demo_slack.messages(settings)

    def seen(name: str, billing: str, account_id: str) -> Seen:
        account = next(row for row in rows["Account"] if row["Id"] == account_id)
        found = [
            *_tasks(row for row in rows["Task"] if row["WhatId"] == account_id),
            *_cases(row for row in rows["Case"] if row["AccountId"] == account_id),
            *_mails(mail for mail in mails if billing in mail["recipients"] or name in mail["subject"]),
            *_posts(post for post in posts if name in post["text"]),
        ]
        return Seen(sorted(found), _standing(account))

    return {ref: seen(*who) for ref, who in people.items()}


def _tasks(rows: Iterator[Row]) -> Iterator[Happening]:
    """A ladder's, for people: what merely stands for a mail on the timeline is told by the mail."""
    for row in rows:
        of_ladder = str(row["O2C_Key__c"]).startswith(("ladder:", "o2c:contact:"))
        if not of_ladder or str(row["Subject"]).startswith(PREFIX):
            continue
        yield _moment(row["CreatedDate"]), f"Task “{_title(row['Subject'])}”"
        if row["CompletedDateTime"]:
            yield _moment(row["CompletedDateTime"]), "Task closed"


def _cases(rows: Iterator[Row]) -> Iterator[Happening]:
    for row in rows:
        yield _moment(row["CreatedDate"]), "Case"
        if row["ClosedDate"]:
            yield _moment(row["ClosedDate"]), "Case closed"


def _mails(mails: Iterator[Row]) -> Iterator[Happening]:
    for mail in mails:
        yield _moment(mail["at"]), f"mail to {', '.join(mail['recipients'])}"


def _posts(posts: Iterator[Row]) -> Iterator[Happening]:
    for post in posts:
        at = datetime.fromtimestamp(float(post["ts"]), UTC)
        thread = post.get("thread_ts") not in (None, post["ts"])
        yield at, f"Slack{' thread' if thread else ''}: {_title(post['text'])}"


def _standing(account: Row) -> str:
    parts = [str(account.get("Stripe_Payment_Health__c") or "nothing yet")]
    parts += ["escalated"] if account.get("Payment_Escalated__c") else []
    parts += ["on hold"] if account.get("Dunning_Hold__c") else []
    return ", ".join(parts)


def _title(text: object) -> str:
    return str(text).partition(":")[0]


def _moment(text: object) -> datetime:
    return datetime.fromisoformat(str(text)).astimezone(UTC)


def mails_in(mailbox: str) -> list[Row]:
    """Every mail that the server took."""
    mails: list[Row] = httpx.get(f"{mailbox}/messages", timeout=10, trust_env=False).json()["messages"]
    return mails


def records(settings: Settings, sobject: str) -> list[Row]:
    """All records of an object, whoever may see them."""
    url = f"{settings.salesforce_base_url}/_emulator/records"
    answer = httpx.get(url, params={"type": sobject}, timeout=10, trust_env=False)
    rows: list[Row] = answer.json()["records"]
    return rows
