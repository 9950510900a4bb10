"""What is known of a ladder: read over the wire, in few calls, and never guessed. What Salesforce says of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from order_to_cash.domain.dunning.decision import Held, next_step
from order_to_cash.domain.dunning.default_policy import DEFAULT_POLICY
from order_to_cash.domain.dunning.facts import EndReason, Hold, InvoiceStatus
from order_to_cash.domain.dunning.reading import read_policy
from order_to_cash.domain.dunning.steps import Owner
from order_to_cash.domain.errors import Unavailable
from tasks.dunning_facts import named_owners, peoples_word
from tasks.dunning_items import AccountFacts
from tests.flows.facts_world import DECLINED, Facts, end_of, facts_of
from tests.world import World


@pytest.fixture
async def facts(world: World) -> AsyncIterator[Facts]:
    async with facts_of(world) as made:
        yield made


async def test_one_call_to_stripe_an_invoice_and_one_to_salesforce_for_all(facts: Facts) -> None:
    invoices = [facts.failed(facts.sync.customer(card=DECLINED)) for _ in range(5)]
    facts.open(*invoices)
    await facts.read()  # logs in
    facts.world.forget_calls()
    items = await facts.read()
    assert set(items) == set(invoices)
    assert len(facts.world.calls("stripe")) == len(invoices)
    assert len(facts.world.calls("salesforce")) == 1
    for item in items.values():
        assert item.error is None
        assert item.facts is not None
        assert item.policy == facts.policy
        read = item.facts.invoice
        assert read.status is InvoiceStatus.OPEN
        assert read.decline_code == "generic_decline"
        assert read.attempt_count == 1
        assert read.next_payment_attempt is not None
        assert read.customer_deleted is False
        assert read.subscription_id == ""
        assert item.account.account_id
        assert item.customer["id"] == item.invoice["customer"] == item.claim.ladder.customer_id


async def test_when_salesforce_does_not_answer_nothing_is_decided(facts: Facts) -> None:
    """A hold may stand there."""
    invoice = facts.failed(facts.sync.customer(card=DECLINED))
    facts.open(invoice)
    facts.world.fault("salesforce", path="query|composite", status=503, times=100)
    item = await facts.read_one(invoice)
    assert isinstance(item.error, Unavailable)
    assert item.facts is None


async def test_without_an_account_the_ladder_climbs_all_the_same(facts: Facts) -> None:
    customer = facts.sync.customer(known=False, card=DECLINED, email="Pay@Nobody.example", name="Nobody Ltd")
    invoice = facts.failed(customer)
    facts.open(invoice)
    item = await facts.read_one(invoice)
    assert item.error is None
    assert item.facts is not None
    assert item.account == AccountFacts(billing_name="Nobody Ltd", billing_email="pay@nobody.example")


async def test_the_account_is_the_linked_one_else_the_one_that_is_named(facts: Facts) -> None:
    customers = [facts.sync.customer(known=False, card=DECLINED) for _ in range(3)]
    linked, named = facts.world.account(Name="Linked"), facts.world.account(Name="Named")
    facts.world.account(Name="Carrier", Stripe_Customer_Id__c=customers[2])
    links = facts.company.ledger.links
    links.put("customer", customers[0], "Account", linked)
    links.put("customer", customers[2], "Account", "001000000000000AAA")  # merged away
    facts.sync.stripe(f"customers/{customers[1]}", metadata={"salesforce_account_id": named})
    invoices = [facts.failed(customer) for customer in customers]
    facts.open(*invoices)
    items = await facts.read()
    assert [items[one].account.account_name for one in invoices] == ["Linked", "Named", "Carrier"]


async def test_who_looks_after_it_and_who_stands_in(facts: Facts) -> None:
    csm, sponsor, owner = facts.user("Csm"), facts.user("Sponsor"), facts.user("Owner")
    left = facts.user("Left", IsActive=False)
    fields = [
        {"CSM__c": csm, "Executive_Sponsor__c": sponsor, "OwnerId": owner},
        {"CSM__c": left, "Executive_Sponsor__c": left, "OwnerId": owner},
        {"CSM__c": left, "OwnerId": left},
    ]
    facts.user("Fallback", Name="Ann Fallback")
    facts.policy = read_policy(DEFAULT_POLICY | {"fallback_owner": "user:Ann Fallback"})
    invoices = []
    for given in fields:
        customer = facts.sync.customer(known=False, card=DECLINED)
        account = facts.world.account(Stripe_Customer_Id__c=customer)
        facts.world.seeder.salesforce([{"type": "Account", "id": account, **given}], raw=True)
        invoices.append(facts.failed(customer))
    facts.open(*invoices)
    items = await facts.read()
    found = [items[invoice].account for invoice in invoices]
    assert [one.owner.name for one in found] == ["Csm", "Owner", "Ann Fallback"]
    assert [one.owner_email for one in found] == ["csm@us.example", "owner@us.example", "fallback@us.example"]
    assert [one.executive.name for one in found] == ["Sponsor", "Owner", "Ann Fallback"]
    assert [one.account_owner.name for one in found] == ["Owner", "Owner", ""]


async def test_users_and_queues_that_a_policy_names(facts: Facts) -> None:
    facts.user("Twin", Username="one@org.example")
    facts.user("Twin", Username="two@org.example")
    queue = {"type": "Group", "ref": "queue", "Name": "Collections", "DeveloperName": "Coll", "Type": "Queue"}
    queue_id = facts.world.seeder.salesforce([queue], raw=True)["queue"]
    asked = {
        name: Owner.model_validate(name)
        for name in ("user:Twin", "user:two@org.example", "queue:collections", "queue:Coll", "queue:None")
    }
    found = await named_owners(facts.company, asked.values())
    assert set(found) == {asked["user:two@org.example"], asked["queue:collections"], asked["queue:Coll"]}
    assert found[asked["queue:Coll"]].person.user_id == queue_id


async def test_the_billing_contact_is_the_accounts_else_the_customers(facts: Facts) -> None:
    account_first, bad, none = (
        facts.sync.customer(known=False, card=DECLINED, email=email)
        for email in ("a@stripe.example", "b@stripe.example", "")
    )
    facts.world.account(Stripe_Customer_Id__c=account_first, Billing_Email__c="Bills@acme.example")
    for customer in (bad, none):
        facts.world.account(Stripe_Customer_Id__c=customer, Billing_Email__c=None)
    invoices = [facts.failed(customer) for customer in (account_first, bad, none)]
    facts.open(*invoices)
    items = await facts.read()
    told = [items[invoice].account.billing_email for invoice in invoices]
    assert told == ["bills@acme.example", "b@stripe.example", ""]


# Fields of the Account, in how many days its hold ends, and whether it is held.
HOLDS: list[tuple[dict[str, object], int | None, bool]] = [
    ({"Dunning_Hold__c": True}, None, True),
    ({"Dunning_Hold__c": True, "Dunning_Hold_Reason__c": "In talks"}, None, True),
    ({"Dunning_Hold__c": True}, 3, True),
    ({}, 3, True),
    ({"Dunning_Hold__c": True}, -1, False),
    ({}, -1, False),
    ({"Dunning_Hold_Reason__c": "was once"}, None, False),
]


async def test_people_hold_it_in_salesforce(facts: Facts) -> None:
    today = facts.company.clock.now().date()
    invoices = {}
    for number, (fields, days, _) in enumerate(HOLDS):
        customer = facts.sync.customer(known=False, card=DECLINED)
        invoices[facts.sync.invoice(customer)] = number
        until = {} if days is None else {"Dunning_Hold_Until__c": (today + timedelta(days=days)).isoformat()}
        zone = {"Billing_Time_Zone__c": "America/New_York"}
        facts.world.account(Stripe_Customer_Id__c=customer, **zone, **fields, **until)
    facts.open(*invoices)
    items = await facts.read()
    on_hold = (await peoples_word.fn(facts.company)).on_hold
    for invoice, number in invoices.items():
        fields, days, held = HOLDS[number]
        item = items[invoice]
        assert item.facts is not None
        assert item.policy is not None
        decision = next_step(item.facts, item.policy, facts.company.clock.now())
        assert (isinstance(decision, Held), item.account.on_hold) == (held, held), fields
        assert (item.claim.ladder.customer_id in on_hold) is held
        if isinstance(decision, Held):
            assert decision.reason == fields.get("Dunning_Hold_Reason__c", "")
            assert (decision.until is None) is (days is None)
            if decision.until is not None:
                assert decision.until.date() == today + timedelta(days=days or 0)
                assert decision.until.hour in {4, 5}  # midnight in New York


async def test_of_two_holds_the_longer_counts(facts: Facts) -> None:
    customer = facts.sync.customer(known=False, card=DECLINED)
    invoice = facts.failed(customer)
    now = facts.company.clock.now()
    tomorrow = (now + timedelta(days=1)).date().isoformat()
    facts.world.account(Stripe_Customer_Id__c=customer, Dunning_Hold_Until__c=tomorrow)
    facts.open(invoice)
    later = now + timedelta(days=9)
    facts.company.ledger.ladders.hold(invoice_id=invoice, until=later, reason="asked us to", by="ann")
    item = await facts.read_one(invoice)
    assert item.facts is not None
    assert item.facts.hold == Hold(until=later, reason="asked us to")


async def test_what_a_person_wrote_off_ends_and_is_looked_for(facts: Facts) -> None:
    customer = facts.sync.customer(card=DECLINED)
    invoice = facts.failed(customer)
    record = {"type": "Stripe_Invoice__c", "ref": "row", "Stripe_Invoice_Id__c": invoice, "Status__c": "open"}
    record_id = facts.world.seeder.salesforce([record])["row"]
    facts.open(invoice)
    item = await facts.read_one(invoice)
    assert item.account.invoice_record_id == record_id
    assert end_of(item) is None
    assert (await peoples_word.fn(facts.company)).written_off == set()
    facts.world.update("Stripe_Invoice__c", record_id, Written_Off__c=True)
    assert end_of(await facts.read_one(invoice)) is EndReason.WRITTEN_OFF
    assert (await peoples_word.fn(facts.company)).written_off == {invoice}


async def test_segment_and_time_zone_are_known_or_not(facts: Facts) -> None:
    customers = [facts.sync.customer(known=False, card=DECLINED) for _ in range(2)]
    told = {"Dunning_Segment__c": "Enterprise", "Billing_Time_Zone__c": "Europe/Berlin"}
    facts.world.account(Stripe_Customer_Id__c=customers[0], **told)
    facts.world.account(Stripe_Customer_Id__c=customers[1], Billing_Time_Zone__c="Berlin, I think")
    invoices = [facts.failed(customer) for customer in customers]
    facts.open(*invoices)
    items = await facts.read()
    read = [items[invoice].facts for invoice in invoices]
    assert [one and (one.segment, one.time_zone) for one in read] == [
        ("Enterprise", "Europe/Berlin"),
        (None, None),
    ]


async def test_a_ladder_keeps_the_policy_that_it_began_with(facts: Facts) -> None:
    first, second = (facts.failed(facts.sync.customer(card=DECLINED)) for _ in range(2))
    older = read_policy(DEFAULT_POLICY | {"quiet_period": "30h"})
    facts.open(first, policy=older)
    facts.open(second)
    items = await facts.read()
    assert items[first].policy == older
    assert items[second].policy == facts.policy
