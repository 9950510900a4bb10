"""What customers read: whole, escaped, and without what is not theirs to know."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_to_cash.domain.dunning.letters import SAMPLE, Letter, LetterInvoice, customer_words
from order_to_cash.domain.errors import ConfigurationError
from order_to_cash.gateways.mail_templates import MailTemplates

BUILT_IN = ("executive", "invoice_overdue", "payment_failed")
HOSTILE = """"'><script>alert(1)</script>&amp;{{ 7 * 7 }}"""
ONE = replace(SAMPLE, invoices=SAMPLE.invoices[:1], total=SAMPLE.invoices[0].amount)


class Page(HTMLParser):
    """The tags, links and words of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.words = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in {"href", "src"}]

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_names_are_those_that_the_default_policy_uses() -> None:
    assert MailTemplates().names() == BUILT_IN


@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.parametrize("letter", [SAMPLE, ONE], ids=["several", "one"])
def test_both_forms_say_who_what_and_how_much(name: str, letter: Letter) -> None:
    written = MailTemplates().write(name, letter)
    for said in (written.text, Page(written.html).words):
        for invoice in letter.invoices:
            assert invoice.number in said
            assert invoice.amount in said
        assert letter.name in said
    assert "\n\n\n" not in written.text.strip()
    assert not re.search(r"[ \t]\n", written.text)


@pytest.mark.parametrize("name", ["payment_failed", "invoice_overdue"])
def test_a_customer_learns_who_writes_and_where_to_go(name: str) -> None:
    written = MailTemplates().write(name, SAMPLE)
    links = Page(written.html).links
    assert SAMPLE.company in written.subject
    for invoice in SAMPLE.invoices:
        assert invoice.pay_url in written.text
        assert invoice.pay_url in links
    assert "the CSM" not in written.text + written.html  # colleagues' business
    assert SAMPLE.account_url not in written.text + written.html


def test_a_failed_payment_tells_why_when_again_and_where_to_change_the_card() -> None:
    written = MailTemplates().write("payment_failed", ONE)
    assert "did not go through. The card has expired." in written.text
    assert "again on Thursday, 5 March 2026" in written.text
    assert SAMPLE.update_url in written.text
    assert Page(written.html).links[0] == SAMPLE.update_url
    assert "Update your payment method" in written.html


def test_without_a_portal_the_button_leads_to_the_invoice() -> None:
    written = MailTemplates().write("payment_failed", replace(ONE, update_url=""))
    assert Page(written.html).links == [ONE.invoices[0].pay_url]
    assert "Update your payment method" not in written.html + written.text
    no_page = replace(ONE, update_url="", invoices=(replace(ONE.invoices[0], pay_url=""),))
    assert Page(MailTemplates().write("payment_failed", no_page).html).links == []


@pytest.mark.parametrize("name", BUILT_IN)
def test_whatever_people_typed_is_shown_and_never_run(name: str) -> None:
    def hostile(record: Any) -> Any:
        named = {one.name: HOSTILE for one in fields(record) if one.type == "str" and "url" not in one.name}
        return replace(record, **named)

    letter = replace(hostile(SAMPLE), invoices=tuple(map(hostile, SAMPLE.invoices)), done=(HOSTILE,))
    written = MailTemplates().write(name, letter)
    page = Page(written.html)
    assert "script" not in page.tags
    assert HOSTILE in page.words
    assert HOSTILE in written.text
    assert "49" not in written.text
    assert all(link.startswith("https://") for link in page.links)


@given(st.text(max_size=40), st.text(max_size=40), st.sampled_from(BUILT_IN))
def test_no_name_breaks_the_subject_or_the_page(company: str, number: str, name: str) -> None:
    invoice = LetterInvoice(number=number, amount="$1.00 USD")
    letter = Letter(company=company, customer=company, total="$1.00 USD", invoices=(invoice,))
    written = MailTemplates().write(name, letter)
    assert written.subject.isprintable() or not re.search(r"[\x00-\x1f\x7f]", written.subject)
    assert "script" not in Page(written.html).tags
    assert Page(written.html).links == []


# A company's own


def own(folder: Path, text: str, name: str = "payment_failed") -> MailTemplates:
    (folder / f"{name}.txt.j2").write_text(text, encoding="utf-8")
    (folder / f"{name}.html.j2").write_text("<p>{{ letter.company }}</p>", encoding="utf-8")
    return MailTemplates(folder)


def test_a_template_of_ones_own_stands_before_the_built_in_one(tmp_path: Path) -> None:
    templates = own(tmp_path, "Subject: Hi from {{ letter.company }}\n\nPay up.\n")
    written = templates.write("payment_failed", SAMPLE)
    assert (written.subject, written.text, written.html) == ("Hi from Acme", "Pay up.\n", "<p>Acme</p>")
    assert templates.write("invoice_overdue", SAMPLE) == MailTemplates().write("invoice_overdue", SAMPLE)
    assert own(tmp_path, "Subject: x\n", name="last_call").names() == (
        *BUILT_IN[:2],
        "last_call",
        "payment_failed",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Hello\n", "payment_failed.txt.j2, line 1"),
        ("Subject:   \nHello\n", "the first line must begin with Subject:"),
        ("Subject: x\n{{ letter.nmae }}", "nmae"),
        ("Subject: x\n\n{% if %}", "payment_failed.txt.j2, line 3"),
        ("Subject: x\n{{ 1 / 0 }}", "ZeroDivisionError"),
        ("Subject: x\n{{ letter.__class__.__mro__ }}", "__class__"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        own(tmp_path, text).write("payment_failed", SAMPLE)
    assert caught.value.code == "template_broken"
    assert said in caught.value.message


def test_a_template_that_is_missing_is_named_with_those_there_are() -> None:
    with pytest.raises(ConfigurationError) as caught:
        MailTemplates().write("last_call", SAMPLE)
    assert caught.value.code == "template_missing"
    assert "payment_failed" in caught.value.remedy


def test_no_suspicion_reaches_the_customer() -> None:
    suspicious = [
        "fraudulent",
        "lost_card",
        "stolen_card",
        "merchant_blacklist",
        "pickup_card",
        "restricted_card",
    ]
    assert {customer_words(code) for code in suspicious} == {customer_words("generic_decline")}
    assert "expired" in customer_words("expired_card")
    assert customer_words("") != customer_words("generic_decline")
    assert customer_words("a_code_of_tomorrow") == customer_words("generic_decline")
