"""What an organisation decides about billing: which deals, from when on, how much at once, which fields."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from order_to_cash.domain.errors import RecordRejected
from order_to_cash.domain.money import Money, currency_code
from order_to_cash.domain.records import CollectionMethod, Record

# Salesforce API names: letters, digits, single underscores; a namespace prefix and __c are allowed.
ApiName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9]*(_{1,2}[A-Za-z0-9]+)*$", max_length=80)]


class LineSource(StrEnum):
    """Where the lines of a deal stand (R6)."""

    OPPORTUNITY_PRODUCTS = "opportunity_products"  # OpportunityLineItem
    CPQ_QUOTE_LINES = "cpq_quote_lines"  # SBQQ__QuoteLine__c of the primary quote


class FieldNames(Record):
    """API names of the custom Salesforce fields that are read or written; the defaults are our own package's.

    An organisation with fields of its own from earlier names them here.
    """

    opportunity_customer_id: ApiName = "Stripe_Customer_Id__c"
    opportunity_invoice_id: ApiName = "Stripe_Invoice_Id__c"
    opportunity_invoice_url: ApiName = "Stripe_Invoice_URL__c"
    opportunity_subscription_id: ApiName = "Stripe_Subscription_Id__c"
    opportunity_invoice_status: ApiName = "Stripe_Invoice_Status__c"
    opportunity_billed_at: ApiName = "Stripe_Billed_At__c"
    opportunity_collection_method: ApiName = "Stripe_Collection_Method__c"
    opportunity_days_until_due: ApiName = "Stripe_Days_Until_Due__c"
    account_customer_id: ApiName = "Stripe_Customer_Id__c"
    account_billing_email: ApiName = "Billing_Email__c"
    account_segment: ApiName = "Dunning_Segment__c"
    account_time_zone: ApiName = "Billing_Time_Zone__c"
    product_price_id: ApiName = "Stripe_Price_Id__c"
    product_product_id: ApiName = "Stripe_Product_Id__c"

    def by_object(self) -> dict[str, tuple[str, ...]]:
        """Salesforce object → API names of its custom fields, to be compared with what an org has."""
        prefixes = {"Opportunity": "opportunity_", "Account": "account_", "Product2": "product_"}
        named = self.model_dump()
        return {
            sobject: tuple(name for key, name in named.items() if key.startswith(prefix))
            for sobject, prefix in prefixes.items()
        }


class BillingRules(Record):
    """The policy of one environment. Amounts are in major units, by upper-case currency.

    A limit table that is empty sets no limit; one that is not empty sets a limit of zero for the currencies
    it leaves out, so that a currency nobody thought of stops and asks.
    """

    bill_deals_closed_on_or_after: date
    stage_names: tuple[str, ...] = ("Closed Won",)
    excluded_types: tuple[str, ...] = ("Renewal",)
    field_names: FieldNames = FieldNames()
    line_source: LineSource = LineSource.OPPORTUNITY_PRODUCTS
    default_currency: str = "USD"  # of an org without multiple currencies
    multi_currency: bool = False  # CurrencyIsoCode exists
    collection_method: CollectionMethod = CollectionMethod.SEND_INVOICE
    days_until_due: int = Field(default=30, ge=0, le=3650)
    automatic_tax: bool = False
    chatter_posts: bool = False  # a win post on the deal as well
    stripe_emails_invoices: bool = False  # Stripe's setting "Email finalized invoices to customers" is on
    max_deals_per_run: int = Field(default=200, ge=1)
    max_amount_per_run: dict[str, Decimal] = Field(default_factory=dict)
    approval_limit: dict[str, Decimal] = Field(default_factory=dict)  # a single deal above it needs approval
    operator_ids: tuple[str, ...] = ()  # who may approve a held run; empty: anyone who can start one

    @field_validator("default_currency")
    @classmethod
    def _upper_known(cls, value: str) -> str:
        return policy_currency(value)

    @field_validator("stage_names", "excluded_types", "operator_ids")
    @classmethod
    def _no_blanks(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        stripped = tuple(value.strip() for value in values)
        if not all(stripped):
            raise ValueError("an empty name is not allowed")
        return tuple(dict.fromkeys(stripped))

    @field_validator("max_amount_per_run", "approval_limit")
    @classmethod
    def _positive_limits(cls, limits: dict[str, Decimal]) -> dict[str, Decimal]:
        return {policy_currency(code): _limit(code, amount) for code, amount in limits.items()}

    @model_validator(mode="after")
    def _bills_something(self) -> BillingRules:
        if not self.stage_names:
            raise ValueError("name at least one stage, such as Closed Won")
        return self

    def amount_limit(self, currency: str) -> Money | None:
        """The largest total of one run in `currency`, or None when none is set."""
        return _limit_money(self.max_amount_per_run, currency)

    def deal_limit(self, currency: str) -> Money | None:
        """The largest single deal in `currency` that needs no approval, or None when none is set."""
        return _limit_money(self.approval_limit, currency)


def _limit_money(limits: dict[str, Decimal], currency: str) -> Money | None:
    if not limits:
        return None
    return Money.from_major(limits.get(currency.upper(), Decimal(0)), currency)


def policy_currency(code: str) -> str:
    """The code in capitals, for validators. Raises ValueError for one that Stripe does not know."""
    try:
        return currency_code(code).upper()
    except RecordRejected as error:
        raise ValueError(error.message) from None


def _limit(code: str, amount: Decimal) -> Decimal:
    if not amount.is_finite() or amount < 0:
        raise ValueError(f"the limit for {code.upper()} must be zero or more, not {amount}")
    try:
        Money.from_major(amount, code)
    except RecordRejected as error:
        raise ValueError(error.message) from None
    return amount
