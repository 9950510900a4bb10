"""Sending once, and saying whether it may have left; judged by the emulator's journal and mailbox."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import SecretStr

from emulators.mail.service import MailService
from emulators.run import running
from order_to_cash.domain.errors import (
    ConfigurationError,
    CredentialsRefused,
    O2CError,
    OutcomeUnknown,
    Refused,
    Unavailable,
)
from order_to_cash.domain.records import Environment
from order_to_cash.gateways.mail_gateway import Mail, Mailer, Security, SmtpPlace
from tests.gateways.conftest import RememberingAudit

MAIL = Mail(
    key="o2c:contact:email:cus_1:2026-11-20",
    to="pay@umbrella.example",
    to_name="Ada",
    subject="Invoice 0001",
    text="Hello,\n.a line with a dot\nPlease pay €5.",
    html="<p>Please pay €5.</p>",
    at=datetime(2026, 11, 20, 9, tzinfo=UTC),
)
PLACE = SmtpPlace(
    host="127.0.0.1",
    port=0,
    security=Security.NONE,
    sender="Acme Billing <billing@acme.example>",
    reply_to="help@acme.example",
)
Make = Callable[..., Mailer]
PATIENCE, LATE = 0.4, 0.8  # seconds


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[MailService, int]]:
    service = MailService()
    with running(service) as urls:
        yield service, int(urls["smtp"].rpartition(":")[2])


@pytest.fixture
def service(server: tuple[MailService, int]) -> MailService:
    server[0].reset()
    server[0].settings.restore()
    return server[0]


@pytest.fixture
def make(service: MailService, server: tuple[MailService, int], audit: RememberingAudit) -> Make:
    def mailer(tls: ssl.SSLContext | None = None, timeout_seconds: float = 10, **changes: Any) -> Mailer:
        place = replace(PLACE, **{"port": server[1], **changes})
        environment = Environment.EMULATOR
        return Mailer(place, environment=environment, audit=audit, timeout_seconds=timeout_seconds, tls=tls)

    return mailer


def test_a_mail_arrives_whole_and_its_id_follows_from_its_key(service: MailService, make: Make) -> None:
    sent = make().send(MAIL)
    [message] = service.messages
    assert sent == message.message_id == make().message_id(MAIL.key)
    assert message.recipients == ("pay@umbrella.example",)
    assert message.mail_from == "billing@acme.example"
    shown = {name: message.header(name) for name in ("from", "to", "reply-to", "subject", "auto-submitted")}
    assert shown == {
        "from": "Acme Billing <billing@acme.example>",
        "to": "Ada <pay@umbrella.example>",
        "reply-to": "help@acme.example",
        "subject": "Invoice 0001",
        "auto-submitted": "auto-generated",
    }
    assert message.header("date") == "Fri, 20 Nov 2026 09:00:00 +0000"
    assert message.body("plain").replace("\r\n", "\n").strip() == MAIL.text
    assert message.body("html").strip() == MAIL.html
    assert message.source.isascii()  # for servers on the way that take seven bits


@pytest.mark.parametrize(
    ("fault", "expected", "code"),
    [
        ({"method": "EHLO", "status": 421}, Unavailable, "smtp_421"),
        ({"method": "MAIL", "status": 451}, Unavailable, "smtp_451"),
        ({"method": "MAIL", "status": 553}, Refused, "sender_refused"),
        ({"method": "RCPT", "status": 450}, Unavailable, "smtp_450"),
        ({"method": "RCPT", "status": 550}, Refused, "recipient_refused"),
        ({"method": "RCPT", "drop": "before"}, Unavailable, "smtp_unavailable"),
        ({"method": "RCPT", "delay_seconds": LATE}, Unavailable, "smtp_unavailable"),
        ({"method": "DATA", "status": 451}, Unavailable, "smtp_451"),
        ({"method": "DATA", "status": 554}, Refused, "message_refused"),
        ({"method": "DATA", "drop": "before"}, OutcomeUnknown, "mail_unknown"),
    ],
    ids=str,
)
def test_what_did_not_arrive_is_told_by_kind(
    service: MailService, make: Make, audit: RememberingAudit, fault: Any, expected: type[O2CError], code: str
) -> None:
    service.faults.add(**fault)
    patience = {"timeout_seconds": PATIENCE} if "delay_seconds" in fault else {}
    with pytest.raises(expected) as caught:
        make(**patience).send(MAIL)
    assert (type(caught.value), caught.value.code) == (expected, code)
    assert service.messages == []
    assert [outcome.error for outcome in audit.outcomes.values()] == [code]


@pytest.mark.parametrize("fault", [{"drop": "after"}, {"delay_seconds": LATE, "after_effect": True}], ids=str)
def test_what_arrived_without_an_answer_is_unknown(service: MailService, make: Make, fault: Any) -> None:
    service.faults.add(method="DATA", **fault)
    with pytest.raises(OutcomeUnknown):
        make(timeout_seconds=PATIENCE).send(MAIL)
    assert len(service.messages) == 1


def test_a_server_that_is_not_there_took_nothing(make: Make) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(Unavailable):
            make(port=unused.getsockname()[1]).send(MAIL)


@pytest.mark.parametrize(
    "to", ["", "nobody", "a@b@c.example", "a@umbrella.example, b@umbrella.example", "a@x\nBcc: b@y"]
)
def test_an_address_that_cannot_be_is_refused_unsaid(service: MailService, make: Make, to: str) -> None:
    with pytest.raises(Refused) as caught:
        make().send(replace(MAIL, to=to))
    assert caught.value.code == "address_malformed"
    assert not to or to not in str(caught.value)
    assert service.journal.entries == []


def test_no_line_of_a_header_can_be_added(service: MailService, make: Make) -> None:
    make().send(
        replace(MAIL, subject="Invoice\r\nBcc: eve@evil.example", to_name="Ada\r\nBcc: eve@evil.example")
    )
    [message] = service.messages
    assert message.recipients == ("pay@umbrella.example",)
    assert message.header("bcc") == ""


def test_domains_outside_ascii_are_encoded(service: MailService, make: Make) -> None:
    make().send(replace(MAIL, to="pay@bücher.example"))
    assert service.messages[0].recipients == ("pay@xn--bcher-kva.example",)
    with pytest.raises(Refused) as caught:
        make().send(replace(MAIL, to="zürich@umbrella.example"))
    assert caught.value.code == "address_not_ascii"


def test_with_a_redirect_nothing_reaches_a_customer(service: MailService, make: Make) -> None:
    make(redirect_to="qa@acme.example").send(MAIL)
    [message] = service.messages
    assert message.recipients == ("qa@acme.example",)
    assert message.header("to") == "Ada <pay@umbrella.example>"


def test_the_audit_log_has_the_mail_and_nobody_s_address(make: Make, audit: RememberingAudit) -> None:
    make().send(MAIL)
    [intent] = audit.intents
    assert (intent.system, intent.method, intent.idempotency_key) == ("mail", "SEND", MAIL.key)
    assert "pay@umbrella.example" not in str(intent)
    assert make().message_id(MAIL.key)[1:-1] in intent.path
    assert audit.outcomes["0"].status == 250


def test_a_login_that_is_refused_names_its_settings(service: MailService, make: Make) -> None:
    service.settings.patch({"username": "o2c", "password": "right"})
    with pytest.raises(CredentialsRefused) as caught:
        make(username="o2c", password=SecretStr("wrong")).send(MAIL)
    assert "O2C_SMTP_PASSWORD" in caught.value.remedy
    assert "wrong" not in str(caught.value)
    make(username="o2c", password=SecretStr("right")).send(MAIL)
    assert len(service.messages) == 1


def test_a_check_sends_nothing(service: MailService, make: Make) -> None:
    make().check()
    assert [entry.method for entry in service.journal.entries] == ["EHLO"]


def test_threads_may_send_at_once(service: MailService, make: Make) -> None:
    mailer, start = make(), threading.Barrier(8)

    def one(number: int) -> None:
        start.wait()
        mailer.send(replace(MAIL, key=f"o2c:contact:email:cus_{number}:2026-11-20"))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(one, range(8)))
    assert len({message.message_id for message in service.messages}) == len(service.messages) == 8


@pytest.mark.parametrize(
    "changes", [{"sender": "Acme"}, {"reply_to": "nobody"}, {"host": "smtp.acme.com"}], ids=str
)
def test_a_place_that_cannot_be_is_a_matter_of_settings(make: Make, changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        make(**changes)


# Encryption


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of 127.0.0.1, signed by itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = tmp_path_factory.mktemp("tls") / "server.pem"
    file.write_bytes(secret + made.public_bytes(pem))
    return file


@pytest.fixture
def encrypted(certificate: Path) -> Iterator[tuple[MailService, int]]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    service = MailService(tls=context)
    with running(service) as urls:
        yield service, int(urls["smtp"].rpartition(":")[2])


def test_starttls_is_taken_only_from_a_server_that_proves_its_name(
    encrypted: tuple[MailService, int], certificate: Path, make: Make
) -> None:
    service, port = encrypted
    with pytest.raises(ConfigurationError) as caught:
        make(port=port, security=Security.STARTTLS).send(MAIL)
    assert caught.value.code == "smtp_certificate"
    assert service.messages == []
    trusting = ssl.create_default_context(cafile=str(certificate))
    make(port=port, security=Security.STARTTLS, tls=trusting).send(MAIL)
    assert len(service.messages) == 1


def test_without_starttls_nothing_is_said_in_the_clear(service: MailService, make: Make) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make(security=Security.STARTTLS, username="o2c", password=SecretStr("right")).send(MAIL)
    assert caught.value.code == "smtp_not_offered"
    assert [entry.method for entry in service.journal.entries] == ["EHLO"]
