"""The Stripe account that is billed from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from prefect.blocks.abstract import CredentialsBlock
from pydantic import Field, SecretStr

from order_to_cash.domain.audit import AuditSink, NoAudit
from order_to_cash.domain.records import Environment

if TYPE_CHECKING:
    from order_to_cash.gateways.stripe_gateway import StripeGateway
    from order_to_cash.settings import Settings


class StripeAccount(CredentialsBlock):
    """A Stripe account in one environment; its key is restricted, with the rights that `o2c doctor` lists."""

    _block_type_name: ClassVar[str | None] = "Stripe Account"
    _block_type_slug: ClassVar[str | None] = "stripe-account"
    _description: ClassVar[str | None] = "The Stripe account that won deals are billed from."

    environment: Environment = Field(default=Environment.EMULATOR, title="Environment")
    api_key: SecretStr = Field(title="Restricted key", description="rk_test_… in test, rk_live_… in live.")
    api_base: str = Field(default="", title="Address", description="Only for the emulators; empty otherwise.")
    requests_per_second: int = Field(
        default=24,
        ge=1,
        le=100,
        title="Requests a second",
        description="Stripe allows 25 in a sandbox, 100 live.",
    )

    @classmethod
    def from_settings(cls, settings: Settings) -> StripeAccount:
        return cls(
            environment=settings.environment,
            api_key=settings.stripe_api_key,
            api_base=settings.stripe_api_base,
            requests_per_second=settings.stripe_pace,
        )

    def get_client(self, audit: AuditSink | None = None, actor: str = "") -> StripeGateway:
        """A gateway of the running event loop; close it with `aclose()`. Raises ConfigurationError."""
        from order_to_cash.gateways.stripe_gateway import StripeGateway

        address: dict[str, Any] = {"api_base": self.api_base} if self.api_base else {}
        return StripeGateway(
            api_key=self.api_key,
            environment=self.environment,
            requests_per_second=self.requests_per_second,
            audit=audit or NoAudit(),
            actor=actor,
            **address,
        )
