"""The records that the product thinks in: frozen, typed, in the field's own terms.

Salesforce side: a `WonDeal` is what one won Opportunity says about billing.
Stripe side: `StripeCustomer`, `StripePrice`, `StripeInvoice` keep only what decisions need.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from order_to_cash.domain.money import Money


class Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Environment(StrEnum):
    """Where a component runs. One of one environment never talks to another."""

    EMULATOR = "emulator"
    TEST = "test"
    LIVE = "live"


class CollectionMethod(StrEnum):
    """Stripe's `collection_method`."""

    CHARGE_AUTOMATICALLY = "charge_automatically"
    SEND_INVOICE = "send_invoice"


class Address(Record):
    """A postal address as Stripe takes it; `country` is ISO 3166-1 alpha-2 or empty.

    `country_given` is what the Account says when no country could be recognised in it, else empty.
    """

    line1: str = ""
    line2: str = ""
    city: str = ""
    state: str = ""
    postal_code: str = ""
    country: str = ""
    country_given: str = ""


class EmailSource(StrEnum):
    """Whose address the billing e-mail is. A contact's is the deal's own and says nothing about other deals."""

    ACCOUNT = "account"
    CONTACT = "contact"


class BillTo(Record):
    """The Account that is billed. `email` is empty when neither Account nor primary contact has one."""

    account_id: str
    name: str
    email: str
    email_source: EmailSource = EmailSource.ACCOUNT
    billing_address: Address = Address()
    shipping_address: Address = Address()
    stripe_customer_id: str = ""  # Account.Stripe_Customer_Id__c
    owner_id: str = ""


class DealLine(Record):
    """One OpportunityLineItem or CPQ quote line. `unit_price` and `total` are net, in major units."""

    line_id: str
    product_id: str
    product_name: str
    product_code: str = ""
    description: str = ""
    quantity: Decimal
    unit_price: Decimal
    total: Decimal
    stripe_price_id: str = ""  # Product2.Stripe_Price_Id__c
    recurring: bool = False  # the line says so (subscription term, CPQ subscription type)


class WonDeal(Record):
    """One won Opportunity, ready to be judged and planned. `amount` is the deal's Amount in Salesforce."""

    opportunity_id: str
    name: str
    account: BillTo
    amount: Decimal | None
    currency: str  # ISO 4217, upper case, as Salesforce has it
    close_date: date
    stage_name: str
    deal_type: str = ""
    owner_id: str = ""
    owner_name: str = ""
    lead_source: str = ""
    lines: tuple[DealLine, ...] = ()
    collection_method: str = ""  # from the deal's contract terms; empty: the policy's default
    days_until_due: int | None = None
    stripe_invoice_id: str = ""  # Opportunity.Stripe_Invoice_Id__c: set means billed
    system_modstamp: datetime


class Problem(Record):
    """Why one record is not fit to be billed, in words for the person who corrects it."""

    code: str
    field: str
    message: str
    remedy: str


class StripeCustomer(Record):
    """What matching needs of a Stripe customer. `currency` is lower case, empty until first billed.

    The digests are `wire.postal_digest` of its address and shipping, None where they were not read.
    """

    customer_id: str
    name: str = ""
    email: str = ""
    account_id: str = ""  # metadata salesforce_account_id
    currency: str = ""
    deleted: bool = False
    created: datetime | None = None
    address_digest: str | None = None
    shipping_digest: str | None = None


class StripePrice(Record):
    """A Stripe Price. `unit_amounts`: lower-case currency → minor units, currency_options included."""

    price_id: str
    product_id: str
    product_name: str = ""
    lookup_key: str = ""
    active: bool = True
    recurring: bool = False
    unit_amounts: dict[str, int] = {}


class StripeInvoice(Record):
    """What verifying needs of a Stripe invoice. All amounts in one currency, in minor units."""

    invoice_id: str
    customer_id: str
    status: str  # draft | open | paid | void | uncollectible
    currency: str  # lower case
    subtotal: Money
    total: Money
    total_excluding_tax: Money
    tax: Money
    line_count: int
    hosted_invoice_url: str = ""
    number: str = ""
    collection_method: str = ""  # charge_automatically | send_invoice
    auto_advance: bool = False
    livemode: bool = False
    metadata: dict[str, str] = {}
    created: datetime | None = None
    finalized_at: datetime | None = None


class CustomerMatch(StrEnum):
    """How a Stripe customer was found; the order is the order of trust (R3)."""

    STRIPE_ID = "stripe_id"  # Account.Stripe_Customer_Id__c
    METADATA = "metadata"
    EMAIL = "email"
    DOMAIN = "domain"
    NAME = "name"
    NONE = "none"  # create one


class PlanLine(Record):
    """One invoice line to be made: a list price (`price_id`) or an agreed amount on `product_id`."""

    line_id: str
    description: str
    quantity: int
    unit_amount: Money
    total: Money
    price_id: str = ""  # set: bill the Price as it stands
    product_id: str = ""  # set: inline price_data on this product
    negotiated: bool = False  # differs from the list price


class BillingPlan(Record):
    """What billing one deal will do, decided before anything is touched."""

    opportunity_id: str
    account_id: str
    currency: str  # lower case, Stripe's
    lines: tuple[PlanLine, ...]
    total: Money  # before tax
    collection_method: CollectionMethod
    days_until_due: int | None
    automatic_tax: bool
    metadata: dict[str, str]
    digest: str  # over everything that decides what is billed; not over names and addresses
