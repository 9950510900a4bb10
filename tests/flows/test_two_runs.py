"""The schedule and an operator at once: each deal is billed exactly once, whichever database and Stripe do what."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import psycopg
import pytest

from flows.bill_won_deals import Mode
from tasks.outcomes import DealStatus, RunSummary
from tests.flows.conftest import Policy
from tests.flows.running import codes, ledger, outcome_of, run
from tests.ledger.conftest import postgres_url
from tests.world import World

pytestmark = pytest.mark.prefect


@contextmanager
def database(kind: str) -> Iterator[str]:
    """A ledger address of its own; empty for the SQLite file of the world."""
    if kind == "sqlite":
        yield ""
        return
    server, name = postgres_url(), f"o2c_flows_{uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        try:
            yield server.rpartition("/")[0] + f"/{name}"
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


BACKENDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


@pytest.mark.parametrize("idempotency", [True, False])
@pytest.mark.parametrize("backend", BACKENDS)
async def test_two_runs_at_once_bill_each_deal_once(
    books: World, policy: Policy, backend: str, idempotency: bool
) -> None:
    with database(backend) as address:
        await policy(ledger_url=address)
        books.settings("stripe", idempotency=idempotency, latency_seconds=0.05)
        shared = books.account()
        deals = [books.deal(shared), books.deal(shared), *(books.deal() for _ in range(4))]
        first, second = await asyncio.gather(run(), run(*deals))
        for deal in deals:
            ends = {outcome_of(one, deal).status for one in (first, second) if _has(one, deal)}
            assert DealStatus.FAILED not in ends
        # What waited for the other run is finished by the next.
        await run()
        for deal in deals:
            books.assert_billed_once(deal, 250_000)
        assert len(books.invoices()) == len(deals)
        assert len(books.effects("stripe", "customer", "created")) == 5
        assert len([text for text in books.slack_texts() if "2,500.00 USD" in text]) == len(deals)


def _has(summary: RunSummary, deal: str) -> bool:
    return any(one.opportunity_id == deal for one in summary.outcomes)


async def test_a_dead_runs_lease_is_waited_out_and_then_taken_over(books: World) -> None:
    deal = books.deal()
    planned = outcome_of(await run(deal, mode=Mode.PLAN), deal)
    assert planned.plan is not None
    with ledger() as opened:
        opened.obligations.claim(
            opportunity_id=deal,
            account_id=planned.plan.account_id,
            plan_digest=planned.plan.digest,
            amount=planned.plan.total,
            run_id="a run that was killed",
            lease_seconds=120,
        )
    waiting = await run(deal)
    assert waiting.in_words == "1 waiting"
    assert codes(waiting, deal) == ["claimed_elsewhere"]
    assert books.invoices() == []
    books.pass_time(seconds=121)
    assert (await run(deal)).in_words == "1 billed"
    books.assert_billed_once(deal, 250_000)
