"""What the parts of the way from Stripe to Salesforce hand to each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from order_to_cash.domain.messages import Message
from order_to_cash.domain.records import Problem

Body = Mapping[str, Any]
"""A Stripe object as JSON, in the shape of the API version that the SDK pins. Amounts are int minor units."""

Fields = Mapping[str, Any]
"""Salesforce field → value: text, bool, Decimal, date, aware datetime, None, or `{"Ext_Id__c": …}` for a lookup."""


class ObjectKey(NamedTuple):
    """A Stripe object: what it is (`invoice`, as in its `object` field) and its id.

    A tuple, because a batch looks up some twenty thousand of them: hashing a dataclass takes twice as long.
    """

    type: str
    id: str


@dataclass(frozen=True, slots=True)
class Fetched:
    """An object as it was read. What changed before `at` (whole seconds, Stripe's clock) is in it for certain.

    A change within that second or later may be. Whoever read because of events may take the newest `created` of them
    for `as_of` where it is later: they had happened before.
    """

    body: Body
    at: datetime


IN_DOUBT = "?"


@dataclass(frozen=True, slots=True)
class Applied:
    """The state of an object that Salesforce shows, as the ledger remembers it.

    `as_of`: `created` of its event, or, when `fetched`, the moment before it was asked for. `digest`:
    `versions.state_digest` of its body (not of the rows: what was compared must be known before anything is mapped).
    It begins with `IN_DOUBT` where nobody can tell which state Salesforce shows: the object is read from Stripe then.
    """

    as_of: datetime
    fetched: bool
    digest: str

    @property
    def in_doubt(self) -> bool:
        return self.digest.startswith(IN_DOUBT)


@dataclass(frozen=True, slots=True)
class State:
    """The newest known state of one object, for all of `event_ids`. `digest` is what `Applied` keeps of it.

    A deleted object's body is its last one, or only `{"id": …}` where nothing else is known any more.
    """

    key: ObjectKey
    body: Body
    as_of: datetime
    fetched: bool
    deleted: bool
    customer_id: str
    event_ids: tuple[str, ...]
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One record to upsert by its External ID. Waves are written one after another: a lookup needs its parent.

    `external_id` is `Id` for Accounts, Opportunities and Product2 records that are known: those are updated, never
    made. `source` is the Stripe object whose state it shows; `also` those whose rows were merged into this one.
    """

    sobject: str
    external_id: str
    value: str
    fields: Fields
    wave: int
    account_id: str
    source: ObjectKey
    also: tuple[ObjectKey, ...] = ()


@dataclass(frozen=True, slots=True)
class Signal:
    """Something that happened and that a person must hear of once, whatever is repeated, lost or coalesced.

    `key` is its business name, such as ``o2c:signal:payment_failed:in_…:2`` (second attempt). `facts` hold ids, codes,
    amounts in minor units with their currency, and words that Stripe gives for a decline; no personal data.
    """

    kind: str
    key: str
    source: ObjectKey
    customer_id: str
    event_id: str
    at: datetime
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Coalesced:
    """What a batch of events comes to. Every event id stands in states, refetch, stale, ignored or unreadable; its
    signals count wherever it stands. It may stand in several (a charge of an older API version carries its refunds):
    its work is done when all of them are.

    `refetch`: objects to be read from Stripe, with the events that wait for it. `cards`: customers whose payment method
    may have changed; it is read from Stripe, for no event says which of several is the one that pays.
    """

    states: tuple[State, ...] = ()
    refetch: Mapping[ObjectKey, tuple[str, ...]] = field(default_factory=dict)
    stale: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    unreadable: Mapping[str, Problem] = field(default_factory=dict)
    signals: tuple[Signal, ...] = ()
    cards: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProductFacts:
    """The Product2 that stands for a Stripe product: its Id and what its `Stripe_Price_Id__c` says ("" for nothing)."""

    record_id: str
    price_id: str = ""


@dataclass(frozen=True, slots=True)
class Links:
    """How payments hang together, known from the bodies at hand: see `links.links_of`.

    `invoice_of`: payment intent, charge or payment record → the invoice it pays. `charge_of`: payment intent → the
    charge that its money came by. `customer_of`: object → its customer.
    """

    invoice_of: Mapping[str, str] = field(default_factory=dict)
    charge_of: Mapping[str, str] = field(default_factory=dict)
    customer_of: Mapping[ObjectKey, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Needs:
    """What must still be read from Stripe before the batch can be mapped; see `links.needs_of`. False when nothing.

    `objects` are retrieved. `invoice_payments_of`: payment intents whose invoice payments are listed (`GET
    /v1/invoice_payments`, `payment[type]=payment_intent`); what is found counts as fetched states.
    """

    objects: tuple[ObjectKey, ...] = ()
    invoice_payments_of: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.objects or self.invoice_payments_of)


@dataclass(frozen=True, slots=True)
class ExchangeRate:
    """How much of `currency` (ISO, capitals) one unit of the org's corporate currency is worth.

    From `since` (None: ever) until before `until` (None: as far as is known).
    """

    currency: str
    rate: Decimal
    since: datetime | None = None
    until: datetime | None = None

    def holds(self, at: datetime) -> bool:
        return (self.since is None or self.since <= at) and (self.until is None or at < self.until)


@dataclass(frozen=True, slots=True)
class Context:
    """What mapping must know beside the state itself.

    `customer_of_account`: Account → the customer its `Stripe_Customer_Id__c` names. `cards`: customer → its payment
    method as read from Stripe, None when it has none. `invoice_of_opportunity`: Opportunity → what its
    `Stripe_Invoice_Id__c` says ("" for nothing); one that is not there does not exist. `products`: Stripe product → its
    Product2, where there is one. `rates`: exchange rates of a multi-currency org, as far as they are asked for.
    """

    synced_at: datetime
    links: Links = Links()
    multi_currency: bool = False
    customer_of_account: Mapping[str, str] = field(default_factory=dict)
    cards: Mapping[str, Body | None] = field(default_factory=dict)
    invoice_of_opportunity: Mapping[str, str] = field(default_factory=dict)
    products: Mapping[str, ProductFacts] = field(default_factory=dict)
    rates: tuple[ExchangeRate, ...] = ()


@dataclass(frozen=True, slots=True)
class PriceEntry:
    """A Stripe price as the standard price book's entry for its product in its currency. `unit_price`: major units."""

    price_id: str
    product_id: str
    currency: str
    unit_price: Decimal
    active: bool
    source: ObjectKey


@dataclass(frozen=True, slots=True)
class Mapped:
    """The records of one state. With a problem there is no row: a record is written whole or not at all."""

    rows: tuple[Row, ...] = ()
    problems: tuple[Problem, ...] = ()
    prices: tuple[PriceEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class Person:
    """Who a Case or Task belongs to: a Salesforce user id, and the name for Slack."""

    user_id: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class ReactionFacts:
    """What a reaction says beyond its signal. Empty where it is not known: the reaction is made all the same.

    `failure_code` and `failure_message` are Stripe's, of the newest failed attempt; `invoice_status` is Stripe's, by
    now; `invoice_record_id` and `account_id` are Salesforce ids. `owner`: see `reactions.owner_of`. `has_ladders`:
    unpaid invoices are chased by a ladder, step by step.
    """

    owner: Person
    account_id: str = ""
    account_name: str = ""
    invoice_number: str = ""
    invoice_status: str = ""
    invoice_record_id: str = ""
    hosted_invoice_url: str = ""
    next_attempt_at: datetime | None = None
    failure_code: str = ""
    failure_message: str = ""
    salesforce_url: str = ""
    run_url: str = ""
    has_ladders: bool = False


@dataclass(frozen=True, slots=True)
class Reaction:
    """What people are given for one signal: records to insert once each (their `O2C_Key__c` tells), and a message.

    A Case or Task is None, and the message too, where the signal calls for none. An `activity` is a Task that is
    already completed: history on the Account's timeline.
    """

    key: str
    case: Fields | None = None
    task: Fields | None = None
    activity: Fields | None = None
    message: Message | None = None
