"""The mail emulator, spoken to by the standard library's SMTP client."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator

import httpx
import pytest

from emulators.mail.service import MailService
from emulators.run import running

SOURCE = (
    b"Message-ID: <1@acme.example>\r\nFrom: billing@acme.example\r\nTo: pay@umbrella.example\r\n"
    b"Subject: =?utf-8?q?Your_invoice_=E2=82=AC?=\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n.leading dot\r\n"
)


@pytest.fixture
def service() -> MailService:
    return MailService()


@pytest.fixture
def urls(service: MailService) -> Iterator[dict[str, str]]:
    with running(service) as addresses:
        yield addresses


@pytest.fixture
def client(urls: dict[str, str]) -> Iterator[smtplib.SMTP]:
    port = int(urls["smtp"].rpartition(":")[2])
    smtp = smtplib.SMTP("127.0.0.1", port, timeout=5, local_hostname="localhost")
    yield smtp
    smtp.close()


def send(client: smtplib.SMTP) -> None:
    client.sendmail("billing@acme.example", ["pay@umbrella.example"], SOURCE)


def commands(service: MailService) -> list[tuple[str, str, int | None]]:
    return [(entry.method, entry.path, entry.status) for entry in service.journal.entries]


def test_a_message_is_kept_and_journalled(service: MailService, client: smtplib.SMTP) -> None:
    send(client)
    [message] = service.messages
    assert (message.subject, message.recipients) == ("Your invoice €", ("pay@umbrella.example",))
    assert message.body("plain").strip() == ".leading dot"
    assert commands(service) == [
        ("EHLO", "/localhost", 250),
        ("MAIL", "/billing@acme.example", 250),
        ("RCPT", "/pay@umbrella.example", 250),
        ("DATA", "/pay@umbrella.example", 250),
    ]
    assert [effect.id for effect in service.journal.effects("message", "delivered")] == ["<1@acme.example>"]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"method": "RCPT", "path": "umbrella", "status": 550}, smtplib.SMTPRecipientsRefused),
        ({"method": "RCPT", "status": 450}, smtplib.SMTPRecipientsRefused),
        ({"method": "MAIL", "status": 553}, smtplib.SMTPSenderRefused),
        ({"method": "DATA", "status": 554}, smtplib.SMTPDataError),
        ({"method": "DATA", "drop": "before"}, smtplib.SMTPServerDisconnected),
        ({"method": "RCPT", "drop": "before"}, smtplib.SMTPServerDisconnected),
    ],
    ids=str,
)
def test_a_fault_keeps_the_message_from_arriving(
    service: MailService, client: smtplib.SMTP, fault: dict[str, object], expected: type[Exception]
) -> None:
    service.faults.add(**fault)
    with pytest.raises(expected):
        send(client)
    assert service.messages == []


def test_a_connection_cut_after_the_text_has_kept_the_message(
    service: MailService, client: smtplib.SMTP
) -> None:
    service.faults.add(method="DATA", drop="after")
    with pytest.raises(smtplib.SMTPServerDisconnected):
        send(client)
    assert len(service.messages) == 1
    assert [entry.dropped for entry in service.journal.select(method="DATA")] == ["after"]


def test_a_login_is_demanded_when_one_is_set(service: MailService, client: smtplib.SMTP) -> None:
    service.settings.patch({"username": "o2c", "password": "right"})
    with pytest.raises(smtplib.SMTPSenderRefused):
        send(client)
    with pytest.raises(smtplib.SMTPAuthenticationError):
        client.login("o2c", "wrong")
    client.login("o2c", "right")
    send(client)
    assert len(service.messages) == 1


def test_the_mailbox_shows_text_and_markup_of_others_inert(
    service: MailService, urls: dict[str, str], client: smtplib.SMTP
) -> None:
    hostile = SOURCE.replace(b"=?utf-8?q?Your_invoice_=E2=82=AC?=", b"<script>alert(1)</script>")
    client.sendmail("billing@acme.example", ["pay@umbrella.example"], hostile)
    with httpx.Client(base_url=urls["mail"], trust_env=False) as browser:
        pages = [browser.get(path) for path in ("/", "/messages/1")]
        assert all("&lt;script&gt;" in page.text and "<script>" not in page.text for page in pages)
        assert browser.get("/messages/1/source").content == hostile
        assert browser.get("/messages/1/json").json()["text"].strip() == ".leading dot"
        assert browser.get("/messages/2").status_code == 404
        assert browser.post("/messages/1").status_code == 405
        assert browser.post("/_emulator/reset").json() == {"reset": "mail"}
        assert browser.get("/messages").json() == {"messages": []}
