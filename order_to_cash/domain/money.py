"""Money in the minor units that Stripe's API takes, and the one table of how many there are.

`Decimal` appears only at the Salesforce edge (`from_major`, `to_major`); no float is accepted anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import total_ordering
from types import MappingProxyType

from order_to_cash.domain.errors import RecordRejected

# Source of all four tables: https://docs.stripe.com/currencies, "Supported presentment currencies",
# "Zero-decimal currencies", "Three-decimal currencies" and "Special cases". ISO 4217's own digits differ from
# Stripe's (ISK, UGX, MGA and others), so no general currency library is asked.
_TWO_DECIMALS = """
    aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bmd bnd bob brl bsd bwp byn bzd cad cdf
    chf cny cop crc cve czk dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gtq gyd hkd hnl htg huf
    idr ils inr isk jmd kes kgs khr kyd kzt lak lbp lkr lrd lsl mad mdl mkd mmk mnt mop mur mvr mwk
    mxn myr mzn nad ngn nio nok npr nzd pab pen pgk php pkr pln qar ron rsd rub sar sbd scr sek sgd
    shp sle sos srd std szl thb tjs top try ttd twd tzs uah ugx usd uyu uzs wst xcd xcg yer zar zmw
"""
_ZERO_DECIMALS = "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf"
_THREE_DECIMALS = "bhd jod kwd omr tnd"

EXPONENTS: MappingProxyType[str, int] = MappingProxyType(
    dict.fromkeys(_TWO_DECIMALS.split(), 2)
    | dict.fromkeys(_ZERO_DECIMALS.split(), 0)
    | dict.fromkeys(_THREE_DECIMALS.split(), 3)
)
"""Lower-case currency → decimal places between the major unit and what Stripe's API takes."""

STEPS: MappingProxyType[str, int] = MappingProxyType(
    {"isk": 100, "ugx": 100} | dict.fromkeys(_THREE_DECIMALS.split(), 10)
)
"""Currency → what an amount must be a multiple of: ISK and UGX are sent ×100 and end in 00 (special cases);
the last digit of a three-decimal amount is 0. Every other currency: 1."""

# Twelve digits is the largest amount that the currencies page grants to any currency; three more leave room
# for totals. It bounds the work that a number such as 1E+999999 could cause.
_LARGEST_MAGNITUDE = 15
_MOST_PLACES = 40


class CurrencyMixError(ValueError):
    """Two amounts of different currencies met in one calculation or comparison."""


def known_currency(code: str) -> bool:
    """Whether Stripe bills in `code` (any case)."""
    return code.strip().lower() in EXPONENTS


def currency_code(code: str) -> str:
    """`code` as Stripe writes it, lower case. Raises RecordRejected (`currency_unknown`)."""
    lowered = code.strip().lower()
    if lowered not in EXPONENTS:
        shown = lowered[:8].upper() or "(empty)"
        raise RecordRejected(
            f"Stripe does not bill in the currency {shown}.",
            code="currency_unknown",
            remedy="Set CurrencyIsoCode on the opportunity to one of Stripe's currencies.",
        )
    return lowered


_SYMBOLS = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥"}


@total_ordering
@dataclass(frozen=True)
class Money:
    """An amount in the minor units of Stripe's API, such as cents, and its lower-case currency.

    Raises RecordRejected (`currency_unknown`) for a currency outside Stripe's list, TypeError for a float.
    """

    amount_minor: int
    currency: str

    def __post_init__(self) -> None:
        if not isinstance(self.amount_minor, int) or isinstance(self.amount_minor, bool):
            raise TypeError("amount_minor is a whole number of minor units")
        object.__setattr__(self, "currency", currency_code(self.currency))

    @classmethod
    def zero(cls, currency: str) -> Money:
        return cls(0, currency)

    @classmethod
    def from_major(cls, amount: Decimal, currency: str) -> Money:
        """`amount` major units, exactly. Raises RecordRejected: `amount_not_exact`, `currency_unknown`."""
        if not isinstance(amount, Decimal):
            raise TypeError("money is made of Decimal, never of float")
        code = currency_code(currency)
        if not amount.is_finite() or amount.adjusted() > _LARGEST_MAGNITUDE or _endless(amount):
            raise _not_exact(amount, code)
        numerator, denominator = amount.as_integer_ratio()
        minor, rest = divmod(numerator * 10 ** EXPONENTS[code], denominator)
        if rest or minor % STEPS.get(code, 1):
            raise _not_exact(amount, code)
        return cls(minor, code)

    def to_major(self) -> Decimal:
        """The amount in major units, with the currency's decimal places."""
        # From text: exact for any number of digits, which arithmetic of Decimals is not.
        return Decimal(f"{self.amount_minor:d}E-{EXPONENTS[self.currency]}")

    @property
    def representable(self) -> bool:
        """Whether Stripe takes this amount: ISK and UGX end in 00, three-decimal currencies in 0."""
        return self.amount_minor % STEPS.get(self.currency, 1) == 0

    def __add__(self, other: Money) -> Money:
        return Money(self.amount_minor + self._same(other), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.amount_minor - self._same(other), self.currency)

    def __neg__(self) -> Money:
        return Money(-self.amount_minor, self.currency)

    def __mul__(self, factor: int) -> Money:
        if not isinstance(factor, int) or isinstance(factor, bool):
            return NotImplemented
        return Money(self.amount_minor * factor, self.currency)

    __rmul__ = __mul__

    def __lt__(self, other: Money) -> bool:
        return self.amount_minor < self._same(other)

    def __bool__(self) -> bool:
        return self.amount_minor != 0

    def __str__(self) -> str:
        """As people read it everywhere: "$1,234.50 USD", "-€5.00 EUR", "12,345.00 SEK".

        The code always says which dollar it is. ISK and UGX stand without the decimals that are 00 by rule.
        """
        major = self.to_major()
        if STEPS.get(self.currency) == 100 and self.representable:
            major = major.quantize(Decimal(1))
        sign = "-" if self.amount_minor < 0 else ""
        return f"{sign}{_SYMBOLS.get(self.currency, '')}{abs(major):,f} {self.currency.upper()}"

    def _same(self, other: Money) -> int:
        if other.currency != self.currency:
            raise CurrencyMixError(f"{self.currency.upper()} and {other.currency.upper()} do not mix")
        return other.amount_minor


def show_amount(amount: Decimal, currency: str) -> str:
    """An amount in major units as `Money` is written; the bare number where the currency cannot hold it exactly."""
    try:
        return str(Money.from_major(amount, currency))
    except RecordRejected:
        return f"{amount:,f} {currency}"


def sum_money(amounts: list[Money] | tuple[Money, ...], currency: str) -> Money:
    """The sum of `amounts`, all in `currency`; zero of it when there are none. Raises CurrencyMixError."""
    total = Money.zero(currency)
    for amount in amounts:
        total += amount
    return total


def _endless(amount: Decimal) -> bool:
    exponent = amount.as_tuple().exponent
    return isinstance(exponent, int) and exponent < -_MOST_PLACES


def _not_exact(amount: Decimal, code: str) -> RecordRejected:
    step = STEPS.get(code, 1)
    places = EXPONENTS[code] - len(str(step)) + 1
    return RecordRejected(
        f"{code.upper()} has {places} decimal places at Stripe: {str(amount)[:32]} cannot be billed exactly.",
        code="amount_not_exact",
        remedy=f"Round the amounts of the deal and its lines to {places} decimal places.",
    )
