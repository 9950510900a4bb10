"""A process that is killed anywhere within a step or an end, and another that takes over: each effect is there once.

Killed after each call of the ledger's effects, of Salesforce's writes, of Slack and of the mail server, so before the
next one. With the ledger as it stood, and with one that was restored to before all effects.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from order_to_cash.domain.dunning.facts import EndReason
from order_to_cash.gateways.mail_gateway import Mailer
from order_to_cash.gateways.salesforce_gateway import SalesforceGateway
from order_to_cash.gateways.slack_gateway import SlackGateway
from order_to_cash.ledger.effects import Effects
from tests.flows.mails_world import Mails, mails_of
from tests.flows.steps_world import policy
from tests.world import World

_CALLS: tuple[tuple[type[Any], tuple[str, ...]], ...] = (
    (Effects, ("begin", "succeed")),
    (SalesforceGateway, ("insert_rows", "update_rows")),
    (SlackGateway, ("post",)),
    (Mailer, ("send",)),
)
ACTIONS = ("payment_health", "task", "case", "outreach_task", "account_flag", "slack")
MANY_POINTS = 10


class Killed(BaseException):
    """What nothing catches."""


@pytest.fixture
async def mails(world: World) -> AsyncIterator[Mails]:
    async with mails_of(world) as made:
        yield made


@contextmanager
def killed_at(nth: int) -> Iterator[list[str]]:
    """The nth call, counted over all of them, is the last that this process makes; what was called."""
    called: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        for kind, names in _CALLS:
            for name in names:
                patch.setattr(kind, name, _dying(getattr(kind, name), name, called, nth))
        yield called


def _dying(original: Callable[..., Any], name: str, called: list[str], nth: int) -> Callable[..., Any]:
    def dying(*args: Any, **given: Any) -> Any:
        called.append(name)
        if len(called) > nth:
            raise Killed
        answer = original(*args, **given)
        if len(called) == nth:
            raise Killed
        return answer

    return dying


def about(mails: Mails, invoice: str) -> tuple[list[str], int, int]:
    """Keys of the Tasks and Cases about the invoice, its posts and its mails."""
    number = mails.facts.sync.get(f"invoices/{invoice}")["number"]
    records = [*mails.records("Task"), *mails.records("Case")]
    keys = sorted(
        str(row["O2C_Key__c"]) for row in records if invoice in f"{row['O2C_Key__c']} {row['Description']}"
    )
    posts = sum(number in str(post["blocks"]) for post in mails.posts())
    return keys, posts, sum(number in str(mail) for mail in mails.inbox())


@pytest.mark.parametrize("restored", [False, True])
async def test_a_step_that_is_killed_anywhere(mails: Mails, restored: bool) -> None:
    for nth in itertools.count(1):
        customer, invoice = mails.unpaid()
        mails.facts.open(invoice, policy=policy(*ACTIONS))
        with killed_at(nth) as called:
            through = await _lives(mails.take("one", invoice, run_id="run-1", finish=False))
        mails.company.ledger.ladders.release(mails.claims)
        if restored:
            mails.forget_effects()
        mails.expire_leases()
        outcomes = await mails.take("one", invoice, run_id="run-2")
        assert not any(one.error for one in outcomes[invoice]), f"killed after call {nth}: {called}"
        keys, posts, _ = about(mails, invoice)
        case, task, talk = keys
        assert (case, task) == (f"ladder:{invoice}:one:case", f"ladder:{invoice}:one:task")
        assert talk.startswith(f"o2c:contact:outreach_task:{customer}:")
        assert posts == 1, f"killed after call {nth}: {called}"
        account = mails.facts.sync.account_of(customer)
        assert (account["Stripe_Payment_Health__c"], account["Payment_Escalated__c"]) == ("Failed", True)
        if through:
            assert nth > MANY_POINTS
            return


async def test_an_executive_hears_once_though_the_process_is_killed_anywhere(mails: Mails) -> None:
    """By mail at most once: where nobody knows whether it left, a Task says so."""
    sponsor = mails.facts.user("Sponsor")
    for nth in itertools.count(1):
        _, invoice = mails.unpaid(Name=f"Company {nth}", Executive_Sponsor__c=sponsor)
        mails.facts.open(invoice)
        with killed_at(nth) as called:
            through = await _lives(mails.take("executive", invoice, run_id="run-1", finish=False))
        mails.company.ledger.ladders.release(mails.claims)
        mails.expire_leases()
        outcomes = await mails.take("executive", invoice, run_id="run-2")
        assert not any(one.error for one in outcomes[invoice]), f"killed after call {nth}: {called}"
        keys, posts, sent = about(mails, invoice)
        assert keys == [f"ladder:{invoice}:executive:executive_alert:mail"]
        assert posts == 1, f"killed after call {nth}: {called}"
        (task,) = [row for row in mails.records("Task") if invoice in row["O2C_Key__c"]]
        asked = task["Subject"].startswith("Find out whether")
        assert sent == 1 or (sent == 0 and asked), f"killed after call {nth}: {called}"
        if through:
            assert (sent, asked) == (1, False)
            assert nth > MANY_POINTS
            return


@pytest.mark.parametrize("restored", [False, True])
async def test_an_end_that_is_killed_anywhere(mails: Mails, restored: bool) -> None:
    for nth in itertools.count(1):
        customer, invoice = mails.unpaid()
        mails.facts.open(invoice, policy=policy(*ACTIONS))
        await mails.take("one", invoice)
        mails.pay(invoice)
        with killed_at(nth) as called:
            through = await _lives(mails.end(EndReason.PAID, invoice, run_id="run-1", keep=True))
        mails.company.ledger.ladders.release(mails.claims)
        if restored:
            mails.forget_effects()
        mails.expire_leases()
        assert await mails.end(EndReason.PAID, invoice, run_id="run-2") == {invoice: None}
        keys, posts, _ = about(mails, invoice)
        assert len(keys) == 3
        assert posts == 2, f"killed after call {nth}: {called}"
        for row in (*mails.records("Task"), *mails.records("Case")):
            if row["O2C_Key__c"] in keys:
                assert row["IsClosed"]
                assert row["Description"].count("it is paid.") == 1
        account = mails.facts.sync.account_of(customer)
        assert (account["Stripe_Payment_Health__c"], account["Payment_Escalated__c"]) == ("Healthy", False)
        if through:
            assert nth > 5
            return


async def _lives(work: Any) -> bool:
    """Whether it got to its end."""
    try:
        await work
    except Killed:
        return False
    return True
