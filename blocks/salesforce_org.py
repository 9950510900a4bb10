"""The Salesforce org whose deals are billed."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from prefect.blocks.abstract import CredentialsBlock
from pydantic import Field, SecretStr

from order_to_cash.domain.audit import AuditSink, NoAudit
from order_to_cash.domain.clock import Clock
from order_to_cash.domain.records import Environment

if TYPE_CHECKING:
    from order_to_cash.gateways.salesforce_gateway import SalesforceGateway
    from order_to_cash.settings import Settings


class SalesforceOrg(CredentialsBlock):
    """A Salesforce org, reached as an External Client App: client credentials, or JWT with a private key."""

    _block_type_name: ClassVar[str | None] = "Salesforce Org"
    _block_type_slug: ClassVar[str | None] = "salesforce-org"
    _description: ClassVar[str | None] = "The Salesforce org whose won deals are billed."

    environment: Environment = Field(default=Environment.EMULATOR, title="Environment")
    login_url: str = Field(title="My Domain", description="Such as https://acme.my.salesforce.com.")
    client_id: str = Field(title="Consumer key", description="Of the External Client App.")
    client_secret: SecretStr = Field(
        default=SecretStr(""), title="Consumer secret", description="For the client credentials flow."
    )
    username: str = Field(default="", title="Username", description="Integration user, for the JWT flow.")
    private_key: SecretStr = Field(
        default=SecretStr(""),
        title="Private key",
        description="For the JWT flow: PEM, PEM with \\n for line breaks, or base64 of PEM.",
    )

    @classmethod
    def from_settings(cls, settings: Settings) -> SalesforceOrg:
        return cls(
            environment=settings.environment,
            login_url=settings.salesforce_login_url,
            client_id=settings.salesforce_client_id,
            client_secret=settings.salesforce_client_secret,
            username=settings.salesforce_username,
            private_key=settings.salesforce_private_key,
        )

    def get_client(
        self, audit: AuditSink | None = None, actor: str = "", clock: Clock | None = None
    ) -> SalesforceGateway:
        """A blocking, thread-safe gateway; close it with `close()`. Raises ConfigurationError.

        `clock` dates the JWT; the machine's clock by default.
        """
        from order_to_cash.gateways.salesforce_gateway import SalesforceGateway, login_with

        login = login_with(
            self.client_id,
            client_secret=self.client_secret,
            username=self.username,
            private_key=self.private_key,
            clock=clock,
        )
        return SalesforceGateway(
            environment=self.environment,
            login=login,
            login_url=self.login_url,
            audit=audit or NoAudit(),
            actor=actor,
        )
