"""From where on people are alerted, as a form. Its only source is the form itself: no setting overwrites it."""

from __future__ import annotations

from typing import ClassVar

from prefect.blocks.core import Block
from pydantic import Field

from order_to_cash.domain.alerts import Thresholds

_DEFAULT = Thresholds()


class AlertThresholds(Block):
    """When an alert is raised. 0 switches an alert off. The drain reads it at every look."""

    _block_type_name: ClassVar[str | None] = "Alert Thresholds"
    _block_type_slug: ClassVar[str | None] = "alert-thresholds"
    _description: ClassVar[str | None] = "From where on people are alerted; 0 switches an alert off."

    lag_seconds: int = Field(
        default=_DEFAULT.lag_seconds,
        ge=0,
        title="Events wait (seconds)",
        description="The oldest event that is not yet applied to Salesforce arrived longer ago than this.",
    )
    parked_events: int = Field(
        default=_DEFAULT.parked_events,
        ge=0,
        title="Parked events (number)",
        description="So many events wait for a person.",
    )
    error_percent: int = Field(
        default=_DEFAULT.error_percent,
        ge=0,
        le=100,
        title="Failing events (%)",
        description="Of those tried within 15 minutes, where they are at least 20.",
    )
    call_error_percent: int = Field(
        default=_DEFAULT.call_error_percent,
        ge=0,
        le=100,
        title="Failing calls to a vendor (%)",
        description="Of those to Stripe, or to Salesforce, within 5 minutes.",
    )
    budget_percent: int = Field(
        default=_DEFAULT.budget_percent,
        ge=0,
        le=100,
        title="Salesforce API calls used (%)",
        description="Of what the whole org may make in 24 hours. o2c itself stops at 80 %.",
    )
    silent_hours: int = Field(
        default=_DEFAULT.silent_hours,
        ge=0,
        le=720,
        title="Webhooks are silent (hours)",
        description="No webhook arrived for so long although there were events. A disabled endpoint is told at once.",
    )
    missed_events: int = Field(
        default=_DEFAULT.missed_events,
        ge=0,
        title="Missed events (number)",
        description="So many events had to be fetched within two hours because no webhook brought them.",
    )
    pulse_seconds: int = Field(
        default=_DEFAULT.pulse_seconds,
        ge=0,
        title="The drain is silent (seconds)",
        description="At least 90: it gives a sign of life every 30 s. A change needs `o2c init`.",
    )
    remind_hours: int = Field(
        default=_DEFAULT.remind_hours,
        ge=0,
        title="Remind after (hours)",
        description="Of what is still wrong. 0: never.",
    )
    notification_block: str = Field(
        default="",
        pattern=r"^([a-z0-9-]+/[^/]+)?$",
        title="Notify by",
        description="Another notification block of Prefect, as type/name: sendgrid-email/finance for e-mail. "
        "Empty: the Slack channel of the settings. A change needs `o2c init`.",
    )

    def thresholds(self) -> Thresholds:
        """The numbers as the domain takes them."""
        return Thresholds(**{name: getattr(self, name) for name in Thresholds.__slots__})
