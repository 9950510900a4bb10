"""The mail server that customers are written to by."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from prefect.blocks.abstract import CredentialsBlock
from pydantic import Field, SecretStr

from order_to_cash.domain.audit import AuditSink, NoAudit
from order_to_cash.domain.records import Environment

if TYPE_CHECKING:
    from order_to_cash.gateways.mail_gateway import Mailer
    from order_to_cash.settings import Settings


class SmtpServer(CredentialsBlock):
    """An SMTP server and the sender. Without host or sender no mail is sent: the CSM gets a Task with its text."""

    _block_type_name: ClassVar[str | None] = "SMTP Server"
    _block_type_slug: ClassVar[str | None] = "smtp-server"
    _description: ClassVar[str | None] = "The mail server that customers are written to by."

    environment: Environment = Field(default=Environment.EMULATOR, title="Environment")
    host: str = Field(default="", title="Host", description="Such as smtp.acme.com.")
    port: int = Field(default=587, ge=1, le=65535, title="Port")
    security: Literal["starttls", "tls", "none"] = Field(
        default="starttls",
        title="Encryption",
        description="tls: from the start, port 465. none: on this machine.",
    )
    username: str = Field(default="", title="Username", description="Empty: no login.")
    password: SecretStr = Field(default=SecretStr(""), title="Password")
    sender: str = Field(default="", title="From", description="Such as Acme Billing <billing@acme.com>.")
    reply_to: str = Field(default="", title="Reply to", description="Empty: to the sender.")
    redirect_to: str = Field(
        default="", title="Everything to", description="In test: every mail goes there, none to a customer."
    )

    @classmethod
    def from_settings(cls, settings: Settings) -> SmtpServer:
        return cls(
            environment=settings.environment,
            host=settings.smtp_host,
            port=settings.smtp_port,
            security=settings.smtp_security,
            username=settings.smtp_username,
            password=settings.smtp_password,
            sender=settings.smtp_from,
            reply_to=settings.smtp_reply_to,
            redirect_to=settings.smtp_redirect_to,
        )

    @property
    def enabled(self) -> bool:
        return bool(self.host and self.sender)

    def get_client(self, audit: AuditSink | None = None, actor: str = "") -> Mailer:
        """A blocking, thread-safe gateway. Raises ConfigurationError."""
        from order_to_cash.gateways.mail_gateway import Mailer, Security, SmtpPlace

        place = SmtpPlace(
            host=self.host,
            port=self.port,
            security=Security(self.security),
            sender=self.sender,
            username=self.username,
            password=self.password,
            reply_to=self.reply_to,
            redirect_to=self.redirect_to,
        )
        return Mailer(place, environment=self.environment, audit=audit or NoAudit(), actor=actor)
