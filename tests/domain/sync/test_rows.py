"""Each state as Salesforce records: what they say, and what they leave as it is."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from order_to_cash.domain.sync import fields
from order_to_cash.domain.sync.shapes import Context, Mapped, ProductFacts
from tests.domain.sync import stripe_objects as stripe
from tests.domain.sync.mapping import MADE, NOW, mapped, only
from tests.domain.sync.stripe_objects import ACCOUNT, CUSTOMER, DEAL, T0, Json


def test_a_subscription() -> None:
    ends = T0 + 2_592_000
    body = stripe.subscription(
        stripe.item(3),
        stripe.item(1, price=stripe.price(id="price_x", nickname=None), current_period_end=ends - 5),
        cancel_at_period_end=True,
        cancellation_details={"reason": "cancellation_requested", "feedback": "too_expensive"},
        metadata={"salesforce_opportunity_id": DEAL},
    )
    record = only(body, fields.SUBSCRIPTION)
    assert record["Account__c"] == ACCOUNT
    assert record["Stripe_Customer_Id__c"] == CUSTOMER
    assert (record["Plan__c"], record["Quantity__c"], record["Stripe_Price_Id__c"]) == (
        "Team, price_x",
        4,
        "price_team",
    )
    assert (record["MRR__c"], record["Currency__c"]) == (Decimal("200.00"), "USD")
    assert record["Current_Period_End__c"] == datetime.fromtimestamp(ends - 5, UTC)
    assert record["Cancel_At_Period_End__c"] is True
    assert record["Cancellation_Reason__c"] == "cancellation requested: too expensive"
    assert record["Opportunity__c"] == DEAL
    assert record["Product__r"] == {"Stripe_Product_Id__c": "prod_team"}
    assert record["Stripe_Synced_At__c"] == NOW


def test_an_invoice_shows_stripes_own_sums_and_its_lines() -> None:
    body = stripe.invoice(
        status="open",
        total_taxes=[{"amount": 150}, {"amount": 50}],
        amount_paid=4_000,
        amount_remaining=6_000,
        amount_overpaid=7,
        amount_paid_off_stripe=1_000,
        due_date=T0,
        number="A-1",
    )
    record = only(body, fields.INVOICE)
    sums = [record[name] for name in ("Tax__c", "Amount_Due__c", "Amount_Paid__c", "Amount_Remaining__c")]
    assert sums == [Decimal("2.00"), Decimal("100.00"), Decimal("40.00"), Decimal("60.00")]
    assert (record["Amount_Overpaid__c"], record["Amount_Paid_Off_Stripe__c"]) == (
        Decimal("0.07"),
        Decimal("10.00"),
    )
    assert record["Due_Date__c"] == date(2026, 9, 21)
    assert record["Subscription__r"] == {"Stripe_Subscription_Id__c": "sub_1"}
    line = only(body, fields.INVOICE_LINE)
    assert (line["Amount__c"], line["Quantity__c"], line["Proration__c"]) == (Decimal("100.00"), 2, False)
    assert line["Invoice__r"] == {"Stripe_Invoice_Id__c": "in_1"}
    assert line["Stripe_Price_Id__c"] == "price_team"


def test_a_drafts_lines_wait_and_a_deleted_draft_stays_as_deleted() -> None:
    sobjects = [row.sobject for row in mapped(stripe.invoice()).rows]
    assert fields.INVOICE_LINE not in sobjects
    assert mapped(stripe.invoice(), deleted=True).rows[0].fields["Status__c"] == "deleted"
    assert mapped({"object": "invoice", "id": "in_1"}, deleted=True) == Mapped()


def test_why_an_invoice_is_unpaid_comes_from_its_payment_intent() -> None:
    error = {"code": "card_declined", "decline_code": "insufficient_funds", "message": "x"}
    paying = {"type": "payment_intent", "payment_intent": stripe.payment_intent(last_payment_error=error)}
    body = stripe.invoice(status="open", attempt_count=1, payments={"data": [{"payment": paying}]})
    record = only(body, fields.INVOICE)
    assert record["Failure_Code__c"] == "insufficient_funds"
    assert record["Failure_Reason__c"] == "The account behind the card has not enough money."
    # not said by the body: the record's own words stay
    assert "Failure_Code__c" not in only(stripe.invoice(status="open", attempt_count=1), fields.INVOICE)
    # over
    assert only(stripe.invoice(status="paid", attempt_count=1), fields.INVOICE)["Failure_Code__c"] is None


@pytest.mark.parametrize(
    ("changes", "paid"),
    [
        ({"status": "paid", "amount_paid": 10_000, "amount_remaining": 0}, True),
        ({"status": "paid", "amount_paid": 12_000, "amount_remaining": 0}, True),
        ({"status": "paid", "amount_paid": 9_999, "amount_remaining": 0}, False),
        ({"status": "open", "amount_paid": 4_000, "amount_remaining": 6_000}, False),
        ({"status": "void", "amount_paid": 10_000, "amount_remaining": 0}, False),
        # credited in full before anything was paid
        (
            {"status": "paid", "amount_due": 0, "amount_paid": 0, "amount_remaining": 0}
            | {"pre_payment_credit_notes_amount": 10_000},
            False,
        ),
        # nothing to be paid, as when the customer's balance covers it
        ({"status": "paid", "amount_due": 0, "amount_paid": 0, "amount_remaining": 0}, True),
    ],
)
def test_a_deal_is_paid_when_nothing_is_owed_any_more(changes: Json, paid: bool) -> None:
    moves = {"paid_at": T0 + 50, "finalized_at": T0, "voided_at": None}
    deal = only(stripe.invoice(**changes, status_transitions=moves), fields.OPPORTUNITY)
    assert deal["Stripe_Invoice_Status__c"] == changes["status"]
    assert (deal["Stripe_Paid__c"], deal["Paid_Date__c"] is not None) == (paid, paid)
    # A deal that names no invoice yet is not said to be unpaid by one that may not be its last.
    unnamed = Context(synced_at=NOW, invoice_of_opportunity={DEAL: ""})
    first = only(stripe.invoice(**changes, status_transitions=moves), fields.OPPORTUNITY, unnamed)
    assert ("Stripe_Paid__c" in first, "Paid_Date__c" in first) == (paid, paid)


@pytest.mark.parametrize("named", ["in_other", None])
def test_a_deal_follows_only_the_invoice_that_it_names(named: str | None) -> None:
    known = {} if named is None else {DEAL: named}
    context = Context(synced_at=NOW, invoice_of_opportunity=known)
    made = mapped(stripe.invoice(status="void"), context)
    assert fields.OPPORTUNITY not in [row.sobject for row in made.rows]
    assert ("Opportunity__c" in made.rows[0].fields) is (named is not None)


def test_a_charge_is_a_payment_with_its_invoice() -> None:
    record = only(stripe.charge(amount_refunded=2_500), fields.PAYMENT)
    assert (record["Status__c"], record["Amount__c"], record["Amount_Refunded__c"]) == (
        "succeeded",
        Decimal("100.00"),
        Decimal("25.00"),
    )
    assert record["Invoice__r"] == {"Stripe_Invoice_Id__c": "in_1"}
    assert (record["Card_Brand__c"], record["Card_Last4__c"], record["Paid_At__c"]) == ("visa", "4242", MADE)
    assert record["Failure_Code__c"] is None


def test_an_attempt_that_failed_says_why_in_plain_words() -> None:
    record = only(stripe.failed_charge(), fields.PAYMENT)
    assert (record["Status__c"], record["Failure_Code__c"]) == ("failed", "insufficient_funds")
    assert record["Failure_Reason__c"] == "The account behind the card has not enough money."
    assert record["Paid_At__c"] is None


def test_nobody_is_told_that_a_card_was_reported_stolen() -> None:
    outcome = {"reason": "stolen_card", "type": "issuer_declined"}
    record = only({**stripe.failed_charge(), "outcome": outcome}, fields.PAYMENT)
    assert record["Failure_Code__c"] == "generic_decline"
    assert "stolen" not in str(record)


def test_money_that_is_only_authorized_is_pending() -> None:
    record = only(stripe.charge(captured=False, amount_captured=0), fields.PAYMENT)
    assert (record["Status__c"], record["Paid_At__c"]) == ("pending", None)


def test_a_link_that_is_not_known_leaves_the_records_link_alone() -> None:
    assert "Invoice__r" not in only(stripe.charge(), fields.PAYMENT, Context(synced_at=NOW))


def test_an_invoice_payment_links_a_charge_and_says_nothing_else_of_it() -> None:
    (row,) = mapped(stripe.invoice_payment()).rows
    assert (row.external_id, row.value) == ("Stripe_Charge_Id__c", "ch_1")
    assert set(row.fields) == {"Stripe_Charge_Id__c", "Invoice__r", "Stripe_Synced_At__c"}


@pytest.mark.parametrize(
    ("status", "shown"), [("open", "pending"), ("paid", "succeeded"), ("canceled", "canceled")]
)
def test_money_from_outside_stripe_is_a_payment_of_its_own(status: str, shown: str) -> None:
    paying = {"type": "payment_record", "payment_record": "pmtr_1"}
    (row,) = mapped(stripe.invoice_payment(payment=paying, status=status, amount_paid=None)).rows
    assert (row.external_id, row.value) == ("Stripe_Payment_Record_Id__c", "pmtr_1")
    assert (row.fields["Status__c"], row.fields["Out_Of_Band__c"]) == (shown, True)
    assert row.fields["Amount__c"] == Decimal("100.00")


def test_a_refund_a_credit_note_and_a_dispute_are_records_of_their_own() -> None:
    back = only(stripe.refund(), fields.REFUND)
    assert (back["Amount__c"], back["Reason__c"]) == (Decimal("40.00"), "requested_by_customer")
    assert back["Payment__r"] == {"Stripe_Charge_Id__c": "ch_1"}
    note = only(stripe.credit_note(), fields.CREDIT_NOTE)
    assert (note["Amount__c"], note["Tax__c"], note["Memo__c"]) == (
        Decimal("20.00"),
        Decimal("2.00"),
        "One seat too many",
    )
    fight = only(stripe.dispute(), fields.DISPUTE)
    assert (fight["Status__c"], fight["Amount__c"]) == ("needs_response", Decimal("100.00"))
    for body in (stripe.refund(), stripe.credit_note(), stripe.dispute(), stripe.charge()):
        assert fields.INVOICE not in [row.sobject for row in mapped(body).rows]


def test_an_account_shows_the_customer_and_what_it_pays_by() -> None:
    card = Context(
        synced_at=NOW, customer_of_account={ACCOUNT: CUSTOMER}, cards={CUSTOMER: stripe.payment_method()}
    )
    (row,) = mapped(stripe.payment_method(), card).rows
    assert (row.sobject, row.external_id, row.value) == ("Account", "Id", ACCOUNT)
    assert row.fields == {
        "Stripe_Payment_Method_Type__c": "card",
        "Stripe_Card_Brand__c": "visa",
        "Stripe_Card_Last4__c": "4242",
        "Stripe_Card_Exp_Month__c": 12,
        "Stripe_Card_Exp_Year__c": 2030,
        "Stripe_Card_Expires_On__c": date(2030, 12, 31),
    }
    none = Context(synced_at=NOW, customer_of_account={ACCOUNT: CUSTOMER}, cards={CUSTOMER: None})
    assert mapped(stripe.customer(), none).rows[0].fields["Stripe_Payment_Method_Type__c"] == "none"
    assert mapped(stripe.customer()).rows[0].fields == {"Stripe_Customer_Id__c": CUSTOMER}


def test_of_several_payers_the_account_shows_the_one_it_names() -> None:
    other = Context(synced_at=NOW, customer_of_account={ACCOUNT: "cus_other"}, cards={CUSTOMER: None})
    assert mapped(stripe.customer(), other) == Mapped()
    assert mapped(stripe.payment_method(), other) == Mapped()
    assert mapped(stripe.customer(), other, deleted=True) == Mapped()


def test_a_deleted_customer_leaves_the_account_that_named_it() -> None:
    named = Context(synced_at=NOW, customer_of_account={ACCOUNT: CUSTOMER})
    (row,) = mapped(stripe.customer(), named, deleted=True).rows
    assert row.fields["Stripe_Customer_Id__c"] is None
    assert set(row.fields.values()) == {None}


def test_a_product_follows_and_keeps_the_price_that_salesforce_chose() -> None:
    (row,) = mapped(stripe.product(default_price="price_new")).rows
    assert (row.external_id, row.value) == ("Id", "01t000000000001AAA")
    assert "Stripe_Price_Id__c" not in row.fields
    fresh = Context(synced_at=NOW, products={"prod_team": ProductFacts("")})
    made = mapped(stripe.product(default_price=stripe.price()), fresh)
    assert (made.rows[0].external_id, made.rows[0].fields["Stripe_Price_Id__c"]) == (
        "Stripe_Product_Id__c",
        "price_team",
    )
    assert [(entry.unit_price, entry.currency) for entry in made.prices] == [(Decimal("50.00"), "USD")]
    assert mapped(stripe.product(), deleted=True).rows[0].fields == {"IsActive": False}
    assert mapped(stripe.product(), Context(synced_at=NOW), deleted=True) == Mapped()


def test_a_price_goes_to_the_price_book_when_its_product_names_it() -> None:
    (entry,) = mapped(stripe.price(unit_amount=None, unit_amount_decimal="0.5")).prices
    assert (entry.unit_price, entry.active) == (Decimal("0.005"), True)
    assert mapped(stripe.price(), deleted=True).prices[0].active is False
    assert mapped(stripe.price(id="price_other")) == Mapped()
    assert (
        mapped(stripe.price(unit_amount=None, unit_amount_decimal=None, billing_scheme="tiered")) == Mapped()
    )
