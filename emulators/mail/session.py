"""One SMTP connection: each command journalled, faults in its way, the message kept."""

from __future__ import annotations

import asyncio
import ssl
import time
from typing import TYPE_CHECKING, Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword
from aiosmtpd.smtp import Session as Login

from emulators.engine import Call, Fault, JournalEntry

if TYPE_CHECKING:
    from emulators.mail.service import MailService

HOST_NAME = "mail.emulator.example"
_REPLIES = {
    "EHLO": "421 4.3.2 Try again later",
    "MAIL": "550 5.7.1 Sender refused",
    "RCPT": "550 5.1.1 No such user",
    "DATA": "554 5.7.1 Message refused",
}


class Session(SMTP):
    """aiosmtpd's protocol, its own handler as well."""

    def __init__(
        self, service: MailService, loop: asyncio.AbstractEventLoop, tls: ssl.SSLContext | None
    ) -> None:
        self._service = service
        super().__init__(
            self,
            data_size_limit=service.settings.max_bytes,
            hostname=HOST_NAME,
            ident="emulated",
            tls_context=tls,
            loop=loop,
            auth_require_tls=False,
            authenticator=self._log_in,
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._service.begun(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._service.ended(self)
        super().connection_lost(error)

    def cut(self) -> None:
        """End the connection without a word."""
        if isinstance(self.transport, asyncio.WriteTransport):
            self.transport.abort()

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's name and arguments
        self, server: SMTP, session: Login, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        del server, envelope
        session.host_name = hostname
        refusal = await self._command("EHLO", hostname)
        return [refusal] if refusal else responses

    async def handle_HELO(  # noqa: N802
        self, server: SMTP, session: Login, envelope: Envelope, hostname: str
    ) -> str:
        """The greeting of old; a client whose EHLO was refused tries it. Journalled as EHLO."""
        del server, envelope
        session.host_name = hostname
        return await self._command("EHLO", hostname) or f"250 {HOST_NAME}"

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Login, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        del server
        if self._service.settings.username and not session.authenticated:
            return "530 5.7.0 Authentication required"
        refusal = await self._command("MAIL", address)
        if refusal:
            return refusal
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Login, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        del server, session
        refusal = await self._command("RCPT", address)
        if refusal:
            return refusal
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Login, envelope: Envelope) -> str:  # noqa: N802
        del server, session
        content = envelope.content
        source = content if isinstance(content, bytes) else (content or "").encode()
        refusal = await self._command("DATA", ",".join(envelope.rcpt_tos), envelope, source)
        return refusal or "250 2.0.0 OK: kept"

    async def _command(
        self, name: str, about: str, envelope: Envelope | None = None, source: bytes = b""
    ) -> str:
        """Journal it and let faults strike; the refusal, or "" for none."""
        service = self._service
        headers = {"content-type": "text/plain"} if source else {}
        call = Call(name, f"/{about}", "", headers, source, service.clock.now())
        entry = service.journal.open(call)
        started = time.perf_counter()
        try:
            return await self._answered(call, entry, service.faults.strike(call), envelope)
        finally:
            entry.effects, entry.in_flight = call.effects, False
            entry.duration_ms = round((time.perf_counter() - started) * 1000, 3)

    async def _answered(
        self, call: Call, entry: JournalEntry, fault: Fault | None, envelope: Envelope | None
    ) -> str:
        entry.fault = fault.id if fault else None
        await asyncio.sleep(self._service.settings.latency_seconds)
        if fault and fault.delay_seconds and not fault.after_effect:
            await asyncio.sleep(fault.delay_seconds)
        if fault and fault.drop == "before":
            await self._dropped(entry, "before")
        if fault and fault.answers and not fault.after_effect:
            return self._said(entry, _refusal(call.method, fault))
        if envelope is not None:
            self._keep(call, envelope)
        if fault and fault.delay_seconds and fault.after_effect:
            await asyncio.sleep(fault.delay_seconds)
        if fault and fault.drop == "after":
            await self._dropped(entry, "after")
        return self._said(entry, _refusal(call.method, fault) if fault and fault.answers else "")

    def _keep(self, call: Call, envelope: Envelope) -> None:
        message = self._service.mailbox.keep(call.at, envelope.mail_from or "", envelope.rcpt_tos, call.body)
        call.effect("message", message.message_id, "delivered")

    async def _dropped(self, entry: JournalEntry, when: str) -> None:
        entry.dropped = when
        self.cut()
        await asyncio.Event().wait()  # until the loss of the connection cancels this

    @staticmethod
    def _said(entry: JournalEntry, refusal: str) -> str:
        entry.status = int(refusal[:3]) if refusal else 250
        return refusal

    def _log_in(
        self, server: SMTP, session: Login, envelope: Envelope, mechanism: str, given: Any
    ) -> AuthResult:
        del server, session, envelope, mechanism
        settings = self._service.settings
        right = LoginPassword(settings.username.encode(), settings.password.encode())
        return AuthResult(success=bool(settings.username) and given == right, handled=False)


def _refusal(command: str, fault: Fault) -> str:
    said = fault.response if isinstance(fault.response, str) else _REPLIES[command].partition(" ")[2]
    return f"{fault.status or int(_REPLIES[command][:3])} {said}"
