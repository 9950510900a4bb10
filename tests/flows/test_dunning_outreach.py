"""Tasks to talk to customers at the wire: one a customer and day, with the history of each invoice."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from tests.flows.steps_world import Outcomes, Steps, policy, steps_of
from tests.world import World


@pytest.fixture
async def steps(world: World) -> AsyncIterator[Steps]:
    async with steps_of(world) as made:
        yield made


def notes(outcomes: Outcomes, invoice: str) -> dict[str, str]:
    return {str(one.action.kind): one.note for one in outcomes[invoice]}


def errors(outcomes: Outcomes) -> set[str]:
    """Codes of what is tried again."""
    return {one.error.code for some in outcomes.values() for one in some if one.error is not None}


async def test_one_task_to_talk_about_all_invoices_with_their_history(steps: Steps) -> None:
    customer, first = steps.unpaid()
    second = steps.again(customer)
    steps.facts.open(first, second)
    await steps.take("first-failure", first, second)
    record = steps.world.seeder.salesforce(
        [
            {"type": "Stripe_Invoice__c", "ref": "invoice", "Stripe_Invoice_Id__c": first},
            {
                "type": "Stripe_Payment__c",
                "ref": "payment",
                "Stripe_Charge_Id__c": "ch_1",
                "Invoice__c": "@invoice",
                "Status__c": "failed",
                "Amount__c": "100.00",
                "Currency__c": "usd",
                "Failure_Code__c": "expired_card",
                "Stripe_Created_At__c": "2026-11-20T10:00:00.000+0000",
            },
        ],
        raw=True,
    )
    assert record
    outcomes = await steps.take("csm-outreach", first, second)
    assert all(one.contacted for some in outcomes.values() for one in some)
    (task,) = [row for row in steps.records("Task") if "contact" in row["O2C_Key__c"]]
    day = steps.company.clock.now().date().isoformat()
    assert task["O2C_Key__c"] == f"o2c:contact:outreach_task:{customer}:{day}"
    told = task["Description"]
    assert "about 2 invoices: $200.00 USD unpaid" in told
    assert f"({first})" in told
    assert f"({second})" in told
    assert "- Fri 20 Nov 2026, 10:00 UTC, $100.00 USD: The card has expired." in told
    assert "1 of the attempts that Stripe counts is not listed" in told  # of the second
    assert told.count(": Payment failed") == 2  # the step that was taken


async def test_no_task_to_talk_about_what_is_paid_by_now(steps: Steps) -> None:
    customer, paid = steps.unpaid()
    other = steps.again(customer)
    steps.facts.open(paid, other)
    items = await steps.claimed("csm-outreach", paid, other)
    steps.facts.sync.stripe(f"invoices/{paid}/pay", paid_out_of_band=True)
    outcomes = await steps.act(items)
    assert notes(outcomes, paid) == {"outreach_task": "settled_meanwhile"}
    assert [one.contacted for one in outcomes[paid]] == [False]
    (task,) = steps.records("Task")
    assert other in task["Description"]
    assert paid not in task["Description"]


async def test_a_step_resumed_on_another_day_is_the_same_contact(steps: Steps) -> None:
    _, invoice = steps.unpaid()
    steps.facts.open(invoice)
    steps.world.fault("salesforce", method="POST", path="composite/sobjects", nth=1, drop="after")
    assert errors(await steps.take("csm-outreach", invoice))
    steps.world.pass_time(days=2)
    assert not errors(await steps.take("csm-outreach", invoice, run_id="run-2"))
    assert len(steps.records("Task")) == 1


async def test_a_restored_ledger_on_another_day_finds_the_contact(steps: Steps) -> None:
    _, invoice = steps.unpaid()
    twice = [{"kind": "outreach_task", "owner": owner} for owner in ("csm", "executive_sponsor")]
    steps.facts.open(invoice, policy=policy(*twice))
    await steps.take("one", invoice, finish=False)
    steps.forget_effects()
    with steps.company.ledger.database.write() as connection:
        connection.execute(text("DELETE FROM ledger_ladder_step"))
    steps.world.pass_time(days=1)
    assert not errors(await steps.take("one", invoice, run_id="run-2"))
    assert len(steps.records("Task")) == 2


async def test_another_ladder_of_the_day_is_added_to_the_task(steps: Steps) -> None:
    customer, first = steps.unpaid()
    second = steps.again(customer)
    steps.facts.open(first, second)
    await steps.take("csm-outreach", first)
    await steps.take("csm-outreach", second, run_id="run-2", finish=False)
    await steps.take("csm-outreach", second, run_id="run-2")
    (task,) = steps.records("Task")
    assert task["Description"].count(f"({second})") == 1
    assert task["Description"].count(f"({first})") == 1
