"""Steps of ladders at the wire: Tasks, Cases, Accounts and Slack, each once whatever breaks or is repeated."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from order_to_cash.domain.dunning.facts import EndReason
from tests.flows.steps_world import Outcomes, Steps, policy, steps_of
from tests.world import World

REFUSAL = [
    {
        "success": False,
        "errors": [{"statusCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "message": "No", "fields": []}],
    }
]


@pytest.fixture
async def steps(world: World) -> AsyncIterator[Steps]:
    async with steps_of(world) as made:
        yield made


def notes(outcomes: Outcomes, invoice: str) -> dict[str, str]:
    return {str(one.action.kind): one.note for one in outcomes[invoice]}


def errors(outcomes: Outcomes) -> set[str]:
    """Codes of what is tried again."""
    return {one.error.code for some in outcomes.values() for one in some if one.error is not None}


async def test_the_first_failure_tells_the_csm_and_slack(steps: Steps) -> None:
    csm = steps.facts.user("Dana")
    _, invoice = steps.unpaid(Name="Acme & Co", CSM__c=csm)
    steps.facts.open(invoice)
    outcomes = await steps.take("first-failure", invoice)
    assert notes(outcomes, invoice) == {"payment_health": "", "account_status": "", "task": "", "slack": ""}
    assert errors(outcomes) == set()
    (account,) = steps.records("Account")
    assert account["Stripe_Payment_Health__c"] == "Failed"
    assert account["Stripe_Account_Status__c"] == "Payment Overdue"
    (task,) = steps.records("Task")
    number = steps.facts.sync.get(f"invoices/{invoice}")["number"]
    assert task["O2C_Key__c"] == f"ladder:{invoice}:first-failure:task"
    assert (task["WhatId"], task["OwnerId"]) == (account["Id"], csm)
    assert (task["Priority"], task["Status"]) == ("High", "Not Started")
    assert task["Subject"] == f"Payment failed: $100.00 USD, invoice {number}"
    for said in ("The bank declined the card", "Attempts so far: 1", "Stripe tries again on", "/i/acct_"):
        assert said in task["Description"]
    assert (
        "Next step, if it stays unpaid: Ask for another payment method (e-mail to the customer, Case)"
        in (task["Description"])
    )
    (post,) = steps.posts()
    assert post["text"] == "Payment failed: $100.00 USD, Acme &amp; Co"
    assert f"<https://org.example/{account['Id']}|Acme &amp; Co>" in str(post["blocks"])
    assert "Owner: Dana" in str(post["blocks"])


async def test_a_case_is_the_csms_and_made_once(steps: Steps) -> None:
    csm = steps.facts.user("Dana")
    _, invoice = steps.unpaid(Name="Acme", CSM__c=csm)
    steps.facts.open(invoice, policy=policy({"kind": "case", "owner": "csm"}))
    for run in ("run-1", "run-2"):
        outcomes = await steps.take("one", invoice, run_id=run, finish=False)
        assert notes(outcomes, invoice) == {"case": ""}
    (case,) = steps.records("Case")
    assert (case["OwnerId"], case["Priority"], case["Status"]) == (csm, "High", "New")
    assert case["O2C_Key__c"] == f"ladder:{invoice}:one:case"


@pytest.mark.parametrize("between", ["nothing", "killed", "ledger emptied"])
async def test_what_is_done_again_is_there_once(steps: Steps, between: str) -> None:
    """By the same run, by another after a kill, and with a ledger of before."""
    customer, first = steps.unpaid()
    second = steps.again(customer)
    actions = ["payment_health", "task", "case", "outreach_task", "slack"]
    steps.facts.open(first, second, policy=policy(*actions))
    for run in ("run-1", "run-2", "run-3"):
        outcomes = await steps.take("one", first, second, run_id=run, finish=False)
        assert errors(outcomes) == set()
        assert notes(outcomes, first) == dict.fromkeys(actions, "")
        if between == "killed":
            steps.expire_leases()
        if between == "ledger emptied":
            steps.forget_effects()
    assert len(steps.records("Case")) == 2
    assert len(steps.records("Task")) == 3  # one to talk to the customer about both
    assert len(steps.posts()) == 2


@pytest.mark.parametrize("drop", ["before", "after"])
@pytest.mark.parametrize("nth", [1, 2, 3])
async def test_a_lost_answer_is_looked_for(steps: Steps, drop: str, nth: int) -> None:
    """The insert of the Task, of the Case, of the Task to talk; and the post to Slack."""
    _, invoice = steps.unpaid()
    steps.facts.open(invoice, policy=policy("task", "case", "outreach_task", "slack"))
    steps.world.fault("salesforce", method="POST", path="composite/sobjects", nth=nth, drop=drop)
    steps.world.fault("slack", path="chat.postMessage", nth=1, drop=drop)
    outcomes = await steps.take("one", invoice)
    assert errors(outcomes) == {"outcome_unknown"}
    assert errors(await steps.take("one", invoice, run_id="run-2")) == set()
    assert (len(steps.records("Task")), len(steps.records("Case")), len(steps.posts())) == (2, 1, 1)


async def test_salesforce_down_leaves_the_step_begun_and_slack_told(steps: Steps) -> None:
    _, invoice = steps.unpaid()
    steps.facts.open(invoice, policy=policy("payment_health", "task", "slack"))
    steps.world.fault("salesforce", path="composite/sobjects", status=503)
    outcomes = await steps.take("one", invoice)
    assert errors(outcomes) == {"unavailable"}
    assert steps.records("Task") == []
    assert len(steps.posts()) == 1
    steps.world.no_faults()
    assert errors(await steps.take("one", invoice, run_id="run-2")) == set()
    (account,) = steps.records("Account")
    assert account["Stripe_Payment_Health__c"] == "Failed"
    assert (len(steps.records("Task")), len(steps.posts())) == (1, 1)


async def test_a_row_that_salesforce_refuses_is_told_and_the_ladder_climbs(steps: Steps) -> None:
    _, refused = steps.unpaid()
    _, other = steps.unpaid()
    steps.facts.open(refused, other, policy=policy("task", "slack"))
    steps.world.fault(
        "salesforce",
        method="POST",
        path="composite/sobjects",
        status=200,
        response=[*REFUSAL, *REFUSAL],
        nth=1,
    )
    outcomes = await steps.take("one", refused, other)
    assert errors(outcomes) == set()
    assert notes(outcomes, refused) == {"task": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "slack": ""}
    assert all("was refused" in str(post["blocks"]) for post in steps.posts())
    assert len(steps.posts()) == 2


async def test_what_a_step_without_slack_could_not_do_is_told_there(steps: Steps) -> None:
    _, invoice = steps.unpaid()
    steps.facts.open(invoice, policy=policy("case"))
    steps.world.fault(
        "salesforce", method="POST", path="composite/sobjects", status=200, response=REFUSAL, nth=1
    )
    outcomes = await steps.take("one", invoice)
    assert notes(outcomes, invoice) == {"case": "FIELD_CUSTOM_VALIDATION_EXCEPTION"}
    (post,) = steps.posts()
    assert post["metadata"]["event_payload"]["key"] == f"ladder:{invoice}:one:trouble"
    assert "The Case for Emulated Admin was refused" in str(post["blocks"])


async def test_slack_down_is_noted_and_the_ladder_climbs(steps: Steps) -> None:
    _, given = steps.unpaid()
    _, only = steps.unpaid()
    steps.facts.open(given, policy=policy("task", "slack"))
    steps.facts.open(only, policy=policy("slack"))
    steps.world.fault("slack", path="chat.postMessage", status=503)
    assert notes(await steps.take("one", given), given) == {"task": "", "slack": "slack: outcome_unknown"}
    assert steps.keys("Task") == [f"ladder:{given}:one:task"]  # it tells, no other is needed
    outcomes = await steps.take("one", only)
    assert notes(outcomes, only) == {"slack": "slack: outcome_unknown"}
    assert errors(outcomes) == set()
    task = next(row for row in steps.records("Task") if only in row["O2C_Key__c"])
    assert task["O2C_Key__c"] == f"ladder:{only}:one:slack:task"
    assert "Slack was not told" in task["Subject"]


async def test_without_an_account_slack_alone_is_told(steps: Steps) -> None:
    customer = steps.facts.sync.customer(known=False, card="pm_card_chargeCustomerFail", name="Nobody's")
    invoice = steps.again(customer)
    steps.facts.open(
        invoice, policy=policy("payment_health", "task", "case", "outreach_task", "account_flag")
    )
    outcomes = await steps.take("one", invoice)
    kinds = ("payment_health", "task", "case", "outreach_task", "account_flag")
    assert notes(outcomes, invoice) == dict.fromkeys(kinds, "no_account")
    assert steps.records("Task") == steps.records("Case") == []
    (post,) = steps.posts()
    assert "Salesforce has no Account of this customer" in str(post["blocks"])
    assert "Nobody's" in post["text"]


async def test_owners_are_those_of_the_policy_else_who_looks_after_the_account(steps: Steps) -> None:
    named, sponsor = steps.facts.user("Named"), steps.facts.user("Sponsor")
    _, invoice = steps.unpaid(Name="Acme", Executive_Sponsor__c=sponsor)
    actions = [
        {"kind": "task", "owner": owner}
        for owner in ("user:Named", "executive_sponsor", "account_owner", "user:Nobody", "csm")
    ]
    steps.facts.open(invoice, policy=policy(*actions))
    outcomes = await steps.take("one", invoice)
    assert [one.note for one in outcomes[invoice]] == ["", "", "", "owner_not_found", ""]
    owners = {row["O2C_Key__c"].rpartition("one:")[2]: row["OwnerId"] for row in steps.records("Task")}
    account_owner = steps.records("Account")[0]["OwnerId"]
    assert owners == {
        "task": named,
        "task:2": sponsor,
        "task:3": account_owner,
        "task:4": account_owner,
        "task:5": account_owner,
    }


async def test_the_flag_is_set_once(steps: Steps) -> None:
    _, invoice = steps.unpaid()
    steps.facts.open(invoice, policy=policy("account_flag"))
    await steps.take("one", invoice, finish=False)
    (account,) = steps.records("Account")
    assert account["Payment_Escalated__c"] is True
    steps.world.forget_calls()
    await steps.take("one", invoice, run_id="run-2")
    assert steps.facts.sync.writes() == []


async def test_an_earlier_step_is_shown_again_where_the_account_forgot(steps: Steps) -> None:
    _, invoice = steps.unpaid()
    steps.facts.open(invoice, policy=policy("account_status"))
    await steps.take("one", invoice)
    (account,) = steps.records("Account")
    steps.world.update("Account", account["Id"], Stripe_Account_Status__c="Active")
    await steps.take("later", invoice)
    assert steps.records("Account")[0]["Stripe_Account_Status__c"] == "Payment Overdue"


async def test_the_flag_of_another_ladder_stays(steps: Steps) -> None:
    customer, first = steps.unpaid()
    second = steps.again(customer)
    steps.facts.open(first, second, policy=policy("account_flag"))
    await steps.take("one", first, second)
    await steps.subjects(first, second)
    assert await steps.end(EndReason.VOIDED, first) == {first: None}
    assert steps.records("Account")[0]["Payment_Escalated__c"] is True
    assert await steps.end(EndReason.VOIDED, second) == {second: None}
    assert steps.records("Account")[0]["Payment_Escalated__c"] is False
