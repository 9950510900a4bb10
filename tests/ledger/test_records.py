"""Links, quarantine, customers and watermarks."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from order_to_cash.domain.records import Environment, StripeCustomer
from order_to_cash.ledger.customers import name_key
from order_to_cash.ledger.ledger import Ledger
from order_to_cash.ledger.quarantine import Held
from tests.ledger.support import START, MovableClock

HELD = Held(
    record_type="Opportunity",
    record_id="006000000000001AAA",
    code="billing_email_missing",
    field="BillTo.email",
    message="No billing e-mail address.",
    remedy="Add one to the Account.",
    owner_id="005000000000001AAA",
    digest="digest-1",
    system_modstamp=START,
)


def test_links_both_ways(ledger: Ledger, url: str, clock: MovableClock) -> None:
    ledger.links.put("customer", "cus_1", "Account", "001A")
    clock.advance(seconds=1)
    ledger.links.put_many(
        [
            ("customer", "cus_2", "Account", "001A"),
            ("invoice", "in_1", "Opportunity", "006A"),
            ("invoice", "in_1", "Stripe_Invoice__c", "a01A"),
            ("customer", "cus_1", "Account", "001A"),
        ]
    )
    assert [link.stripe_id for link in ledger.links.by_salesforce("Account", "001A")] == ["cus_1", "cus_2"]
    assert ledger.links.by_salesforce("Account", "001A", "invoice") == []
    assert len(ledger.links.by_stripe("invoice", "in_1")) == 2
    [deal] = ledger.links.by_stripe("invoice", "in_1", "Opportunity")
    assert (deal.salesforce_id, deal.environment, deal.linked_at) == ("006A", "emulator", clock.now())
    ledger.links.put("customer", "cus_2", "Account", "001B")  # the Account was merged into another
    assert [link.salesforce_id for link in ledger.links.by_stripe("customer", "cus_2")] == ["001B"]
    with Ledger.open(url, clock=clock, environment=Environment.TEST) as other:
        assert other.links.by_stripe("invoice", "in_1") == []


def test_an_owner_is_told_once_for_each_content(ledger: Ledger, clock: MovableClock) -> None:
    quarantine = ledger.quarantine
    assert quarantine.put(HELD) is True
    assert quarantine.put(HELD) is False
    assert quarantine.is_held(HELD.record_id, "digest-1")
    assert not quarantine.is_held(HELD.record_id, "digest-2")
    [entry] = quarantine.untold()
    assert (entry.message, entry.system_modstamp, entry.times_opened) == (HELD.message, START, 1)
    clock.advance(minutes=1)
    assert quarantine.put(replace(HELD, digest="digest-2")) is True
    quarantine.told([entry])  # told of the content before
    [entry] = quarantine.untold()
    assert (entry.digest, entry.times_opened, entry.opened_at) == ("digest-2", 2, clock.now())
    quarantine.told([entry])
    assert quarantine.untold() == []
    assert [held.told_at for held in quarantine.open()] == [clock.now()]


def test_what_passes_is_resolved_and_news_when_it_comes_back(ledger: Ledger) -> None:
    assert ledger.quarantine.put(HELD)
    assert ledger.quarantine.resolve(HELD.record_id) == 1
    assert ledger.quarantine.resolve(HELD.record_id) == 0
    assert not ledger.quarantine.is_held(HELD.record_id, HELD.digest)
    assert ledger.quarantine.open() == []
    assert ledger.quarantine.put(HELD) is True


def test_a_batch_resolves_reasons_that_are_gone(ledger: Ledger) -> None:
    amount = replace(HELD, code="amount_zero")
    other = replace(HELD, record_id="006000000000002AAA")
    assert len(ledger.quarantine.put_many([HELD, amount, other])) == 3
    assert ledger.quarantine.put_many([amount]) == []
    held = {(entry.record_id, entry.code) for entry in ledger.quarantine.open()}
    assert held == {(amount.record_id, "amount_zero"), (other.record_id, "billing_email_missing")}
    digests = {amount.record_id: "digest-1", other.record_id: "changed", "006000000000003AAA": ""}
    assert ledger.quarantine.held_among(digests) == {amount.record_id}
    assert ledger.quarantine.resolve_many([amount.record_id, other.record_id]) == 2
    assert ledger.quarantine.put_many([]) == []


def customer(number: int, **values: object) -> StripeCustomer:
    return StripeCustomer.model_validate({"customer_id": f"cus_{number}", "created": START} | values)


def test_candidates_share_something(ledger: Ledger) -> None:
    mirrored = [
        customer(1, name="Café Olé, S.A.", email="Bills@Olé.example", currency="eur"),
        customer(2, name="CAFE OLE SA", currency="usd"),
        customer(3, account_id="001A", name="Other"),
        customer(4, email="billing@shop.example"),
        customer(5, email="billing@shop.example", deleted=True),
        customer(6, name='O\'Brien \\ "Co" 100%', email=""),
    ]
    ledger.customers.upsert_many(mirrored)

    def found(name: str = "", email: str = "", domain: str = "", account_id: str = "") -> list[str]:
        matches = ledger.customers.candidates(
            name=name, email=email, domain=domain, account_id=account_id, currency="USD"
        )
        return [match.customer_id for match in matches]

    assert found(name="Cafe Ole SA") == ["cus_2", "cus_1"]
    assert found(email="BILLING@shop.example") == ["cus_4"]
    assert found(domain="shop.example", account_id="001A") == ["cus_3", "cus_4"]
    assert found(name="o'brien co 100", email="") == ["cus_6"]
    assert found() == []
    assert ledger.customers.get("cus_1") == mirrored[0].model_copy(update={"email": "bills@olé.example"})


def test_an_account_id_is_mirrored_in_its_long_form(ledger: Ledger) -> None:
    ledger.customers.upsert_many([customer(1, account_id="001000000000001"), customer(2, account_id="n/a")])
    [found] = ledger.customers.candidates(account_id="001000000000001AAA")
    assert (found.customer_id, found.account_id) == ("cus_1", "001000000000001AAA")


def test_the_mirror_follows_and_forgets(ledger: Ledger) -> None:
    ledger.customers.upsert_many([customer(1, name="A"), customer(1, name="B")])
    ledger.customers.upsert_many([customer(1, name="C", deleted=True)])
    stored = ledger.customers.get("cus_1")
    assert stored is not None
    assert (stored.name, stored.deleted) == ("C", True)
    assert ledger.customers.forget(["cus_1", "cus_2"]) == 1
    assert ledger.customers.get("cus_1") is None
    ledger.customers.upsert_many([])


def test_the_mirror_knows_how_fresh_it_is(ledger: Ledger) -> None:
    assert ledger.customers.refreshed_at() is None
    ledger.customers.refreshed(START)
    ledger.customers.refreshed(START - timedelta(days=1))
    assert ledger.customers.refreshed_at() == START


def test_a_name_key_is_what_people_mean() -> None:
    assert name_key("Café Olé, S.A.") == name_key("CAFE OLE") == "cafeole"
    assert name_key("株式会社") == "株式会社"


def test_a_watermark_never_goes_back(ledger: Ledger) -> None:
    marks = ledger.watermarks
    assert marks.get("deals") is None
    assert marks.set("deals", START, "006a")
    assert not marks.set("deals", START, "006a")
    assert not marks.set("deals", START, "006B")  # 'B' < 'a' by bytes, on both databases
    assert marks.set("deals", START, "006b")
    assert not marks.set("deals", START - timedelta(microseconds=1), "006z")
    assert marks.set("deals", START + timedelta(microseconds=1))
    mark = marks.get("deals")
    assert mark is not None
    assert (mark.modstamp, mark.record_id) == (START + timedelta(microseconds=1), "")
    marks.reset("deals")
    assert marks.get("deals") is None
