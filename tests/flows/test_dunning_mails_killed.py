"""Killed at every point of sending a mail, with the ledger as it was, or restored from any moment before."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import contextmanager, suppress
from functools import wraps
from typing import Any

import pytest
from sqlalchemy import delete, insert, select

from order_to_cash.domain.dunning.sending import PREFIX
from order_to_cash.gateways import clock
from order_to_cash.ledger.tables import OPERATION
from tests.flows.mails_world import Mails, mails_of
from tests.world import World

_LEDGER = ("begin", "restate", "succeed", "release")
_SALESFORCE = ("ask", "insert", "upsert")
NEVER = 1_000
Rows = list[dict[str, Any]]


class KilledError(BaseException):
    """As a SIGKILL: nothing after it is done."""


class Points:
    """Before and after each call to the ledger, to Salesforce and to the mail server; dies at one of them.

    `ledgers`: the ledger's operations at every point that was passed.
    """

    def __init__(self, mails: Mails, die_at: int) -> None:
        self._mails = mails
        self._die_at = die_at
        self.ledgers: list[Rows] = []

    def reach(self) -> None:
        if len(self.ledgers) > self._die_at:
            raise KilledError  # whatever is still under way ends as well
        self.ledgers.append(operations(self._mails))
        if len(self.ledgers) > self._die_at:
            raise KilledError

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            self.reach()
            result = function(*args, **kwargs)
            self.reach()
            return result

        return called

    def around_async(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        async def called(*args: Any, **kwargs: Any) -> Any:
            self.reach()
            result = await function(*args, **kwargs)
            self.reach()
            return result

        return called


def operations(mails: Mails) -> Rows:
    with mails.company.ledger.database.read() as connection:
        return [dict(row._mapping) for row in connection.execute(select(OPERATION))]


def restore(mails: Mails, rows: Rows) -> None:
    with mails.company.ledger.database.write() as connection:
        connection.execute(delete(OPERATION))
        if rows:
            connection.execute(insert(OPERATION), rows)


@contextmanager
def dying(mails: Mails, points: Points) -> Any:
    from tasks import dunning_outgoing

    mailer, effects = mails.company.mail, mails.company.ledger.effects
    assert mailer is not None
    with pytest.MonkeyPatch.context() as patched:
        for name in _LEDGER:
            patched.setattr(effects, name, points.around(getattr(effects, name)))
        for name in _SALESFORCE:
            patched.setattr(dunning_outgoing, name, points.around_async(getattr(dunning_outgoing, name)))
        patched.setattr(mailer, "send", points.around(mailer.send))
        yield


@pytest.fixture
async def mails(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Mails]:
    monkeypatch.setattr(clock, "_FRESH_SECONDS", 0.0)
    async with mails_of(world) as made:
        made.company.slack = None
        yield made


async def killed_at(mails: Mails, point: int) -> tuple[str, list[Rows], bool]:
    """An invoice whose mail died at this point: its id, the ledgers on the way, and whether it died at all."""
    invoice = mails.chased()
    points = Points(mails, point)
    items = await mails.claimed("customer-mail", invoice)
    died = True
    with dying(mails, points), suppress(KilledError):
        await mails.act(items, finish=False)
        died = False
    mails.company.ledger.ladders.release(mails.claims)
    return invoice, points.ledgers, died


async def judge(mails: Mails, invoice: str) -> str:
    """Take the step up again; what came of it by the wire."""
    mails.expire_leases()
    await mails.mail(invoice, run_id="run-2", finish=False)
    number = mails.facts.sync.get(f"invoices/{invoice}")["number"]
    delivered = sum(number in message.subject for message in mails.inbox())
    assert delivered <= 1
    (task,) = [row for row in mails.records("Task") if f"({invoice})" in str(row["Description"])]
    if task["Subject"].startswith(PREFIX):
        assert (task["Status"], delivered) == ("Completed", 1)
        return "sent"
    assert task["Status"] == "Not Started"
    assert task["Subject"].startswith("Find out whether")
    return "asked"


async def test_killed_at_any_point_it_is_sent_once_or_a_person_is_asked(mails: Mails) -> None:
    found: list[str] = []
    while True:
        invoice, _, died = await killed_at(mails, len(found))
        if not died:
            break
        found.append(await judge(mails, invoice))
    assert len(found) >= 16, found
    # In doubt is only what was being sent: before that it is sent, after it is known to be.
    first, last = found.index("asked"), len(found) - found[::-1].index("asked")
    assert set(found[:first]) == set(found[last:]) == {"sent"}
    assert set(found[first:last]) == {"asked"}


async def test_the_same_with_the_ledger_restored_from_a_moment_before(mails: Mails) -> None:
    _, passed, _ = await killed_at(mails, NEVER)
    outcomes = set()
    for point in range(3, len(passed), 3):
        for back in (0, point // 2):
            invoice, ledgers, _ = await killed_at(mails, point)
            restore(mails, ledgers[back])
            outcomes.add(await judge(mails, invoice))
    assert outcomes == {"sent", "asked"}
