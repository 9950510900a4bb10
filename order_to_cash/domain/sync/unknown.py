"""Which Account is this customer's (R26, R74)? In order of trust, and never guessed:

1. the Account that the customer's metadata `salesforce_account_id` names;
2. the Account whose `Stripe_Customer_Id__c` is the customer;
3. the one Account that has the e-mail address: as its billing e-mail, or by one of its Contacts.

The e-mail domain decides nothing: a company's people share one, and so does everyone at a free-mail provider. Two
Accounts that could be it are a question for a person. Nobody at all: an Account with a Contact is made, where policy
says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from order_to_cash.domain.emails import email_domain, is_free_mail, is_valid_email, normalize_email
from order_to_cash.domain.identity import METADATA_ACCOUNT, full_id
from order_to_cash.domain.policy import FieldNames
from order_to_cash.domain.records import Problem, Record
from order_to_cash.domain.sync import fields as synced
from order_to_cash.domain.sync.bodies import mapping, metadata, ref, text
from order_to_cash.domain.sync.problems import SyncReason, sync_problem
from order_to_cash.domain.sync.soql import chunked

Answers = Mapping[str, Sequence[Mapping[str, Any]]]
_LONGEST_NAME = 255
_LONGEST_PERSON = 80
_SHOWN = 5


class Payer(Record):
    """A Stripe customer, or a guest's charge, as far as its Account is asked for. `customer_id` empty: a guest.

    `email` is in its one spelling, empty where there is none or it is malformed.
    """

    customer_id: str
    email: str = ""
    name: str = ""
    phone: str = ""
    account_id: str = ""
    deleted: bool = False


class AccountDecision(Record):
    """One of: `account_id` with its `reason` (metadata, customer_id, email); the fields to create; a `problem`."""

    account_id: str = ""
    reason: str = ""
    create_account: dict[str, Any] | None = None
    create_contact: dict[str, Any] | None = None
    problem: Problem | None = None


def payer_of(body: Mapping[str, Any]) -> Payer:
    """From a customer's body, a charge's (billing_details) or a checkout session's (customer_details)."""
    kind = body.get("object")
    details = mapping(body.get("billing_details")) or mapping(body.get("customer_details"))
    given = body if kind == "customer" else details
    email = text(given.get("email")) or text(body.get("receipt_email")) or text(body.get("customer_email"))
    return Payer(
        customer_id=ref(body) if kind == "customer" else ref(body.get("customer")),
        email=normalize_email(email) if is_valid_email(email) else "",
        name=(text(body.get("business_name")) or text(given.get("name"))).strip(),
        phone=text(given.get("phone")).strip(),
        account_id=next((full_id(value) for value in metadata(body, METADATA_ACCOUNT)), ""),
        deleted=body.get("deleted") is True,
    )


def account_queries(payers: Sequence[Payer], fields: FieldNames) -> Mapping[str, tuple[str, ...]]:
    """accounts_by_id, accounts_by_customer, accounts_by_email, contacts_by_email → SOQL texts in chunks."""
    names = ("Id", fields.account_customer_id, fields.account_billing_email)
    emails = [payer.email for payer in payers]
    ids = [payer.account_id for payer in payers if _looks_like_id(payer.account_id)]
    customers = [payer.customer_id for payer in payers]
    account = synced.ACCOUNT
    return {
        "accounts_by_id": chunked(names, account, "Id", ids),
        "accounts_by_customer": chunked(names, account, fields.account_customer_id, customers),
        "accounts_by_email": chunked(names, account, fields.account_billing_email, emails),
        "contacts_by_email": chunked(
            ("Id", "Email", "AccountId"), synced.CONTACT, "Email", emails, also="AccountId != null"
        ),
    }


def decide(payer: Payer, answers: Answers, fields: FieldNames, *, may_create: bool) -> AccountDecision:
    """The Account of `payer`. Does not depend on the order of the answers."""
    named = {str(row["Id"]) for row in answers.get("accounts_by_id", ())}
    by_customer = _accounts(answers, "accounts_by_customer", fields.account_customer_id, payer.customer_id)
    if payer.account_id:
        return _by_metadata(payer, named, by_customer)
    if by_customer:
        return _one_of(payer, by_customer, "customer_id", "name this customer")
    by_email = _by_email(payer, answers, fields)
    if by_email:
        return _one_of(payer, by_email, "email", "have its e-mail address, as billing e-mail or by a Contact")
    if payer.deleted:
        return _problem(SyncReason.CUSTOMER_UNKNOWN, f"{_who(payer)} was deleted and no Account names it.")
    return _created(payer, fields, may_create=may_create)


def _by_metadata(payer: Payer, named: set[str], by_customer: Sequence[str]) -> AccountDecision:
    if payer.account_id in named:
        return AccountDecision(account_id=payer.account_id, reason="metadata")
    if by_customer:  # the Account it names was merged or deleted; another one has taken the customer over
        return _one_of(payer, by_customer, "customer_id", "name this customer")
    return _problem(
        SyncReason.CUSTOMER_CONTRADICTS,
        f"{_who(payer)} names the Account {payer.account_id[:18]!r} in its metadata, which is not there.",
    )


def _one_of(payer: Payer, accounts: Sequence[str], reason: str, why: str) -> AccountDecision:
    if len(accounts) == 1:
        return AccountDecision(account_id=accounts[0], reason=reason)
    shown = ", ".join(accounts[:_SHOWN])
    return _problem(
        SyncReason.CUSTOMER_AMBIGUOUS,
        f"{_who(payer)}: {len(accounts)} Accounts {why} ({shown}); none is taken.",
    )


def _by_email(payer: Payer, answers: Answers, fields: FieldNames) -> list[str]:
    if not payer.email:
        return []
    billing = _accounts(answers, "accounts_by_email", fields.account_billing_email, payer.email)
    if len(billing) == 1:  # who gets the bills says more than who else has the address
        return billing
    contacts = {
        str(row["AccountId"])
        for row in answers.get("contacts_by_email", ())
        if row.get("AccountId") and _same(row.get("Email"), payer.email)
    }
    return sorted(contacts | set(billing))


def _created(payer: Payer, fields: FieldNames, *, may_create: bool) -> AccountDecision:
    if not may_create:
        return _problem(
            SyncReason.CUSTOMER_UNKNOWN, f"No Account fits {_who(payer)}, and none is made by policy."
        )
    if not payer.customer_id and not payer.email:
        # The payment's next event would not find what was made for this one.
        return _problem(
            SyncReason.CUSTOMER_EMAIL_MISSING, f"{_who(payer)} has no e-mail address to be known by."
        )
    name = payer.name or _company(payer.email)
    if not name:
        return _problem(
            SyncReason.CUSTOMER_EMAIL_MISSING, f"{_who(payer)} has neither a name nor an e-mail address."
        )
    if len(name) > _LONGEST_NAME:
        return _problem(
            SyncReason.TEXT_TOO_LONG, f"{_who(payer)}: its name is longer than an Account's may be."
        )
    account = {
        "Name": name,
        fields.account_customer_id: payer.customer_id or None,
        fields.account_billing_email: payer.email or None,
    }
    return AccountDecision(
        reason="created",
        create_account={field: value for field, value in account.items() if value},
        create_contact=contact_of(payer),
    )


def contact_of(payer: Payer) -> dict[str, Any] | None:
    """The person behind the address. Salesforce wants a last name: the last word, else what stands before the @."""
    if not payer.email:
        return None
    first, _, last = payer.name.rpartition(" ")
    person = {
        "LastName": (last or payer.email.partition("@")[0])[:_LONGEST_PERSON],
        "FirstName": first[:40] or None,
        "Email": payer.email,
        "Phone": payer.phone[:40] or None,
    }
    return {field: value for field, value in person.items() if value}


def _company(email: str) -> str:
    """What a nameless payer's Account is called: the mail domain, the whole address where the domain is anyone's."""
    domain = email_domain(email)
    return email if is_free_mail(domain) else domain


def _accounts(answers: Answers, name: str, field: str, wanted: str) -> list[str]:
    return sorted(
        {str(row["Id"]) for row in answers.get(name, ()) if wanted and _same(row.get(field), wanted)}
    )


def _same(held: Any, wanted: str) -> bool:
    """SOQL compares text without case, except where a field is case-sensitive: e-mail addresses here, ids exactly."""
    given = text(held).strip()
    return given == wanted or ("@" in wanted and given.lower() == wanted.lower())


def _looks_like_id(value: str) -> bool:
    return len(value) == 18 and value.isascii() and value.isalnum()


def _who(payer: Payer) -> str:
    return f"Customer {payer.customer_id}" if payer.customer_id else "The payer, who is no customer"


def _problem(reason: SyncReason, message: str) -> AccountDecision:
    return AccountDecision(problem=sync_problem(reason, message, field=synced.ACCOUNT))
