"""Plan mode shows what would be billed, and touches nothing."""

from __future__ import annotations

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.sorting import ArtifactSort

from flows.bill_won_deals import Mode
from tasks.outcomes import DealStatus
from tests.flows.running import codes, held, ledger, run
from tests.world import World

pytestmark = pytest.mark.prefect


async def newest_artifact(key: str) -> str:
    async with get_client() as client:
        (found, *_) = await client.read_artifacts(
            artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])),
            sort=ArtifactSort.CREATED_DESC,
            limit=1,
        )
    return str(found.data)


async def test_a_plan_shows_customer_lines_and_reasons_and_masks_addresses(books: World) -> None:
    account = books.account(
        Name="Northgate Works",
        Billing_Email__c="accounts.payable@northgate.example",
        BillingStreet="17 Harbour Lane",
        BillingCity="Plymouth",
    )
    good = books.deal(account, lines=(("onboarding", 1, 2500), ("seat", 3, 120)))
    bad = books.deal(books.account(Billing_Email__c=None))
    books.forget_calls()
    summary = await run(good, bad, mode=Mode.PLAN)
    assert summary.counts == {DealStatus.PLANNED.value: 1, DealStatus.QUARANTINED.value: 1}
    assert codes(summary, bad) == ["billing_email_missing"]
    shown = await newest_artifact("billing-plan")
    for part in ("Nothing was touched", "Northgate Works", "2,860.00 USD", "billing e-mail"):
        assert part in shown
    for part in ("accounts.payable", "Harbour Lane"):
        assert part not in shown
    _nothing_was_touched(books)
    assert held() == {}
    with ledger() as opened:
        assert opened.obligations.unfinished() == []
        assert opened.watermarks.get("billed-deals") is None


async def test_the_plan_of_the_sweep_touches_nothing_either(books: World) -> None:
    billed, open_end = books.deal(), books.deal()
    await run(billed)
    books.fault("salesforce", method="PATCH", status=503)
    await run(open_end)
    books.no_faults()
    books.update("Opportunity", billed, StageName="Closed Lost")
    books.deal()
    books.forget_calls()
    summary = await run(mode=Mode.PLAN)
    assert summary.counts[DealStatus.PLANNED.value] == 1
    assert codes(summary, billed) == ["edited_after_billing"]
    _nothing_was_touched(books)
    assert held() == {}


def _nothing_was_touched(world: World) -> None:
    for name, service in world.services.items():
        assert service.journal.effects() == [], name
        changing = [call for call in world.calls(name) if call.method != "GET"]
        assert [call.path for call in changing if not call.path.endswith("/oauth2/token")] == [], name
