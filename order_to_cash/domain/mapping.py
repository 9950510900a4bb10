"""Raw Salesforce rows → `WonDeal`. What a row cannot say is a Problem, never a guess.

Rows are as the REST API gives them: nested parent objects, numbers as JSON numbers (Decimal, int or float),
dates and datetimes as ISO 8601 text. Whether a readable deal is fit to be billed is decided in `judgement`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from order_to_cash.domain.countries import country_code
from order_to_cash.domain.errors import RecordRejected
from order_to_cash.domain.identity import salesforce_id
from order_to_cash.domain.policy import BillingRules, LineSource
from order_to_cash.domain.problems import Reason, problem
from order_to_cash.domain.records import Address, BillTo, DealLine, EmailSource, Problem, Record, WonDeal

Row = Mapping[str, Any]

# IEEE 754 doubles carry every decimal number of up to 15 significant digits exactly there and back.
_FLOAT_DIGITS = 15

_RECURRING_TYPES = frozenset({"Renewable", "Evergreen", "Renewable/Evergreen"})


class MappedDeal(Record):
    """One raw Opportunity after mapping: the deal, or the problems that kept it from being read.

    The other fields are for telling people which record it is; they are empty where the row has nothing
    usable.
    """

    opportunity_id: str
    name: str = ""
    account_name: str = ""
    owner_id: str = ""
    owner_name: str = ""
    system_modstamp: datetime | None = None
    deal: WonDeal | None = None
    problems: tuple[Problem, ...] = ()


class _UnreadableError(Exception):
    """A value of the row could not be taken over. Carries the Problem; never leaves this module."""

    def __init__(self, reason: Reason, message: str, field: str) -> None:
        super().__init__(message)
        self.problem = problem(reason, message, field=field)


def map_deals(
    deals: Iterable[Row], lines: Iterable[Row], contacts: Iterable[Row], rules: BillingRules
) -> list[MappedDeal]:
    """The answers of the three queries, put together by Opportunity. In the order of `deals`."""
    by_deal = lines_by_deal(lines, rules)
    emails = primary_emails(contacts)
    return [
        map_deal(raw, by_deal.get(str(raw.get("Id")), []), emails.get(str(raw.get("Id")), ""), rules)
        for raw in deals
    ]


def lines_by_deal(lines: Iterable[Row], rules: BillingRules) -> dict[str, list[Row]]:
    """Opportunity id → its rows, for the line source that the rules name."""
    grouped: dict[str, list[Row]] = {}
    for line in lines:
        if rules.line_source is LineSource.CPQ_QUOTE_LINES:
            key = _parent(line, "SBQQ__Quote__r").get("SBQQ__Opportunity2__c")
        else:
            key = line.get("OpportunityId")
        grouped.setdefault(_text(key), []).append(line)
    return grouped


def primary_emails(contacts: Iterable[Row]) -> dict[str, str]:
    """Opportunity id → e-mail of its primary contact, for those that have one."""
    found = {_text(row.get("OpportunityId")): _text(_parent(row, "Contact").get("Email")) for row in contacts}
    return {key: email for key, email in found.items() if email}


def map_deal(raw: Row, lines: Sequence[Row], contact_email: str, rules: BillingRules) -> MappedDeal:
    """One Opportunity with its lines. `contact_email` is used when the Account has no billing e-mail.

    Never raises for what a record holds: unreadable values come back as `problems`, and `deal` is then None.
    """
    problems: list[Problem] = []
    read_lines: list[DealLine] = []
    deal: WonDeal | None = None
    for row in lines:
        try:
            read_lines.append(_line(row, rules))
        except _UnreadableError as error:
            problems.append(error.problem)
    try:
        deal = _deal(raw, tuple(read_lines), contact_email, rules)
    except _UnreadableError as error:
        problems.append(error.problem)
    return MappedDeal(
        opportunity_id=deal.opportunity_id if deal else _text(raw.get("Id")),
        name=_text(raw.get("Name")),
        account_name=_text(_parent(raw, "Account").get("Name")),
        owner_id=_text(raw.get("OwnerId")),
        owner_name=_text(_parent(raw, "Owner").get("Name")),
        system_modstamp=deal.system_modstamp if deal else None,
        deal=None if problems else deal,
        problems=tuple(problems),
    )


def read_decimal(value: object) -> Decimal | None:
    """A JSON number or numeric text as an exact Decimal; None for null and empty text.

    A float counts by its shortest decimal form and only up to 15 significant digits: beyond that it may not
    be the number that was written. Raises ValueError for anything else.
    """
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, Decimal | int | float | str):
        raise ValueError("not a number")
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        raise ValueError("not a number") from None
    if not number.is_finite():
        raise ValueError("not a finite number")
    if isinstance(value, float) and len(number.normalize().as_tuple().digits) > _FLOAT_DIGITS:
        raise ValueError("more digits than a floating-point number carries exactly")
    return number


def _deal(raw: Row, lines: tuple[DealLine, ...], contact_email: str, rules: BillingRules) -> WonDeal:
    names = rules.field_names
    days = _number(raw, names.opportunity_days_until_due)
    if days is not None and days != days.to_integral_value():
        raise _UnreadableError(
            Reason.DAYS_UNTIL_DUE_INVALID,
            "The days until due are not a whole number.",
            names.opportunity_days_until_due,
        )
    return WonDeal(
        opportunity_id=_id(raw, "Id"),
        name=_text(raw.get("Name")),
        account=_bill_to(raw, contact_email, rules),
        amount=_number(raw, "Amount"),
        currency=_currency(raw, rules),
        close_date=_date(raw, "CloseDate"),
        stage_name=_text(raw.get("StageName")),
        deal_type=_text(raw.get("Type")),
        owner_id=_text(raw.get("OwnerId")),
        owner_name=_text(_parent(raw, "Owner").get("Name")),
        lead_source=_text(raw.get("LeadSource")),
        lines=lines,
        collection_method=_text(raw.get(names.opportunity_collection_method)),
        days_until_due=None if days is None else int(days),
        stripe_invoice_id=_text(raw.get(names.opportunity_invoice_id)),
        system_modstamp=_moment(raw, "SystemModstamp"),
    )


def _bill_to(raw: Row, contact_email: str, rules: BillingRules) -> BillTo:
    account = _parent(raw, "Account")
    if not raw.get("AccountId") or not account or account.get("IsDeleted") is True:
        raise _UnreadableError(
            Reason.ACCOUNT_MISSING,
            "The deal has no Account: it was deleted, merged, or never set.",
            "AccountId",
        )
    names = rules.field_names
    own_email = _text(account.get(names.account_billing_email))
    return BillTo(
        account_id=_id(raw, "AccountId"),
        name=_text(account.get("Name")),
        email=own_email or contact_email.strip(),
        email_source=EmailSource.ACCOUNT if own_email or not contact_email.strip() else EmailSource.CONTACT,
        billing_address=_address(account, "Billing"),
        shipping_address=_address(account, "Shipping"),
        stripe_customer_id=_text(account.get(names.account_customer_id)),
        owner_id=_text(account.get("OwnerId")),
    )


def _address(account: Row, kind: str) -> Address:
    street = [part.strip() for part in _text(account.get(f"{kind}Street")).splitlines() if part.strip()]
    given = _text(account.get(f"{kind}Country"))
    code = country_code(given)
    return Address(
        line1=street[0] if street else "",
        line2=", ".join(street[1:]),
        city=_text(account.get(f"{kind}City")),
        state=_text(account.get(f"{kind}State")),
        postal_code=_text(account.get(f"{kind}PostalCode")),
        country=code or "",
        country_given="" if code else given,
    )


def _line(row: Row, rules: BillingRules) -> DealLine:
    cpq = rules.line_source is LineSource.CPQ_QUOTE_LINES
    product = _parent(row, "SBQQ__Product__r" if cpq else "Product2")
    quantity = _required(row, "SBQQ__Quantity__c" if cpq else "Quantity")
    total = _required(row, "SBQQ__NetTotal__c" if cpq else "TotalPrice")
    price = _number(row, "SBQQ__NetPrice__c" if cpq else "UnitPrice")
    product_id = _text(row.get("SBQQ__Product__c" if cpq else "Product2Id"))
    return DealLine(
        line_id=_id(row, "Id"),
        product_id=product_id,
        product_name=_text(product.get("Name")),
        product_code=_text(product.get("ProductCode")),
        description=_text(row.get("SBQQ__Description__c" if cpq else "Description")),
        quantity=quantity,
        unit_price=_net_unit(quantity, total, price),
        total=total,
        stripe_price_id=_text(product.get(rules.field_names.product_price_id)),
        recurring=cpq and _cpq_recurring(row),
    )


def _net_unit(quantity: Decimal, total: Decimal, price: Decimal | None) -> Decimal:
    """The price of one unit after discounts. Salesforce's UnitPrice is before the line's own discount."""
    if price is not None and price * quantity == total:
        return price
    return total / quantity if quantity else price or Decimal(0)


def _cpq_recurring(row: Row) -> bool:
    """Whether a quote line is a subscription: it has subscription pricing and its type does not say one-time.

    The type alone says nothing: CPQ fills in "Renewable" for one-time products too. It decides only where the
    pricing was not read.
    """
    kind = _text(row.get("SBQQ__SubscriptionType__c"))
    if "SBQQ__SubscriptionPricing__c" not in row:
        return kind in _RECURRING_TYPES
    return bool(_text(row.get("SBQQ__SubscriptionPricing__c"))) and kind != "One-time"


def _currency(raw: Row, rules: BillingRules) -> str:
    if not rules.multi_currency:
        return rules.default_currency
    code = _text(raw.get("CurrencyIsoCode")).upper()
    if not code:
        raise _UnreadableError(Reason.CURRENCY_UNKNOWN, "The deal has no currency.", "CurrencyIsoCode")
    return code


def _id(row: Row, field: str) -> str:
    try:
        return salesforce_id(_text(row.get(field)))
    except RecordRejected as error:
        raise _UnreadableError(Reason.RECORD_UNREADABLE, f"{field}: {error.message}", field) from None


def _number(row: Row, field: str) -> Decimal | None:
    try:
        return read_decimal(row.get(field))
    except ValueError as error:
        raise _UnreadableError(Reason.RECORD_UNREADABLE, f"{field} cannot be read: {error}.", field) from None


def _required(row: Row, field: str) -> Decimal:
    number = _number(row, field)
    if number is None:
        raise _UnreadableError(
            Reason.RECORD_UNREADABLE, f"{field} of the line {_text(row.get('Id'))} is empty.", field
        )
    return number


def _date(row: Row, field: str) -> date:
    try:
        return date.fromisoformat(_text(row.get(field)))
    except ValueError:
        raise _UnreadableError(Reason.RECORD_UNREADABLE, f"{field} is not a date.", field) from None


def _moment(row: Row, field: str) -> datetime:
    try:
        moment = datetime.fromisoformat(_text(row.get(field)))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise _UnreadableError(Reason.RECORD_UNREADABLE, f"{field} is not a moment with a time zone.", field)
    return moment


def _parent(row: Row, name: str) -> Row:
    """The nested parent object, or an empty one where the reference is null or its record is gone."""
    parent = row.get(name)
    return parent if isinstance(parent, Mapping) else {}


def _text(value: object) -> str:
    return "" if value is None else str(value).strip()
