"""Raw Salesforce rows → `WonDeal`. What a row cannot say is a Problem, never a guess.

Rows are as the REST API gives them: nested parent objects, numbers as JSON numbers (Decimal, int or float),
dates and datetimes as ISO 8601 text. Whether a readable deal is fit to be billed is decided in `judgement`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from order_to_cash.domain.countries import country_code
from order_to_cash.domain.deal_lines import contributes_nothing, read_line
from order_to_cash.domain.policy import BillingRules, LineSource
from order_to_cash.domain.problems import Reason
from order_to_cash.domain.reading import (
    Row,
    UnreadableError,
    parent_of,
    read_day,
    read_id,
    read_moment,
    read_number,
    text_of,
)
from order_to_cash.domain.records import Address, BillTo, DealLine, EmailSource, Problem, Record, WonDeal


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
            key = parent_of(line, "SBQQ__Quote__r").get("SBQQ__Opportunity2__c")
        else:
            key = line.get("OpportunityId")
        grouped.setdefault(text_of(key), []).append(line)
    return grouped


def primary_emails(contacts: Iterable[Row]) -> dict[str, str]:
    """Opportunity id → e-mail of its primary contact, for those that have one."""
    found = {
        text_of(row.get("OpportunityId")): text_of(parent_of(row, "Contact").get("Email")) for row in contacts
    }
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
            if not contributes_nothing(row, rules):
                read_lines.append(read_line(row, rules))
        except UnreadableError as error:
            problems.append(error.problem)
    try:
        deal = _deal(raw, tuple(read_lines), contact_email, rules)
    except UnreadableError as error:
        problems.append(error.problem)
    return MappedDeal(
        opportunity_id=deal.opportunity_id if deal else text_of(raw.get("Id")),
        name=text_of(raw.get("Name")),
        account_name=text_of(parent_of(raw, "Account").get("Name")),
        owner_id=text_of(raw.get("OwnerId")),
        owner_name=text_of(parent_of(raw, "Owner").get("Name")),
        system_modstamp=deal.system_modstamp if deal else None,
        deal=None if problems else deal,
        problems=tuple(problems),
    )


def _deal(raw: Row, lines: tuple[DealLine, ...], contact_email: str, rules: BillingRules) -> WonDeal:
    names = rules.field_names
    days = read_number(raw, names.opportunity_days_until_due)
    if days is not None and days != days.to_integral_value():
        raise UnreadableError(
            Reason.DAYS_UNTIL_DUE_INVALID,
            "The days until due are not a whole number.",
            names.opportunity_days_until_due,
        )
    return WonDeal(
        opportunity_id=read_id(raw, "Id"),
        name=text_of(raw.get("Name")),
        account=_bill_to(raw, contact_email, rules),
        amount=read_number(raw, "Amount"),
        currency=_currency(raw, rules),
        close_date=read_day(raw, "CloseDate"),
        stage_name=text_of(raw.get("StageName")),
        deal_type=text_of(raw.get("Type")),
        owner_id=text_of(raw.get("OwnerId")),
        owner_name=text_of(parent_of(raw, "Owner").get("Name")),
        lead_source=text_of(raw.get("LeadSource")),
        lines=lines,
        collection_method=text_of(raw.get(names.opportunity_collection_method)),
        days_until_due=None if days is None else int(days),
        stripe_invoice_id=text_of(raw.get(names.opportunity_invoice_id)),
        system_modstamp=read_moment(raw, "SystemModstamp"),
    )


def _bill_to(raw: Row, contact_email: str, rules: BillingRules) -> BillTo:
    account = parent_of(raw, "Account")
    if not raw.get("AccountId") or not account or account.get("IsDeleted") is True:
        raise UnreadableError(
            Reason.ACCOUNT_MISSING,
            "The deal has no Account: it was deleted, merged, or never set.",
            "AccountId",
        )
    names = rules.field_names
    own_email = text_of(account.get(names.account_billing_email))
    return BillTo(
        account_id=read_id(raw, "AccountId"),
        name=text_of(account.get("Name")),
        email=own_email or contact_email.strip(),
        email_source=EmailSource.ACCOUNT if own_email or not contact_email.strip() else EmailSource.CONTACT,
        billing_address=_address(account, "Billing"),
        shipping_address=_address(account, "Shipping"),
        stripe_customer_id=text_of(account.get(names.account_customer_id)),
        owner_id=text_of(account.get("OwnerId")),
    )


def _address(account: Row, kind: str) -> Address:
    street = [part.strip() for part in text_of(account.get(f"{kind}Street")).splitlines() if part.strip()]
    given = text_of(account.get(f"{kind}Country"))
    code = country_code(given)
    return Address(
        line1=street[0] if street else "",
        line2=", ".join(street[1:]),
        city=text_of(account.get(f"{kind}City")),
        state=text_of(account.get(f"{kind}State")),
        postal_code=text_of(account.get(f"{kind}PostalCode")),
        country=code or "",
        country_given="" if code else given,
    )


def _currency(raw: Row, rules: BillingRules) -> str:
    if not rules.multi_currency:
        return rules.default_currency
    code = text_of(raw.get("CurrencyIsoCode")).upper()
    if not code:
        raise UnreadableError(Reason.CURRENCY_UNKNOWN, "The deal has no currency.", "CurrencyIsoCode")
    return code
