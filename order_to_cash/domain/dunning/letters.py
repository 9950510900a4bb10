"""What a mail about unpaid invoices says, before any template gives it words.

Customers read it: a decline is told in words that help them, and no suspicion is passed on
(https://docs.stripe.com/declines/codes asks for that). All texts are plain; templates escape them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from order_to_cash.domain.messages import one_line
from order_to_cash.domain.money import Money

_LONGEST_NAME = 120
_DECLINED = "Your bank declined the payment."

PAYMENT_FAILED, INVOICE_OVERDUE, EXECUTIVE = "payment_failed", "invoice_overdue", "executive"
"""The templates that are built in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterInvoice:
    """One unpaid invoice. `amount`: as people read it. `due_on`, `retry_on`: days in words, "" for none."""

    number: str
    amount: str
    reason: str = ""  # why the payment failed, for the customer; "" for one that nobody tried to collect
    due_on: str = ""
    retry_on: str = ""
    pay_url: str = ""
    subscription: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A mail to one reader about all of `invoices`, one at least.

    `company`: who writes. `update_url`: where the payment method is changed; "" leaves the invoices' own pages.
    `may_end`: Stripe may cancel the subscription if it stays unpaid. The rest is for a letter to the executive
    sponsor: `customer` is the Account then, `owner` looks after it, `ends_on` is when Stripe acts in the end.
    """

    company: str
    invoices: tuple[LetterInvoice, ...]
    total: str
    name: str = ""  # of the reader
    customer: str = ""
    update_url: str = ""
    may_end: bool = False
    owner: str = ""
    ends_on: str = ""
    account_url: str = ""
    done: tuple[str, ...] = ()  # what was done so far, a line each

    @property
    def one(self) -> LetterInvoice | None:
        """The invoice where there is just one."""
        return self.invoices[0] if len(self.invoices) == 1 else None

    @property
    def button_url(self) -> str:
        """Where the button leads: to the payment method, else to the page of the first invoice that has one."""
        pages = (invoice.pay_url for invoice in self.invoices if invoice.pay_url)
        return self.update_url or next(pages, "")


SAMPLE = Letter(
    company="Acme",
    name="Accounts Payable",
    customer="Umbrella Ltd",
    total="$1,320.00 USD",
    invoices=(
        LetterInvoice(
            number="UMB-0007",
            amount="$1,200.00 USD",
            reason="The card has expired.",
            retry_on="Thursday, 5 March 2026",
            pay_url="https://invoice.stripe.com/i/example-7",
            subscription=True,
        ),
        LetterInvoice(
            number="UMB-0009",
            amount="$120.00 USD",
            reason="The card has expired.",
            due_on="Sunday, 1 March 2026",
            pay_url="https://invoice.stripe.com/i/example-9",
        ),
    ),
    update_url="https://billing.stripe.com/p/session/example",
    may_end=True,
    owner="the CSM",
    ends_on="Monday, 16 March 2026",
    account_url="https://acme.my.salesforce.com/001000000000001AAA",
    done=("2 March 2026: Payment failed", "3 March 2026: Ask for another payment method"),
)
"""What `o2c doctor` renders, and what examples are made of: no customer's."""


def sample(template: str) -> Letter:
    """An example for one of the built-in templates, or for a template of a company's own."""
    if template == EXECUTIVE:
        return replace(SAMPLE, name="VP Customers")
    if template == INVOICE_OVERDUE:
        days = ("Saturday, 28 February 2026", "Sunday, 1 March 2026")
        due = [
            replace(invoice, due_on=day, reason="", retry_on="")
            for invoice, day in zip(SAMPLE.invoices, days, strict=True)
        ]
        return replace(SAMPLE, invoices=tuple(due), update_url="")
    return SAMPLE


def customer_words(code: str) -> str:
    """Why a payment failed, as the customer may read it; "" where Stripe gives no reason.

    Suspicions read like any other decline.
    """
    lowered = code.strip().lower()
    return _WORDS.get(lowered, _DECLINED if lowered else "")


def day_in_words(at: datetime | None, zone: ZoneInfo) -> str:
    """``Thursday, 5 March 2026`` on the calendar of `zone`; "" for None."""
    if at is None:
        return ""
    local = at.astimezone(zone)
    return f"{local:%A}, {local.day} {local:%B %Y}"


def total_of(amounts: Sequence[Money]) -> str:
    """The sums by currency, in the order in which they first appear."""
    sums: dict[str, Money] = {}
    for amount in amounts:
        sums[amount.currency] = sums[amount.currency] + amount if amount.currency in sums else amount
    return " and ".join(map(str, sums.values()))


def short_name(text: str) -> str:
    """A name that people typed, on one line."""
    return one_line(text)[:_LONGEST_NAME]


def web_address(url: object) -> str:
    """`url` where it is one of the web, else ""."""
    text = url if isinstance(url, str) else ""
    parts = urlsplit(text)
    return text if parts.scheme in {"https", "http"} and parts.netloc else ""


def _words() -> dict[str, str]:
    by_words = {
        "The card has expired.": "expired_card invalid_expiry_month invalid_expiry_year",
        "There was not enough money on the account.": "insufficient_funds",
        "The payment exceeds a limit of the card or account.": (
            "card_velocity_exceeded withdrawal_count_limit_exceeded invalid_amount"
        ),
        "The payment details that we have are not correct.": (
            "incorrect_address incorrect_cvc incorrect_number incorrect_zip invalid_cvc invalid_number"
        ),
        "Your bank asks you to confirm the payment.": (
            "authentication_not_handled authentication_required mobile_device_authentication_required "
            "payment_intent_authentication_failure"
        ),
        "Your bank could not process the payment.": (
            "issuer_not_available processing_error reenter_transaction try_again_later "
            "payment_method_provider_timeout"
        ),
        "The card cannot be used for this payment.": "card_not_supported currency_not_supported",
        "The card was replaced by a new one.": "new_account_information_available",
        "The bank account cannot be debited.": (
            "account_closed bank_account_declined bank_account_unusable debit_not_authorized"
        ),
    }
    return {code: words for words, codes in by_words.items() for code in codes.split()}


_WORDS = _words()
