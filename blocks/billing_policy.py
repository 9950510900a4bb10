"""What the organisation decides about billing, as a form."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, ClassVar

from prefect.blocks.core import Block
from pydantic import Field, WithJsonSchema, field_validator

from order_to_cash.domain.policy import BillingRules, FieldNames, LineSource
from order_to_cash.domain.records import CollectionMethod
from order_to_cash.settings import parse_limits, show_limits

if TYPE_CHECKING:
    from order_to_cash.settings import Settings

_AMOUNTS = "Such as USD=50000, EUR=45000. Empty: no limit. A currency left out then always needs approval."


def _choice(values: type[StrEnum]) -> WithJsonSchema:
    """The enum in place: of one that is referred to, Prefect's UI shows the class's name instead of the title."""
    return WithJsonSchema({"type": "string", "enum": [value.value for value in values]})


class BillingPolicy(Block):
    """Which deals are billed, from when on, how much at once, and how they are collected."""

    _block_type_name: ClassVar[str | None] = "Billing Policy"
    _block_type_slug: ClassVar[str | None] = "billing-policy"
    _description: ClassVar[str | None] = "Which won deals are billed, from when on, and how much at once."

    bill_deals_closed_on_or_after: date = Field(
        title="Bill deals closed on or after", description="The go-live date: nothing older is ever billed."
    )
    stage_names: list[str] = Field(default=["Closed Won"], title="Stages that are won")
    excluded_types: list[str] = Field(default=["Renewal"], title="Deal types that are not billed")
    collection_method: Annotated[CollectionMethod, _choice(CollectionMethod)] = Field(
        default=CollectionMethod.SEND_INVOICE,
        title="Collection method",
        description="Unless the deal says so.",
    )
    days_until_due: int = Field(
        default=30, ge=0, le=3650, title="Days until due", description="Of sent invoices."
    )
    automatic_tax: bool = Field(default=False, title="Stripe Tax", description="Tax is computed by Stripe.")
    stripe_emails_invoices: bool = Field(
        default=False,
        title="Stripe e-mails invoices by itself",
        description="As its setting “Email finalized invoices to customers” says. Then o2c does not send them as well.",
    )
    chatter_posts: bool = Field(
        default=False, title="Chatter", description="Post on each billed deal, where the org uses Chatter."
    )
    default_currency: str = Field(default="USD", title="Currency", description="Of an org with one currency.")
    multi_currency: bool = Field(default=False, title="The org has multiple currencies")
    line_source: Annotated[LineSource, _choice(LineSource)] = Field(
        default=LineSource.OPPORTUNITY_PRODUCTS, title="Where the lines stand"
    )
    max_deals_per_run: int = Field(default=200, ge=1, title="Largest number of deals in a run")
    max_amount_per_run: str = Field(default="", title="Largest total of a run", description=_AMOUNTS)
    approval_limit: str = Field(default="", title="Largest deal without approval", description=_AMOUNTS)
    operator_ids: list[str] = Field(
        default=[], title="Who may approve", description="Empty: anyone who can start a run."
    )
    field_names: FieldNames = Field(default=FieldNames(), title="Salesforce field names")

    @field_validator("max_amount_per_run", "approval_limit")
    @classmethod
    def _amounts(cls, text: str) -> str:
        return show_limits(parse_limits(text))

    @classmethod
    def from_settings(cls, settings: Settings) -> BillingPolicy:
        """Raises ConfigurationError when the settings make no valid policy."""
        return cls.from_rules(settings.billing_rules())

    @classmethod
    def from_rules(cls, rules: BillingRules) -> BillingPolicy:
        given = rules.model_dump() | {
            "max_amount_per_run": show_limits(rules.max_amount_per_run),
            "approval_limit": show_limits(rules.approval_limit),
        }
        return cls.model_validate(given)

    def rules(self) -> BillingRules:
        """The policy as the domain takes it. Raises pydantic's ValidationError when it contradicts itself."""
        given = {name: getattr(self, name) for name in BillingRules.model_fields}
        given |= {name: parse_limits(given[name]) for name in ("max_amount_per_run", "approval_limit")}
        return BillingRules.model_validate(given)
