"""The Slack channel that is told of wins, of held records and of failures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from prefect.blocks.abstract import CredentialsBlock
from pydantic import Field, SecretStr

from order_to_cash.domain.audit import AuditSink, NoAudit
from order_to_cash.domain.records import Environment

if TYPE_CHECKING:
    from order_to_cash.gateways.slack_gateway import SlackGateway
    from order_to_cash.settings import Settings


class SlackChannel(CredentialsBlock):
    """A channel and the bot that posts to it. Without token or channel nothing is posted."""

    _block_type_name: ClassVar[str | None] = "Slack Channel"
    _block_type_slug: ClassVar[str | None] = "slack-channel"
    _description: ClassVar[str | None] = "The channel that is told of wins, held records and failures."

    environment: Environment = Field(default=Environment.EMULATOR, title="Environment")
    bot_token: SecretStr = Field(default=SecretStr(""), title="Bot token", description="xoxb-…")
    channel: str = Field(default="", title="Channel", description="Name or id; the app is a member of it.")
    base_url: str = Field(default="", title="Address", description="Only for the emulators; empty otherwise.")

    @classmethod
    def from_settings(cls, settings: Settings) -> SlackChannel:
        return cls(
            environment=settings.environment,
            bot_token=settings.slack_bot_token,
            channel=settings.slack_channel,
            base_url=settings.slack_base_url,
        )

    @property
    def enabled(self) -> bool:
        return bool(self.bot_token.get_secret_value() and self.channel)

    def get_client(self, audit: AuditSink | None = None, actor: str = "") -> SlackGateway:
        """A blocking, thread-safe gateway. Raises ConfigurationError."""
        from order_to_cash.gateways.slack_gateway import SlackGateway

        address: dict[str, Any] = {"base_url": self.base_url} if self.base_url else {}
        return SlackGateway(
            token=self.bot_token,
            environment=self.environment,
            audit=audit or NoAudit(),
            actor=actor,
            **address,
        )
