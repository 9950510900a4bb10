"""E-mail addresses: one spelling each, and whether a domain says anything about the company behind it."""

from __future__ import annotations

from order_to_cash.domain.errors import RecordRejected

# Providers where anyone has an address: sharing a domain says nothing about sharing a company (R3).
_FREE_MAIL_TEXT = """
    126.com 163.com aol.com att.net bigpond.com bluewin.ch btinternet.com comcast.net daum.net
    fastmail.com free.fr freenet.de gmail.com gmx.at gmx.ch gmx.com gmx.de gmx.net googlemail.com
    hanmail.net hey.com hotmail.co.uk hotmail.com hotmail.de hotmail.es hotmail.fr hotmail.it
    icloud.com laposte.net libero.it live.co.uk live.com live.de live.fr live.nl mac.com mail.com
    mail.ru mailbox.org me.com msn.com naver.com o2.pl orange.fr outlook.com outlook.de outlook.es
    outlook.fr outlook.it pm.me posteo.de proton.me protonmail.com qq.com rediffmail.com
    sbcglobal.net seznam.cz sfr.fr t-online.de tutanota.com uol.com.br verizon.net virgilio.it
    wanadoo.fr web.de wp.pl yahoo.ca yahoo.co.in yahoo.co.jp yahoo.co.uk yahoo.com yahoo.com.br
    yahoo.de yahoo.es yahoo.fr yahoo.it yandex.com yandex.ru ymail.com zoho.com
"""
_FREE_MAIL = frozenset(_FREE_MAIL_TEXT.split())


def normalize_email(text: str) -> str:
    """One address in its one spelling: stripped, lower case, the domain in Unicode form.

    The part before the @ is lower-cased too: Stripe's List filter by e-mail compares case-sensitively, and no
    mail host in use tells two people apart by case. Deliverability is not asked (that needs the network).
    Raises RecordRejected: `billing_email_missing`, `billing_email_malformed`; the message does not repeat it.
    """
    import email_validator

    stripped = text.strip()
    if not stripped:
        raise RecordRejected(
            "There is no billing e-mail address.",
            code="billing_email_missing",
            remedy="Fill in the Account's billing e-mail, or the e-mail of the deal's primary contact.",
        )
    try:
        # The reserved domains .example and .test pass: rehearsals use them.
        valid = email_validator.validate_email(
            stripped,
            check_deliverability=False,
            globally_deliverable=False,
            test_environment=True,
            strict=True,
        )
    except email_validator.EmailNotValidError:
        raise _malformed() from None
    if "." not in valid.domain or valid.domain.startswith("["):
        raise _malformed()
    return valid.normalized.lower()


def is_valid_email(text: str) -> bool:
    """Whether `text` is one well-formed address."""
    try:
        normalize_email(text)
    except RecordRejected:
        return False
    return True


def email_domain(email: str) -> str:
    """The lower-case part after the last @, empty when there is none."""
    return email.strip().rpartition("@")[2].lower() if "@" in email else ""


def is_free_mail(domain: str) -> bool:
    """Whether anyone can have an address at `domain`."""
    return domain.strip().lower() in _FREE_MAIL


def _malformed() -> RecordRejected:
    return RecordRejected(
        "The billing e-mail address is not one well-formed address.",
        code="billing_email_malformed",
        remedy="Correct the Account's billing e-mail: exactly one address, such as billing@company.com.",
    )
