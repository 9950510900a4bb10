"""E-mail over SMTP: one message, one recipient, and always an answer to whether it may have left."""

from __future__ import annotations

import json
import smtplib
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import parseaddr
from enum import StrEnum
from hashlib import sha256

from pydantic import SecretStr

from order_to_cash.domain.audit import AuditSink
from order_to_cash.domain.emails import normalize_email
from order_to_cash.domain.errors import (
    ConfigurationError,
    O2CError,
    OutcomeUnknown,
    RecordRejected,
    Refused,
    Unavailable,
)
from order_to_cash.domain.messages import one_line
from order_to_cash.domain.records import Environment
from order_to_cash.gateways.calls import CallRecorder, OpenCall
from order_to_cash.gateways.mail_errors import login_refused, not_offered, said_no, taken, untrusted
from order_to_cash.gateways.places import require_emulator_address

_NO_SECRET = SecretStr("")
# Not every server on the way takes eight bits.
_WIRE, _WIRE_UTF8 = SMTP.clone(cte_type="7bit"), SMTPUTF8.clone(cte_type="7bit")
_AT_ONCE = 4  # connections: relays commonly refuse more from one client


class Security(StrEnum):
    """`starttls`: plain, then encrypted before anything is said (port 587). `tls`: from the start (port 465)."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpPlace:
    """Where and as whom mail is sent. `sender`: "Acme Billing <billing@acme.com>". `redirect_to`: all goes there."""

    host: str
    port: int
    security: Security
    sender: str
    username: str = ""
    password: SecretStr = _NO_SECRET
    reply_to: str = ""
    redirect_to: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """One message. `key` names the business fact: the Message-ID follows from it."""

    key: str
    to: str
    to_name: str = ""
    subject: str
    text: str
    html: str
    at: datetime


class Mailer:
    """One SMTP server. Blocking and safe to share between threads.

    Every message has a connection of its own: one that idles dies unseen, and would be found dead in the middle of the
    next message. Raises ConfigurationError for a sender that is no address, or a place of another environment.
    """

    def __init__(
        self,
        place: SmtpPlace,
        *,
        environment: Environment,
        audit: AuditSink,
        timeout_seconds: float = 30.0,
        actor: str = "",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        if environment is Environment.EMULATOR:
            require_emulator_address("the mail server", f"smtp://{place.host}")
        self._place = place
        self._sender = _address(place.sender, "O2C_SMTP_FROM")
        self._reply_to = _address(place.reply_to, "O2C_SMTP_REPLY_TO") if place.reply_to else None
        self._redirect = _address(place.redirect_to, "O2C_SMTP_REDIRECT_TO") if place.redirect_to else None
        self._host_name = (
            "localhost" if environment is Environment.EMULATOR else None
        )  # else the machine's own
        self._timeout = timeout_seconds
        self._tls = tls
        self._recorder = CallRecorder(audit, "mail", actor)
        self._seats = threading.BoundedSemaphore(_AT_ONCE)

    @property
    def sender_name(self) -> str:
        """As customers see it: the display name of the sender, else its domain."""
        return self._sender.display_name or self._sender.domain

    def recipient(self, to: str) -> str:
        """Where a mail to `to` goes: in the test environment to one address of ours."""
        return self._redirect.addr_spec if self._redirect else to

    def message_id(self, key: str) -> str:
        """The Message-ID of the message `key`: the same for whoever asks again."""
        return f"<o2c.{sha256(key.encode()).hexdigest()[:32]}@{_ascii(self._sender.domain)}>"

    def send(self, mail: Mail) -> str:
        """Hand it to the server, and return its Message-ID once the server has taken it.

        Raises Unavailable when it was surely not taken and may be later (no connection, 4xx), Refused and
        CredentialsRefused when it was surely not taken and will not be (5xx, an address that cannot be), OutcomeUnknown
        when the connection was lost after the text had been sent: never send it again then.
        """
        message = self._compose(mail)
        source = message.as_bytes()
        recipient = self.recipient(message["To"].addresses[0].addr_spec)
        call = self._recorder.begin(
            "SEND",
            f"smtp://{self._place.host}/{message['Message-ID'][1:-1]}",
            json.dumps({"to_email": recipient, "bytes": len(source)}).encode(),
            idempotency_key=mail.key,
        )
        with self._seats:
            call = call.leaving()
            try:
                reply = self._send(source, recipient)
            except O2CError as error:
                self._finish(call, error=error.code)
                raise
        self._finish(call, reply)
        return str(message["Message-ID"])

    def check(self) -> None:
        """Connect, encrypt, log in and leave. Raises as `send` does. Sends nothing."""
        with self._connected():
            return

    def _finish(self, call: OpenCall, reply: str = "", error: str = "") -> None:
        """That a ledger cannot take the outcome now changes nothing about what left."""
        body = json.dumps({"reply": reply}).encode() if not error else b""
        with suppress(O2CError):
            self._recorder.finish(call, status=None if error else 250, body=body, error=error)

    def _compose(self, mail: Mail) -> EmailMessage:
        to = _recipient(mail)
        message = EmailMessage(policy=_WIRE if to.addr_spec.isascii() else _WIRE_UTF8)
        message["From"] = self._sender
        message["To"] = to
        if self._reply_to is not None:
            message["Reply-To"] = self._reply_to
        message["Subject"] = one_line(mail.subject)
        message["Date"] = mail.at
        message["Message-ID"] = self.message_id(mail.key)
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday notice answers it
        message.set_content(mail.text)
        message.add_alternative(mail.html, subtype="html")
        return message

    def _send(self, source: bytes, recipient: str) -> str:
        sender = f"{self._sender.username}@{_ascii(self._sender.domain)}"
        with self._connected() as smtp:
            options = ["SMTPUTF8"] if not (sender + recipient).isascii() else []
            if options and not smtp.has_extn("smtputf8"):
                raise Refused(
                    "The mail server takes no address with letters outside ASCII.",
                    code="address_not_ascii",
                    remedy="Give the customer's billing contact an address in ASCII.",
                )
            taken(
                smtp.mail(sender, options),
                "sender",
                "Correct O2C_SMTP_FROM, or allow this sender at the server.",
            )
            taken(smtp.rcpt(recipient), "recipient", "Ask the customer for another address, and correct it.")
            code, reply = smtp.docmd("DATA")
            if code != 354:
                taken((code, reply), "message")
            return _handed_over(smtp, source)

    @contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        """A connection, encrypted and logged in. What is lost inside, before the text was sent, is Unavailable."""
        try:
            smtp = self._connect()
            try:
                yield smtp
                with suppress(smtplib.SMTPException, OSError):
                    smtp.quit()
            finally:
                smtp.close()
        except smtplib.SMTPAuthenticationError as error:
            problem = login_refused(error.smtp_code)
        except ssl.SSLCertVerificationError:
            problem = untrusted()
        except smtplib.SMTPNotSupportedError:
            problem = not_offered()
        except smtplib.SMTPResponseException as error:
            problem = said_no(error.smtp_code, "connection")
        except (smtplib.SMTPException, OSError) as error:
            problem = Unavailable(
                f"The mail server cannot be reached, or hung up ({type(error).__name__}).",
                code="smtp_unavailable",
            )
        else:
            return
        raise problem

    def _connect(self) -> smtplib.SMTP:
        place, timeout, name = self._place, self._timeout, self._host_name
        if place.security is Security.TLS:
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(
                place.host, place.port, local_hostname=name, timeout=timeout, context=self._context()
            )
        else:
            smtp = smtplib.SMTP(place.host, place.port, local_hostname=name, timeout=timeout)
        try:
            smtp.ehlo_or_helo_if_needed()
            if place.security is Security.STARTTLS:
                smtp.starttls(context=self._context())
                smtp.ehlo_or_helo_if_needed()
            if place.username:
                smtp.login(place.username, place.password.get_secret_value())
        except BaseException:
            smtp.close()
            raise
        return smtp

    def _context(self) -> ssl.SSLContext:
        return self._tls or ssl.create_default_context()


def _handed_over(smtp: smtplib.SMTP, source: bytes) -> str:
    """Send the text and hear the verdict. From its first byte on, silence says nothing."""
    lines = source.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    stuffed = b"\r\n".join(b"." + line if line.startswith(b".") else line for line in lines)
    try:
        smtp.send(stuffed.removesuffix(b"\r\n") + b"\r\n.\r\n")
        code, reply = smtp.getreply()
    except (smtplib.SMTPException, OSError) as error:
        cause = type(error).__name__
    else:
        return taken((code, reply), "message")
    raise OutcomeUnknown(
        f"The mail server was lost after it had been sent a message ({cause}).",
        code="mail_unknown",
        remedy="It is never sent again. Look in the mail server's log for its Message-ID.",
    )


def _address(text: str, variable: str) -> Address:
    name, address = parseaddr(text)
    try:
        return Address(one_line(name), addr_spec=normalize_email(address))
    except (RecordRejected, ValueError):
        raise ConfigurationError(
            f"{variable} is no e-mail address.",
            code="smtp_address",
            remedy=f'Write it as billing@acme.com or "Acme Billing <billing@acme.com>" in {variable}.',
        ) from None


def _recipient(mail: Mail) -> Address:
    """Raises Refused (`address_malformed`); the message does not repeat the address."""
    try:
        user, _, domain = normalize_email(mail.to).rpartition("@")
        return Address(one_line(mail.to_name), user, _ascii(domain))
    except (RecordRejected, ValueError):
        raise Refused(
            "The billing e-mail address is not one well-formed address.",
            code="address_malformed",
            remedy="Correct the Account's billing e-mail.",
        ) from None


def _ascii(domain: str) -> str:
    return domain if domain.isascii() else domain.encode("idna").decode()
