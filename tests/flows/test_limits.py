"""Runs that are too large, and single deals that are: nothing is billed before a person says so."""

from __future__ import annotations

from typing import Any

import pytest

from flows import approval
from order_to_cash.domain.errors import RunHeld
from tests.flows.conftest import Policy
from tests.flows.running import codes, error_of_run, held, run
from tests.world import World

pytestmark = pytest.mark.prefect


@pytest.mark.parametrize("limit", [{"max_deals_per_run": 1}, {"max_amount_per_run": "USD=4999.99"}])
async def test_a_run_over_its_limit_is_held_until_somebody_approves(
    books: World, policy: Policy, limit: dict[str, Any]
) -> None:
    await policy(**limit)
    deals = [books.deal() for _ in range(2)]
    books.fault("slack", path="chat.postMessage", status=500)
    assert isinstance(await error_of_run(*deals), RunHeld)
    books.no_faults()
    for _ in range(2):
        error = await error_of_run(*deals)
        assert isinstance(error, RunHeld)
        assert "approves" in error.remedy
    assert books.invoices() == []
    assert books.effects("stripe", "customer", "created") == []
    (asked,) = books.slack_texts()
    assert "2" in asked
    summary = await run(*deals, approved_by="Finance desk")
    assert summary.in_words == "2 billed"
    for deal in deals:
        books.assert_billed_once(deal, 250_000)


async def test_a_large_deal_waits_alone(books: World, policy: Policy) -> None:
    await policy(approval_limit="USD=10000", operator_ids="finance")
    large, small = books.deal(lines=(("onboarding", 5, 2500),)), books.deal()
    summary = await run(large, small)
    books.assert_billed_once(small, 250_000)
    assert codes(summary, large) == ["needs_approval"]
    assert held() == {large: {"needs_approval"}}
    assert books.invoices(large) == []
    error = await error_of_run(large, approved_by="somebody")
    assert isinstance(error, RunHeld)
    assert error.code == "approver_unknown"
    assert books.invoices(large) == []
    assert (await run(large, approved_by="finance")).in_words == "1 billed"
    books.assert_billed_once(large, 1_250_000)
    assert held() == {}


async def test_a_deployed_run_asks_in_the_ui_and_bills_nothing_before_it_is_answered(
    books: World, policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    await policy(max_deals_per_run=1)
    deals = [books.deal() for _ in range(2)]
    asked: list[str] = []

    async def suspended(*, wait_for_input: Any, **_: Any) -> Any:
        assert books.invoices() == []
        assert books.effects("stripe", "customer", "created") == []
        asked.append(wait_for_input._description)
        return approval.Approval(approved_by="Finance desk")

    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "7b0f6c1e-0000-4000-8000-000000000000")
    monkeypatch.setattr(approval, "asuspend_flow_run", suspended)
    assert (await run(*deals)).in_words == "2 billed"
    assert len(asked) == 1
    assert "May this run bill?" in asked[0]
    for deal in deals:
        books.assert_billed_once(deal, 250_000)


async def test_an_approval_is_bound_to_the_deals_that_were_shown(
    books: World, policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    await policy(max_deals_per_run=1)
    deals = [books.deal() for _ in range(2)]
    keys: list[str] = []

    async def asked(*, key: str, **_: Any) -> Any:
        keys.append(key)
        raise RunHeld("Nobody answers in this test.")

    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "7b0f6c1e-0000-4000-8000-000000000000")
    monkeypatch.setattr(approval, "asuspend_flow_run", asked)
    for named in (deals, reversed(deals), [*deals, books.deal()]):
        assert isinstance(await error_of_run(*named), RunHeld)
    first, same, more = keys
    assert first.startswith("approval-")
    assert first == same != more
    # The same deals at another price are not what was approved.
    row = {"PricebookEntryId": books.entries["day"], "Quantity": 1, "UnitPrice": 1200}
    books.seeder.salesforce([{"type": "OpportunityLineItem", "OpportunityId": deals[0], **row}])
    await error_of_run(*deals)
    assert keys[-1] not in {first, more}
