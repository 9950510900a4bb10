"""Ends of ladders at the wire: what they left behind is cleared away once, and nothing else is touched."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from order_to_cash.domain.dunning.facts import EndReason
from tests.flows.steps_world import Steps, policy, steps_of
from tests.world import World

ALL = ("payment_health", "account_status", "task", "case", "account_flag", "slack")


@pytest.fixture
async def steps(world: World) -> AsyncIterator[Steps]:
    async with steps_of(world) as made:
        yield made


async def climbed(steps: Steps, *actions: str) -> str:
    """An invoice whose ladder took a step with these actions, and which is paid now."""
    _, invoice = steps.unpaid()
    steps.facts.open(invoice, policy=policy(*(actions or ALL)))
    await steps.take("one", invoice)
    steps.facts.sync.stripe(f"invoices/{invoice}/pay", paid_out_of_band=True)
    return invoice


def one(rows: list[dict[str, Any]]) -> dict[str, Any]:
    (row,) = rows
    return row


async def test_a_paid_invoice_leaves_nothing_open(steps: Steps) -> None:
    invoice = await climbed(steps)
    account = one(steps.records("Account"))
    assert (account["Stripe_Payment_Health__c"], account["Payment_Escalated__c"]) == ("Failed", True)
    assert await steps.end(EndReason.PAID, invoice) == {invoice: None}
    account = one(steps.records("Account"))
    assert account["Stripe_Payment_Health__c"] == "Healthy"
    assert account["Stripe_Account_Status__c"] == "Prospect"
    assert account["Payment_Escalated__c"] is False
    number = steps.facts.sync.get(f"invoices/{invoice}")["number"]
    task, case = one(steps.records("Task")), one(steps.records("Case"))
    assert (task["Status"], case["Status"]) == ("Completed", "Closed")
    for row in (task, case):
        note, _, rest = row["Description"].partition("\n\n")
        assert note.endswith(f"UTC: closed. Invoice {number}: it is paid.")
        assert "could not" in rest or "owes $100.00 USD" in rest
    opened, answer = steps.posts()
    assert answer["thread_ts"] == steps.ts_of(opened)
    assert answer["text"].startswith("Paid: $100.00 USD")
    assert "1 Case and 1 Task were closed." in str(answer["blocks"])


async def test_the_invoice_shows_its_ladder_as_long_as_it_climbs(steps: Steps) -> None:
    _, invoice = steps.unpaid()
    steps.world.seeder.salesforce(
        [{"type": "Stripe_Invoice__c", "ref": "invoice", "Stripe_Invoice_Id__c": invoice}], raw=True
    )
    steps.facts.open(invoice, policy=policy("task"))
    await steps.take("one", invoice)
    record = one(steps.records("Stripe_Invoice__c"))
    assert record["Dunning_Step__c"] == "Look at it"
    assert record["Dunning_Next_Step_At__c"]
    assert await steps.end(EndReason.PAID, invoice) == {invoice: None}
    record = one(steps.records("Stripe_Invoice__c"))
    assert (record["Dunning_Step__c"], record["Dunning_Next_Step_At__c"]) == (None, None)


@pytest.mark.parametrize("reason", list(EndReason))
async def test_each_reason_is_told(steps: Steps, reason: EndReason) -> None:
    _, invoice = steps.unpaid()
    steps.facts.open(invoice, policy=policy("task", "slack"))
    await steps.take("one", invoice)
    assert await steps.end(reason, invoice) == {invoice: None}
    assert one(steps.records("Task"))["Status"] == "Completed"
    assert steps.posts()[-1]["thread_ts"] == steps.ts_of(steps.posts()[0])


@pytest.mark.parametrize("emptied", [False, True])
async def test_ending_again_changes_nothing(steps: Steps, emptied: bool) -> None:
    """After a kill before the ledger was told, with the ledger or with one of before all effects."""
    invoice = await climbed(steps)
    await steps.end(EndReason.PAID, invoice, keep=True)
    if emptied:
        steps.forget_effects()
    else:
        steps.expire_leases()
    before = {kind: steps.records(kind) for kind in ("Account", "Task", "Case")}
    steps.world.services["salesforce"].journal.clear()
    assert await steps.end(EndReason.PAID, invoice, run_id="run-2") == {invoice: None}
    assert {kind: steps.records(kind) for kind in before} == before
    assert steps.facts.sync.writes() == []
    assert len(steps.posts()) == 2


@pytest.mark.parametrize("drop", ["before", "after"])
@pytest.mark.parametrize("nth", [1, 2, 3])
async def test_a_lost_answer_is_made_good(steps: Steps, drop: str, nth: int) -> None:
    """Of the Account's flag, of the Task's and of the Case's end; and of the answer in the thread."""
    invoice = await climbed(steps)
    steps.world.fault("salesforce", method="PATCH", path="composite/sobjects", nth=[nth, nth + 1], drop=drop)
    steps.world.fault("slack", path="chat.postMessage", nth=1, drop=drop)
    for run in ("run-2", "run-3", "run-4"):
        errors = await steps.end(EndReason.PAID, invoice, run_id=run, keep=True)
        steps.expire_leases()
    assert errors == {invoice: None}
    assert one(steps.records("Account"))["Payment_Escalated__c"] is False
    assert one(steps.records("Task"))["Description"].count("it is paid.") == 1
    assert one(steps.records("Case"))["Description"].count("it is paid.") == 1
    assert len(steps.posts()) == 2


async def test_salesforce_down_is_tried_again_and_slack_waits(steps: Steps) -> None:
    invoice = await climbed(steps)
    ladders = steps.company.ledger.ladders
    steps.world.fault("salesforce", method="PATCH", path="composite", status=503)
    errors = await steps.end(EndReason.PAID, invoice)
    error = errors[invoice]
    assert error is not None
    assert error.retryable
    ladder = ladders.get(invoice)
    assert ladder is not None
    assert ladder.ended_at is None
    assert len(steps.posts()) == 1
    steps.world.no_faults()
    assert await steps.end(EndReason.PAID, invoice, run_id="run-2") == {invoice: None}
    assert one(steps.records("Task"))["Status"] == "Completed"
    assert len(steps.posts()) == 2


async def test_what_people_completed_and_what_is_others_stays_as_it_is(steps: Steps) -> None:
    invoice = await climbed(steps, "task", "case")
    _, other = steps.unpaid()
    steps.facts.open(other)
    await steps.take("first-failure", other)
    tasks = steps.records("Task")
    done = next(row for row in tasks if row["O2C_Key__c"].endswith(":task"))
    steps.world.update("Task", done["Id"], Status="Completed", Description="I called them.")
    await steps.end(EndReason.PAID, invoice)
    after = {row["O2C_Key__c"]: row for row in steps.records("Task")}
    assert after[done["O2C_Key__c"]]["Description"] == "I called them."
    assert after[f"ladder:{other}:first-failure:task"]["Status"] == "Not Started"


async def test_a_task_about_two_invoices_is_closed_with_the_second(steps: Steps) -> None:
    customer, first = steps.unpaid()
    second = steps.again(customer)
    steps.facts.open(first, second, policy=policy("outreach_task"))
    await steps.take("one", first, second)
    for run in ("run-2", "run-3"):
        await steps.end(EndReason.PAID, first, run_id=run, keep=run == "run-2")
        task = one(steps.records("Task"))
        assert task["Status"] == "Not Started"
        assert task["Description"].count("it is paid.") == 1
    await steps.end(EndReason.VOIDED, second)
    task = one(steps.records("Task"))
    assert task["Status"] == "Completed"
    assert "it was voided in Stripe" in task["Description"]


async def test_slack_down_keeps_no_ladder_from_ending(steps: Steps) -> None:
    invoice = await climbed(steps)
    steps.world.fault("slack", path="chat", status=503)
    assert await steps.end(EndReason.PAID, invoice) == {invoice: None}
    assert one(steps.records("Task"))["Status"] == "Completed"


async def test_a_record_that_cannot_be_closed_is_told_in_the_thread(steps: Steps) -> None:
    invoice = await climbed(steps, "task", "slack")
    refusal = {
        "success": False,
        "errors": [{"statusCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "message": "No", "fields": []}],
    }
    steps.world.fault(
        "salesforce", method="PATCH", path="composite/sobjects", body='"Task"', status=200, response=[refusal]
    )
    assert await steps.end(EndReason.PAID, invoice) == {invoice: None}
    assert "An open Task was not closed" in str(steps.posts()[-1]["blocks"])


async def test_an_account_with_another_unpaid_invoice_stays_failed(steps: Steps) -> None:
    """What its records say counts, before and after; nothing else is written to the Account."""
    customer, first = steps.unpaid()
    second = steps.again(customer)
    account = steps.facts.sync.account_of(customer)["Id"]
    failing = {
        "type": "Stripe_Invoice__c",
        "Account__c": account,
        "Status__c": "open",
        "Collection_Method__c": "charge_automatically",
        "Failure_Code__c": "expired_card",
        "Amount_Remaining__c": "100.00",
    }
    records = steps.world.seeder.salesforce(
        [{**failing, "ref": name, "Stripe_Invoice_Id__c": name} for name in (first, second)], raw=True
    )
    steps.facts.open(first, second, policy=policy("payment_health", "account_status"))
    steps.world.services["salesforce"].journal.clear()
    await steps.take("one", first, second)
    shown = steps.facts.sync.account_of(customer)
    assert (shown["Stripe_Payment_Health__c"], shown["Stripe_Account_Status__c"]) == (
        "Failed",
        "Payment Overdue",
    )
    to_account = [call for call in steps.facts.sync.writes() if "'Account'" in call]
    assert len(to_account) == 1  # the roll-up's own
    for name, health in ((first, "Failed"), (second, "Healthy")):
        steps.world.update("Stripe_Invoice__c", records[name], Status__c="paid", Amount_Remaining__c="0")
        assert await steps.end(EndReason.PAID, name) == {name: None}
        assert steps.facts.sync.account_of(customer)["Stripe_Payment_Health__c"] == health


async def test_a_ladder_that_told_nobody_ends_without_a_word(steps: Steps) -> None:
    invoice = await climbed(steps, "task")
    await steps.end(EndReason.PAID, invoice)
    assert steps.posts() == []
    assert one(steps.records("Task"))["Status"] == "Completed"


async def test_what_was_left_on_another_account_is_cleared_away_too(steps: Steps) -> None:
    """The customer was given to another Account while the ladder climbed."""
    invoice = await climbed(steps, "task", "outreach_task", "account_flag")
    before = one(steps.records("Account"))
    assert before["Payment_Escalated__c"] is True
    salesforce = steps.company.salesforce
    customer, name = before["Stripe_Customer_Id__c"], "Acme Holding"
    salesforce.update_rows("Account", [{"Id": before["Id"], "Stripe_Customer_Id__c": None}])
    steps.world.account(Stripe_Customer_Id__c=customer, Name=name)
    assert await steps.end(EndReason.PAID, invoice) == {invoice: None}
    assert [task["Status"] for task in steps.records("Task")] == ["Completed", "Completed"]
    accounts = {row["Id"]: row for row in steps.records("Account")}
    assert len(accounts) == 2
    assert accounts[before["Id"]]["Payment_Escalated__c"] is False
