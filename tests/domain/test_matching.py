"""Customers are matched in the order of trust, never guessed, whatever the order they are given in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_to_cash.domain.errors import AmbiguousCustomer, RecordRejected
from order_to_cash.domain.matching import (
    MatchDecision,
    check_mailbox,
    fits,
    names_agree,
    normalized_name,
    score_candidates,
)
from order_to_cash.domain.records import CustomerMatch, EmailSource, StripeCustomer
from tests.domain.deals import ACCOUNT, bill_to, customer

OTHER = "001000000000002AAA"

BY_KIND = {
    CustomerMatch.STRIPE_ID: customer("cus_id"),
    CustomerMatch.METADATA: customer("cus_meta", account_id=ACCOUNT),
    CustomerMatch.EMAIL: customer("cus_mail", email="Billing@Northwind.example"),
    CustomerMatch.DOMAIN: customer("cus_domain", email="ap@northwind.example", name="Northwind Trader, Inc."),
    CustomerMatch.NAME: customer("cus_name", name="NORTHWIND TRADERS GmbH"),
}
ACCOUNT_WITH_ID = bill_to(stripe_customer_id="cus_id")


def decide(*candidates: StripeCustomer, currency: str = "USD") -> MatchDecision:
    return score_candidates(ACCOUNT_WITH_ID, currency, candidates)


@pytest.mark.parametrize("kind", BY_KIND)
def test_each_way_finds_its_customer(kind: CustomerMatch) -> None:
    decision = decide(BY_KIND[kind], customer("cus_stranger", name="Contoso", email="a@contoso.example"))
    assert (decision.kind, decision.customer_id) == (kind, BY_KIND[kind].customer_id)
    assert decision.reason
    assert [one.customer_id for one in decision.candidates][-1] == "cus_stranger"


@given(st.permutations(list(BY_KIND)), st.integers(1, 5))
def test_the_more_trusted_way_wins_in_any_order(kinds: list[CustomerMatch], count: int) -> None:
    some = kinds[:count]
    best = next(kind for kind in BY_KIND if kind in some)
    decision = decide(*(BY_KIND[kind] for kind in some))
    assert decision.kind is best


IDS = st.sampled_from(["cus_id", "cus_a", "cus_b", "cus_c", "cus_d"])
CANDIDATES = st.lists(
    st.builds(
        StripeCustomer,
        customer_id=IDS,
        name=st.sampled_from(["", "Northwind Traders", "Northwind Traders Ltd", "Contoso"]),
        email=st.sampled_from(
            ["", "billing@northwind.example", "ap@northwind.example", "x@gmail.com", "a@contoso.example"]
        ),
        account_id=st.sampled_from(["", ACCOUNT, OTHER]),
        currency=st.sampled_from(["", "usd", "eur"]),
        deleted=st.booleans(),
    ),
    max_size=5,
    unique_by=lambda one: one.customer_id,
)


def _result(candidates: list[StripeCustomer]) -> tuple[str, str | None]:
    try:
        decision = decide(*candidates)
    except AmbiguousCustomer as error:
        return "ambiguous", error.ids["customers"]
    return decision.kind.value, decision.customer_id


@given(CANDIDATES, st.randoms(use_true_random=False))
def test_the_laws_of_matching(candidates: list[StripeCustomer], random: object) -> None:
    kind, chosen = _result(candidates)
    shuffled = candidates[::-1] + candidates[:2]
    assert _result(shuffled) == (kind, chosen)
    by_id = {one.customer_id: one for one in candidates}
    for customer_id in (chosen or "").split(", "):
        if customer_id:
            found = by_id[customer_id]
            assert not found.deleted
            assert found.currency in {"", "usd"}
            assert found.account_id != OTHER or customer_id == "cus_id"
    if kind == "none":
        assert chosen is None
        mine = [one for one in candidates if one.account_id == ACCOUNT and not one.deleted]
        assert all(one.currency == "eur" for one in mine)


def test_a_customer_of_another_account_is_not_taken_by_address_or_name() -> None:
    taken = customer("cus_1", name="Northwind Traders", email="billing@northwind.example", account_id=OTHER)
    assert decide(taken).kind is CustomerMatch.NONE


def test_the_customer_named_on_the_account_wins_over_metadata_unless_it_is_gone() -> None:
    assert (
        decide(customer("cus_id", account_id=OTHER), BY_KIND[CustomerMatch.METADATA]).customer_id == "cus_id"
    )
    gone = decide(customer("cus_id", deleted=True), BY_KIND[CustomerMatch.METADATA])
    assert gone.customer_id == "cus_meta"


def test_one_customer_per_currency() -> None:
    euro = customer("cus_eur", account_id=ACCOUNT, currency="eur")
    dollar = customer("cus_usd", account_id=ACCOUNT, currency="usd")
    fresh = customer("cus_new", account_id=ACCOUNT)
    assert decide(euro).kind is CustomerMatch.NONE
    assert decide(euro, dollar, fresh).customer_id == "cus_usd"
    assert decide(euro, dollar, fresh, currency="GBP").customer_id == "cus_new"


def test_several_equally_good_are_held_for_a_person() -> None:
    twins = [customer(f"cus_{number}", email="billing@northwind.example") for number in (2, 1)]
    with pytest.raises(AmbiguousCustomer, match="cus_1, cus_2") as held:
        decide(*twins)
    assert held.value.code == "customer_ambiguous"
    assert "northwind.example" not in str(held.value)
    named = [*twins, customer("cus_3", email="billing@northwind.example", name="Northwind Traders")]
    assert decide(*named).customer_id == "cus_3"


def test_a_free_mail_domain_says_nothing() -> None:
    private = bill_to(email="northwind@gmail.com")
    other = customer("cus_1", email="someone@gmail.com", name="Northwind Trader")
    assert score_candidates(private, "usd", [other]).kind is CustomerMatch.NONE


def test_a_shared_domain_needs_a_closely_agreeing_name() -> None:
    sister = customer("cus_1", email="ap@northwind.example", name="Northwind Logistics")
    assert decide(sister).kind is CustomerMatch.NONE


def test_the_same_name_at_another_company_is_held_for_a_person() -> None:
    with pytest.raises(AmbiguousCustomer, match="cus_1"):
        decide(customer("cus_1", name="Northwind Traders", email="ap@northwind-traders.example"))
    assert decide(customer("cus_1", name="Northwind Traders", email="x@gmail.com")).kind is CustomerMatch.NAME


@pytest.mark.parametrize(
    "name", ["", "Northwind", "NORTHWIND TRADER", "The Northwind Traders Company of Seattle"]
)
def test_an_email_address_is_enough_where_the_names_may_be_one(name: str) -> None:
    decision = decide(customer("cus_1", name=name, email="billing@northwind.example"))
    assert decision.kind is CustomerMatch.EMAIL


def test_an_email_address_under_another_companys_name_is_held_for_a_person() -> None:
    agency = customer("cus_1", name="Ledgerline Agency", email="billing@northwind.example")
    with pytest.raises(AmbiguousCustomer, match="cus_1"):
        decide(agency)
    assert decide(agency, BY_KIND[CustomerMatch.METADATA]).customer_id == "cus_meta"


@pytest.mark.parametrize(
    ("fields", "fit"),
    [
        ({}, True),
        ({"account_id": ACCOUNT, "currency": "usd"}, True),
        ({"account_id": OTHER}, False),
        ({"currency": "eur"}, False),
        ({"deleted": True}, False),
    ],
)
def test_a_customer_that_was_right_may_not_be_any_more(fields: dict[str, object], fit: bool) -> None:
    assert fits(bill_to(), "USD", customer("cus_1", **fields)) is fit


def test_a_contact_does_not_decide_where_a_customers_invoices_go() -> None:
    asked = bill_to(email="Buyer@northwind.example", email_source=EmailSource.CONTACT)
    check_mailbox(asked, customer(email=""))
    check_mailbox(asked, customer(email="buyer@Northwind.example"))
    check_mailbox(bill_to(), customer(email="old@northwind.example"))
    with pytest.raises(RecordRejected) as held:
        check_mailbox(asked, customer(email="other@northwind.example"), "Account.AP_Mail__c")
    assert (held.value.code, held.value.ids["field"]) == ("billing_email_conflict", "Account.AP_Mail__c")
    assert "@" not in str(held.value)


@pytest.mark.parametrize(
    ("name", "normal"),
    [
        ("ACME, Inc.", "acme"),
        ("Müller & Söhne GmbH & Co. KG", "muller and sohne gmbh and"),
        ("Société Générale S.A.", "societe generale"),
        ("Northwind Pty. Ltd.", "northwind"),
        ("AG", "ag"),
        ('O\'Brien \\ "Co" <!channel>', "obrien co channel"),
        ("  ", ""),
    ],
)
def test_names_are_compared_without_their_dress(name: str, normal: str) -> None:
    assert normalized_name(name) == normal


@given(st.text(max_size=30), st.text(max_size=30))
def test_agreement_of_names_is_mutual_and_normalising_is_final(one: str, other: str) -> None:
    assert names_agree(one, other) == names_agree(other, one)
    assert normalized_name(normalized_name(one)) == normalized_name(one)
