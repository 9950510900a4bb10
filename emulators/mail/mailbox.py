"""What the server took, and pages to read it: a list, each message as it would be shown, its source."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from functools import cached_property
from html import escape
from typing import Any

from emulators.engine import Answer, Call

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1f36}"
    "table{width:100%;border-collapse:collapse}td,th{padding:.4rem;text-align:left;border-bottom:1px solid #e3e8ee}"
    "iframe{width:100%;height:70vh;border:1px solid #e3e8ee}"
)


@dataclass(frozen=True)
class Message:
    """One mail as it came. `recipients` are those of the envelope."""

    number: int
    at: datetime
    mail_from: str
    recipients: tuple[str, ...]
    source: bytes

    @cached_property
    def parsed(self) -> EmailMessage:
        parsed = BytesParser(policy=policy.default).parsebytes(self.source)
        assert isinstance(parsed, EmailMessage)
        return parsed

    @property
    def message_id(self) -> str:
        return self.header("message-id")

    @property
    def subject(self) -> str:
        return self.header("subject")

    def header(self, name: str) -> str:
        return str(self.parsed[name] or "").strip()  # folded right after its name, it begins with a blank

    def body(self, kind: str) -> str:
        """The part that is `plain` or `html`; "" when there is none."""
        part = self.parsed.get_body((kind,))
        return str(part.get_content()) if part is not None else ""

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.number,
            "at": self.at.isoformat(),
            "mail_from": self.mail_from,
            "recipients": list(self.recipients),
            "subject": self.subject,
            "message_id": self.message_id,
            "headers": [[name, str(value)] for name, value in self.parsed.items()],
            "text": self.body("plain"),
            "html": self.body("html"),
        }


class Mailbox:
    """All messages of all recipients, oldest first."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._last = 0

    def keep(self, at: datetime, mail_from: str, recipients: Iterable[str], source: bytes) -> Message:
        self._last += 1
        message = Message(self._last, at, mail_from, tuple(recipients), source)
        self.messages.append(message)
        return message

    def clear(self) -> None:
        self.messages.clear()


def show(mailbox: Mailbox, call: Call) -> Answer:
    """GET / and /messages/N for people, /messages and /messages/N/json for programs, /messages/N/html and …/source."""
    found = re.fullmatch(r"/messages/(\d+)(/html|/json|/source)?", call.path)
    if call.method != "GET":
        return Answer(405, "Only GET.")
    if call.path == "/":
        return _html(_list(mailbox))
    if call.path == "/messages":
        return Answer(200, {"messages": [message.as_json() for message in mailbox.messages]})
    message = next((one for one in mailbox.messages if found and one.number == int(found[1])), None)
    return _shown(message, found[2] or "") if found and message else Answer(404, "No such message.")


def _shown(message: Message, how: str) -> Answer:
    if how == "/json":
        return Answer(200, message.as_json())
    if how == "/source":
        return Answer(200, message.source.decode(errors="replace"))
    return _html(message.body("html") if how else _page(message))


def _html(body: str) -> Answer:
    return Answer(200, body, {"content-type": "text/html; charset=utf-8"})


def _list(mailbox: Mailbox) -> str:
    rows = "".join(
        f"<tr><td>{one.at:%Y-%m-%d %H:%M}</td><td>{escape(', '.join(one.recipients))}</td>"
        f"<td><a href=/messages/{one.number}>{escape(one.subject) or '(no subject)'}</a></td></tr>"
        for one in reversed(mailbox.messages)
    )
    return (
        f"<!doctype html><meta charset=utf-8><title>Mail</title><style>{_STYLE}</style>"
        "<h1>Mail</h1><p>Kept by a local emulator. Nobody was sent anything.</p>"
        f"<table><tr><th>When (UTC)</th><th>To</th><th>Subject</th></tr>{rows}</table>"
    )


def _page(message: Message) -> str:
    facts = "".join(
        f"<tr><th>{name}</th><td>{escape(message.header(name))}</td></tr>"
        for name in ("From", "To", "Reply-To", "Subject", "Date")
    )
    at = f"/messages/{message.number}"
    return (
        f"<!doctype html><meta charset=utf-8><title>{escape(message.subject)}</title><style>{_STYLE}</style>"
        f"<p><a href=/>All mail</a> · <a href={at}/source>Source</a></p><table>{facts}</table>"
        f"<iframe src={at}/html sandbox></iframe><h2>As text</h2><pre>{escape(message.body('plain'))}</pre>"
    )
