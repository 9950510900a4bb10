"""Deals that are not fit to be billed: each with its own clear reason, and nothing else held up."""

from __future__ import annotations

import pytest

from emulators.slack.render import broadcasts
from tasks.outcomes import DealStatus
from tests.flows.running import codes, held, outcome_of, run
from tests.world import World

pytestmark = pytest.mark.prefect

AWKWARD = 'O\'Brien \\ "Co" <!channel>'


class Batch:
    """Deals of every kind in one org: reason code → deal, and those that are billed nevertheless."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.bad: dict[str, tuple[str, str]] = {}
        self.good: dict[str, tuple[str, int]] = {}
        self.skipped: dict[str, tuple[str, str]] = {}
        self._customers()
        self._prices()
        self._amounts()
        self._others()

    def _hold(self, story: str, deal: str, code: str) -> None:
        self.bad[story] = (deal, code)

    def _customers(self) -> None:
        world = self.world
        mute = world.deal(world.account(Billing_Email__c=None))
        self._hold("no billing e-mail", mute, "billing_email_missing")
        wrong = world.account()
        raw = [{"type": "Account", "id": wrong, "Billing_Email__c": "billing@", "raw": True}]
        world.seeder.salesforce(raw)
        self._hold("malformed e-mail", world.deal(wrong), "billing_email_malformed")
        nowhere = world.deal(world.account(BillingCountry="Nirgendland"))
        self._hold("country that is none", nowhere, "billing_country_unknown")
        long_name = world.account()
        world.seeder.salesforce([{"type": "Account", "id": long_name, "Name": "N" * 300, "raw": True}])
        self._hold("name of 300 characters", world.deal(long_name), "customer_name_too_long")
        german = world.account(BillingCountry="Österreich")
        self.good["country in another language"] = (world.deal(german), 250_000)
        self.good["awkward name"] = (world.deal(world.account(Name=AWKWARD), Name=AWKWARD), 250_000)

    def _prices(self) -> None:
        world = self.world
        world.product("bare", "Without price", None, "10.00")
        self._hold("product without price", world.deal(lines=(("bare", 1, 10),)), "price_missing")
        world.product("typo", "With a typing error", "price_doesnotexist", "10.00")
        self._hold("unknown price", world.deal(lines=(("typo", 1, 10),)), "price_unknown")
        retired = world.seeder.price("Retired", 1000)
        world.seeder.stripe(f"prices/{retired}", active=False)
        world.product("retired", "Retired", retired, "10.00")
        self._hold("inactive price", world.deal(lines=(("retired", 1, 10),)), "price_unknown")
        world.product("euro", "Onboarding", world.prices["onboarding"], "2300.00", "EUR")
        euro = world.deal(lines=(("euro", 1, 2300),), CurrencyIsoCode="EUR")
        self._hold("price in another currency", euro, "price_currency_mismatch")
        monthly = world.seeder.price("Licence", 4_900, recurring={"interval": "month"})
        world.product("licence", "Licence", monthly, "49.00")
        self._hold("recurring deal", world.deal(lines=(("licence", 1, 49),)), "needs_subscription")
        mixed = world.deal(lines=(("licence", 1, 49), ("onboarding", 1, 2500)))
        self._hold("mixed deal", mixed, "needs_subscription")
        self.good["negotiated price"] = (world.deal(lines=(("day", 3, 1000),)), 300_000)
        self.good["half a unit"] = (world.deal(lines=(("day", 2.5, 1200),)), 300_000)

    def _amounts(self) -> None:
        world = self.world
        zero = world.deal(lines=(("day", 1, 0),))
        self._hold("zero", zero, "amount_zero")
        negative = world.deal(lines=(("day", 1, -100),), raw=True, Amount=-100)
        self._hold("negative", negative, "amount_negative")
        nothing = world.deal(lines=(("day", 0, 100), ("seat", 1, 150)), raw=True)
        self._hold("quantity 0", nothing, "quantity_not_positive")
        odd = world.deal(lines=(("day", 1, 1200),), raw=True)
        world.seeder.salesforce([{"type": "Opportunity", "id": odd, "Amount": 1300, "raw": True}])
        self._hold("lines that do not add up", odd, "lines_do_not_add_up")
        sixty = tuple(("seat", number + 1, 150) for number in range(60))
        self.good["60 lines"] = (world.deal(lines=sixty), 15_000 * sum(range(1, 61)))

    def _others(self) -> None:
        world = self.world
        lost = world.account()
        self._hold("Account deleted", world.deal(lost), "account_missing")
        world.control("salesforce", "delete", {"ids": [lost], "cascade": False})
        loser, master = world.account(), world.account()
        self.good["Account merged before"] = (world.deal(loser), 250_000)
        world.control("salesforce", "merge", {"master": master, "losers": [loser]})
        self.good["ordinary"] = (world.deal(), 250_000)
        old = world.deal(CloseDate="2025-12-31")
        self.skipped["closed before go-live"] = (old, "closed_before_go_live")
        renewal = world.deal(Type="Renewal")
        self.skipped["excluded type"] = (renewal, "excluded_type")
        self.skipped["open deal"] = (world.deal(StageName="Prospecting"), "stage_not_won")


async def test_each_reason_is_named_and_holds_nobody_else_up(books: World) -> None:
    batch = Batch(books)
    named = [deal for deal, _ in (*batch.bad.values(), *batch.good.values(), *batch.skipped.values())]
    summary = await run(*named)
    found = {story: codes(summary, deal)[:1] for story, (deal, _) in batch.bad.items()}
    assert found == {story: [code] for story, (_, code) in batch.bad.items()}
    for deal, total in batch.good.values():
        books.assert_billed_once(deal, total)
    for deal, code in batch.skipped.values():
        assert codes(summary, deal) == [code]
        assert outcome_of(summary, deal).status is DealStatus.SKIPPED
    assert summary.counts == {
        DealStatus.BILLED.value: len(batch.good),
        DealStatus.QUARANTINED.value: len(batch.bad),
        DealStatus.SKIPPED.value: len(batch.skipped),
    }
    assert len(books.invoices()) == len(batch.good)
    assert set(held()) == {deal for deal, _ in batch.bad.values()}
    _slack_is_told_once_and_calls_nobody(books, batch)
    # The same once more: nothing is billed, told or held again.
    books.forget_calls()
    again = await run()
    assert DealStatus.BILLED.value not in again.counts
    assert books.effects("stripe", "invoice", "created") == []
    assert books.slack_texts() == []


def _slack_is_told_once_and_calls_nobody(world: World, batch: Batch) -> None:
    posted = [entry for entry in world.calls("slack", path="chat.postMessage") if entry.effects]
    assert len(posted) == len(batch.good) + 1
    assert [broadcasts(entry.response["message"]) for entry in posted] == [[]] * len(posted)
    assert any("O'Brien" in entry.body["text"] for entry in posted)
