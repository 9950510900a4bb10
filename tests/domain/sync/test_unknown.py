"""Which Account is this customer's? By what is certain, never by a guess."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_to_cash.domain.policy import FieldNames
from order_to_cash.domain.sync.unknown import (
    AccountDecision,
    Answers,
    Payer,
    account_queries,
    decide,
    payer_of,
)
from tests.domain.sync import stripe_objects as stripe
from tests.domain.sync.stripe_objects import ACCOUNT, CUSTOMER

NAMES = FieldNames()
OTHER = "001000000000002AAA"
EMAIL = "billing@acme.example"
PAYER = Payer(customer_id=CUSTOMER, email=EMAIL, name="Jo Acme", phone="+49 30 1")


def account(
    record_id: str = ACCOUNT, customer: str | None = None, email: str | None = None
) -> dict[str, Any]:
    return {"Id": record_id, "Stripe_Customer_Id__c": customer, "Billing_Email__c": email}


def contact(account_id: str = ACCOUNT, email: str = EMAIL) -> dict[str, Any]:
    return {"Id": "003000000000001AAA", "Email": email, "AccountId": account_id}


def decided(answers: Answers, payer: Payer = PAYER, *, may_create: bool = True) -> AccountDecision:
    return decide(payer, answers, NAMES, may_create=may_create)


def test_metadata_comes_first() -> None:
    payer = PAYER.model_copy(update={"account_id": ACCOUNT})
    answers = {"accounts_by_id": [account()], "accounts_by_customer": [account(OTHER, CUSTOMER)]}
    made = decided(answers, payer)
    assert (made.account_id, made.reason) == (ACCOUNT, "metadata")


def test_an_account_that_is_gone_gives_way_to_the_one_that_took_over() -> None:
    payer = PAYER.model_copy(update={"account_id": ACCOUNT})
    made = decided({"accounts_by_customer": [account(OTHER, CUSTOMER)]}, payer)
    assert (made.account_id, made.reason) == (OTHER, "customer_id")
    nobody = decided({"accounts_by_email": [account(OTHER, email=EMAIL)]}, payer)
    assert nobody.problem is not None
    assert nobody.problem.code == "customer_contradicts"


def test_then_the_customer_id_then_the_billing_email_then_a_contact() -> None:
    answers = {
        "accounts_by_customer": [account(OTHER, CUSTOMER)],
        "accounts_by_email": [account(email=EMAIL)],
        "contacts_by_email": [contact()],
    }
    assert decided(answers).account_id == OTHER
    assert decided({**answers, "accounts_by_customer": []}).reason == "email"
    assert decided({"contacts_by_email": [contact(), contact()]}).account_id == ACCOUNT


def test_who_gets_the_bills_says_more_than_who_else_has_the_address() -> None:
    answers = {"accounts_by_email": [account(email=EMAIL.upper())], "contacts_by_email": [contact(OTHER)]}
    assert decided(answers).account_id == ACCOUNT


@pytest.mark.parametrize(
    "answers",
    [
        {"accounts_by_customer": [account(customer=CUSTOMER), account(OTHER, CUSTOMER)]},
        {"accounts_by_email": [account(email=EMAIL), account(OTHER, email=EMAIL)]},
        {"contacts_by_email": [contact(), contact(OTHER)]},
    ],
)
def test_two_that_could_be_it_are_a_question(answers: Answers) -> None:
    made = decided(answers)
    assert made.problem is not None
    assert (made.problem.code, made.account_id) == ("customer_ambiguous", "")
    assert ACCOUNT in made.problem.message
    assert EMAIL not in made.problem.message
    assert "salesforce_account_id" in made.problem.remedy


def test_answers_about_others_say_nothing() -> None:
    answers = {
        "accounts_by_id": [account()],
        "accounts_by_customer": [account(customer="cus_other"), account(customer=CUSTOMER.upper())],
        "accounts_by_email": [account(email="other@acme.example")],
        "contacts_by_email": [contact(email="other@acme.example")],
    }
    assert decided(answers).create_account is not None


def test_nobody_at_all_is_made_with_a_contact() -> None:
    made = decided({})
    assert made.create_account == {
        "Name": "Jo Acme",
        "Stripe_Customer_Id__c": CUSTOMER,
        "Billing_Email__c": EMAIL,
    }
    assert made.create_contact == {"LastName": "Acme", "FirstName": "Jo", "Email": EMAIL, "Phone": "+49 30 1"}


@pytest.mark.parametrize(
    ("email", "name"), [("jo@acme.example", "acme.example"), ("jo.acme@gmail.com", "jo.acme@gmail.com")]
)
def test_a_nameless_payer_is_called_by_its_company_never_by_a_mail_provider(email: str, name: str) -> None:
    made = decided({}, Payer(customer_id=CUSTOMER, email=email))
    assert made.create_account is not None
    assert made.create_account["Name"] == name
    assert made.create_contact is not None
    assert made.create_contact["LastName"] == email.partition("@")[0]


@pytest.mark.parametrize(
    ("payer", "may_create", "code"),
    [
        (PAYER, False, "customer_unknown"),
        (PAYER.model_copy(update={"deleted": True}), True, "customer_unknown"),
        (Payer(customer_id=CUSTOMER), True, "customer_email_missing"),
        (Payer(customer_id="", name="Jo"), True, "customer_email_missing"),
        (Payer(customer_id="", email=EMAIL, name="x" * 256), True, "text_too_long"),
    ],
)
def test_who_is_not_made(payer: Payer, may_create: bool, code: str) -> None:
    made = decided({}, payer, may_create=may_create)
    assert made.problem is not None
    assert made.problem.code == code
    assert made.problem.remedy


def test_a_guest_has_no_customer_id_to_write() -> None:
    made = decided({}, Payer(customer_id="", email=EMAIL, name="Jo"))
    assert made.create_account == {"Name": "Jo", "Billing_Email__c": EMAIL}


def test_payers_come_from_customers_charges_and_sessions() -> None:
    body = stripe.customer(email=" Billing@ACME.example ", metadata={"salesforce_account_id": ACCOUNT[:15]})
    assert payer_of(body) == Payer(customer_id=CUSTOMER, email=EMAIL, name="Acme", account_id=ACCOUNT)
    details = {"email": EMAIL, "name": "Jo", "phone": None}
    guest = payer_of(stripe.charge(customer=None, billing_details=details))
    assert guest == Payer(customer_id="", email=EMAIL, name="Jo")
    session = {"object": "checkout.session", "id": "cs_1", "customer": CUSTOMER, "customer_details": details}
    assert payer_of(session) == Payer(customer_id=CUSTOMER, email=EMAIL, name="Jo")
    assert payer_of({"object": "customer", "id": CUSTOMER, "deleted": True}).deleted
    assert payer_of(stripe.customer(email="no address", name=None)) == Payer(customer_id=CUSTOMER)


def test_queries_ask_for_what_is_there_and_escape_it() -> None:
    payers = [
        PAYER,
        Payer(customer_id="cus_2", email="o'neil@acme.example", account_id=ACCOUNT),
        Payer(customer_id=""),
    ]
    asked = account_queries(payers, NAMES)
    assert [len(texts) for texts in asked.values()] == [1, 1, 1, 1]
    assert r"'o\'neil@acme.example'" in asked["contacts_by_email"][0]
    assert account_queries([Payer(customer_id="", account_id="' OR Id != null")], NAMES) == dict.fromkeys(
        asked, ()
    )


@given(st.data(), st.randoms(use_true_random=False))
def test_the_order_of_answers_decides_nothing(data: st.DataObject, chance: random.Random) -> None:
    rows = st.lists(
        st.builds(
            account,
            st.sampled_from([ACCOUNT, OTHER]),
            st.sampled_from([CUSTOMER, "cus_2", None]),
            st.sampled_from([EMAIL, None]),
        ),
        max_size=4,
    )
    people = st.lists(st.builds(contact, st.sampled_from([ACCOUNT, OTHER])), max_size=3)
    answers: dict[str, list[dict[str, Any]]] = {
        "accounts_by_customer": data.draw(rows),
        "accounts_by_email": data.draw(rows),
        "contacts_by_email": data.draw(people),
    }
    wanted = decided(answers)
    for held in answers.values():
        chance.shuffle(held)
    assert decided(answers) == wanted
