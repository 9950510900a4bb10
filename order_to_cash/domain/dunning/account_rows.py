"""What Salesforce says about a ladder: whose Account it is, who looks after it, whether people want it left alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Any

from order_to_cash.domain.dunning.calendar import ContactHours
from order_to_cash.domain.dunning.facts import Hold
from order_to_cash.domain.dunning.steps import Owner, OwnerKind
from order_to_cash.domain.emails import is_valid_email, normalize_email
from order_to_cash.domain.policy import FieldNames
from order_to_cash.domain.sync.bodies import mapping, text
from order_to_cash.domain.sync.fields import ACCOUNT, INVOICE
from order_to_cash.domain.sync.shapes import Body, Person
from order_to_cash.domain.sync.soql import chunked, select

Row = Mapping[str, Any]
_PEOPLE = ("CSM__r", "Owner", "Executive_Sponsor__r")
_INVOICE_ID = "Stripe_Invoice_Id__c"
_HOLD = ("Dunning_Hold__c", "Dunning_Hold_Until__c", "Dunning_Hold_Reason__c")
# Days of whatever time zone the user who asks has: a day more than what may be on hold somewhere.
_MAY_BE_ON_HOLD = (
    "((Dunning_Hold__c = true AND Dunning_Hold_Until__c = null) OR Dunning_Hold_Until__c >= YESTERDAY)"
)


@dataclass(frozen=True, slots=True)
class Colleague:
    """Somebody of ours, or a queue; `email` "" where there is none."""

    person: Person
    email: str = ""


@dataclass(frozen=True, slots=True)
class Rows:
    """What Salesforce has: Accounts by their id, those that carry a customer, invoices by Stripe's id."""

    by_id: Mapping[str, Row] = field(default_factory=dict)
    carriers: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    invoices: Mapping[str, Row] = field(default_factory=dict)

    def account(self, customer_id: str, *named: str) -> Row:
        """The first of `named` that is there, else the Account that carries the customer.

        Empty where none does. A customer that several Accounts carry is nobody's.
        """
        there = (self.by_id[account] for account in named if account in self.by_id)
        carriers = self.carriers.get(customer_id, ())
        return next(there, carriers[0] if len(carriers) == 1 else {})

    def concerned(self, customer_id: str, *named: str) -> list[Row]:
        """Every Account that may be the customer's: a hold on any of them counts, whichever is meant."""
        there = [self.by_id[account] for account in named if account in self.by_id]
        return [*there, *(row for row in self.carriers.get(customer_id, ()) if row not in there)]


def row_queries(
    account_ids: Iterable[str], customer_ids: Iterable[str], invoice_ids: Iterable[str], fields: FieldNames
) -> tuple[str, ...]:
    """SOQL for `rows_from`."""
    names = _account_names(fields)
    return (
        *chunked(names, ACCOUNT, "Id", account_ids),
        *chunked(names, ACCOUNT, fields.account_customer_id, customer_ids),
        *chunked(("Id", _INVOICE_ID, "Written_Off__c"), INVOICE, _INVOICE_ID, invoice_ids),
    )


def rows_from(answers: Iterable[Row], fields: FieldNames) -> Rows:
    """`answers`: the rows of all queries."""
    accounts: dict[str, Row] = {}
    invoices: dict[str, Row] = {}
    for row in answers:
        if _INVOICE_ID in row:
            invoices[text(row[_INVOICE_ID])] = row
        else:
            accounts[text(row.get("Id"))] = row
    carried: dict[str, list[Row]] = {}
    for row in accounts.values():
        if customer := text(row.get(fields.account_customer_id)):
            carried.setdefault(customer, []).append(row)
    return Rows(accounts, carried, invoices)


def colleague(account: Row, *relationships: str) -> Colleague | None:
    """The first of these users of the Account (`CSM__r`, `Owner`, `Executive_Sponsor__r`) who is there and active."""
    for name in relationships:
        user = mapping(account.get(name))
        if text(user.get("Id")) and user.get("IsActive") is not False:
            return Colleague(Person(text(user.get("Id")), text(user.get("Name"))), text(user.get("Email")))
    return None


def billing_email(account: Row, customer: Body, fields: FieldNames) -> str:
    """Where the customer's bills go: the Account's billing e-mail, else the Stripe customer's; "" without either.

    One that no mail can be sent to counts as none.
    """
    given = (text(account.get(fields.account_billing_email)), text(customer.get("email")))
    return next((normalize_email(one) for one in given if is_valid_email(one)), "")


def account_hold(account: Row, hours: ContactHours, time_zone: str | None, now: datetime) -> Hold | None:
    """The hold that the Account's fields say: until its day begins for the customer, or for us; else without end.

    A day alone is a hold, too. None where there is none, or it is over.
    """
    day = text(account.get("Dunning_Hold_Until__c"))
    if not day and account.get("Dunning_Hold__c") is not True:
        return None
    reason = text(account.get("Dunning_Hold_Reason__c")).strip()
    if not day:
        return Hold(reason=reason)
    begins = datetime.combine(date.fromisoformat(day), time(0), hours.zone(time_zone))
    return Hold(until=begins.astimezone(UTC), reason=reason) if now < begins else None


def longer(one: Hold | None, other: Hold | None) -> Hold | None:
    """The hold that lasts longer; of equals the first."""
    if one is None or other is None:
        return one or other
    if one.until is None or other.until is None:
        return one if one.until is None else other
    return one if one.until >= other.until else other


def peoples_word_queries(fields: FieldNames) -> tuple[str, str]:
    """SOQL for the Accounts that may be on hold by their fields, and for open invoices that a person wrote off."""
    customer = fields.account_customer_id
    names = (customer, fields.account_time_zone, *_HOLD)
    held = select(names, ACCOUNT, f"{_MAY_BE_ON_HOLD} AND {customer} != null")
    given_up = select((_INVOICE_ID,), INVOICE, "Written_Off__c = true AND Status__c = 'open'")
    return held, given_up


def owner_queries(owners: Iterable[Owner]) -> tuple[str, ...]:
    """SOQL for the users and queues that a policy names; see `owners_from`."""
    wanted = list(owners)
    users = [owner.name for owner in wanted if owner.kind is OwnerKind.USER]
    queues = [owner.name for owner in wanted if owner.kind is OwnerKind.QUEUE]
    return (
        *chunked(("Id", "Name", "Username", "Email"), "User", "Name", users, also="IsActive = true"),
        *chunked(("Id", "Name", "Username", "Email"), "User", "Username", users, also="IsActive = true"),
        *chunked(("Id", "Name", "DeveloperName", "Email"), "Group", "Name", queues, also="Type = 'Queue'"),
        *chunked(
            ("Id", "Name", "DeveloperName", "Email"), "Group", "DeveloperName", queues, also="Type = 'Queue'"
        ),
    )


def owners_from(owners: Iterable[Owner], answers: Sequence[Row]) -> dict[Owner, Colleague]:
    """Those of `owners` that are there: by user name, name of a queue, or full name. Namesakes are nobody."""
    found: dict[Owner, Colleague] = {}
    for owner in owners:
        kind = "Username" if owner.kind is OwnerKind.USER else "DeveloperName"
        same_kind = [row for row in answers if kind in row]
        for by in (kind, "Name"):
            rows = {text(row.get("Id")): row for row in same_kind if _same(row.get(by), owner.name)}
            if len(rows) == 1:
                (row,) = rows.values()
                person = Person(text(row.get("Id")), text(row.get("Name")))
                found.setdefault(owner, Colleague(person, text(row.get("Email"))))
    return found


def _account_names(fields: FieldNames) -> tuple[str, ...]:
    own = (
        fields.account_customer_id,
        fields.account_billing_email,
        fields.account_segment,
        fields.account_time_zone,
    )
    people = (f"{name}.{part}" for name in _PEOPLE for part in ("Id", "Name", "Email", "IsActive"))
    return tuple(dict.fromkeys(("Id", "Name", *own, *_HOLD, *people)))


def _same(value: object, name: str) -> bool:
    return text(value).casefold() == name.casefold()
