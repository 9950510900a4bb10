"""The mail emulator: an SMTP server that keeps what it is given, and a mailbox to look into over HTTP.

SMTP is spoken at the door `smtp`. What a client asks is journalled by the name of its command: EHLO, MAIL, RCPT and
DATA, with the address as path, and faults match those: `{"method": "RCPT", "path": "gone@", "status": 550}` refuses a
recipient, `{"method": "DATA", "drop": "after"}` keeps the message and cuts the connection. Nothing is ever relayed.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from emulators.engine import Answer, Call, Clock, Service, Settings
from emulators.mail.mailbox import Mailbox, Message, show
from emulators.mail.session import Session


@dataclass
class MailSettings(Settings):
    """username, password: what a client must log in with; empty: nobody has to. max_bytes: of one message."""

    username: str = ""
    password: str = ""
    max_bytes: int = 10_000_000


class MailService(Service):
    """One mail server. `tls`: with it STARTTLS is offered."""

    name: ClassVar[str] = "mail"
    doors: ClassVar[Mapping[str, str]] = {"smtp": "smtp"}
    settings: MailSettings

    def __init__(
        self,
        clock: Clock | None = None,
        settings: MailSettings | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        settings = settings or MailSettings()
        super().__init__(clock, settings)
        self.settings = settings
        self.mailbox = Mailbox()
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._sessions: set[Session] = set()

    @property
    def messages(self) -> list[Message]:
        """All that was taken, oldest first."""
        return self.mailbox.messages

    def reset_data(self) -> None:
        self.mailbox.clear()

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Session(self, loop, self._tls), sock=self.listeners["smtp"]
        )

    async def aclose(self) -> None:
        if self._server is not None:
            self._server.close()
        for session in list(self._sessions):
            session.cut()
        await asyncio.sleep(0)

    def begun(self, session: Session) -> None:
        self._sessions.add(session)

    def ended(self, session: Session) -> None:
        self._sessions.discard(session)

    def handle(self, call: Call) -> Answer:
        return show(self.mailbox, call)
