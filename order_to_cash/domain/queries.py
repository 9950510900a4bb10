"""The SOQL that reads deals: pure texts. Which custom fields they name is the policy's decision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from urllib.parse import quote_plus

from order_to_cash.domain.identity import salesforce_id
from order_to_cash.domain.policy import BillingRules, LineSource

# A query travels in the address of a GET. Salesforce answers 414 to addresses above 16,384 bytes, headers
# included; 14,000 for the encoded query leaves room for host, path and headers.
LONGEST_QUERY = 14_000

SoqlValue = str | bool | int | Decimal | date | datetime | None

_ADDRESS_PARTS = ("Street", "City", "State", "PostalCode", "Country")


def soql_literal(value: SoqlValue | Sequence[SoqlValue]) -> str:
    """`value` as a SOQL literal; a sequence becomes the parenthesised list of an IN.

    Strings are quoted with ``\\`` and ``'`` escaped; datetimes are written in UTC. Raises ValueError for a
    naive datetime and for an empty sequence (SOQL has no empty list), TypeError for what has no literal.
    """
    if isinstance(value, str):
        return "'" + value.translate(_ESCAPES) + "'"
    if isinstance(value, Sequence):
        if not value:
            raise ValueError("SOQL has no empty list")
        return "(" + ", ".join(soql_literal(item) for item in value) + ")"
    return _scalar_literal(value)


def won_deals_query(rules: BillingRules, since: datetime | None = None) -> str:
    """Every deal that the policy would bill and that carries no invoice yet, with all that mapping reads.

    `since` leaves out records whose SystemModstamp is older. Ordered by SystemModstamp, Id.
    """
    return _select(_deal_fields(rules), "Opportunity", _won(rules, since), "SystemModstamp, Id")


def candidates_query(rules: BillingRules, since_modstamp: datetime | None = None) -> str:
    """As `won_deals_query`, but only Id and two stamps: the look-out that runs every few seconds.

    A deal counts as touched when its Account was: a corrected e-mail or country makes it due.
    """
    conditions = _won(rules, None)
    if since_modstamp is not None:
        since = soql_literal(since_modstamp)
        conditions += f" AND (SystemModstamp >= {since} OR Account.SystemModstamp >= {since})"
    fields = ["Id", "SystemModstamp", "Account.SystemModstamp"]
    return _select(fields, "Opportunity", conditions, "SystemModstamp, Id")


def billed_deals_query(rules: BillingRules, since: datetime) -> str:
    """The deals that carry an invoice and were touched since then, with all that mapping reads."""
    conditions = (
        f"{rules.field_names.opportunity_invoice_id} != null AND SystemModstamp >= {soql_literal(since)}"
    )
    return _select(_deal_fields(rules), "Opportunity", conditions, "SystemModstamp, Id")


def deals_by_id_queries(rules: BillingRules, ids: Sequence[str]) -> list[str]:
    """The named deals whatever their state, so that each can be told why it is not billed. None: no query.

    Raises RecordRejected (`salesforce_id_malformed`).
    """
    fields = _deal_fields(rules)
    return _chunked(lambda some: _select(fields, "Opportunity", f"Id IN {some}"), ids)


def lines_queries(rules: BillingRules, ids: Sequence[str]) -> list[str]:
    """The lines of the deals `ids`: their products, or the quote lines of their primary CPQ quotes."""
    if rules.line_source is LineSource.CPQ_QUOTE_LINES:
        return _chunked(lambda some: _quote_lines(rules, some), ids)
    return _chunked(lambda some: _opportunity_lines(rules, some), ids)


def accounts_queries(ids: Sequence[str]) -> list[str]:
    """Which of the Accounts `ids` still exist: deleted and merged ones are not answered."""
    return _chunked(lambda some: _select(["Id"], "Account", f"Id IN {some}"), ids)


def contacts_queries(ids: Sequence[str]) -> list[str]:
    """The primary contact's e-mail of the deals `ids`, used when the Account has no billing e-mail."""
    fields = ["OpportunityId", "Contact.Email"]
    return _chunked(
        lambda some: _select(
            fields, "OpportunityContactRole", f"IsPrimary = true AND OpportunityId IN {some}"
        ),
        ids,
    )


def _won(rules: BillingRules, since: datetime | None) -> str:
    conditions = [
        f"StageName IN {soql_literal(rules.stage_names)}",
        f"CloseDate >= {soql_literal(rules.bill_deals_closed_on_or_after)}",
        f"{rules.field_names.opportunity_invoice_id} = null",
    ]
    if rules.excluded_types:
        conditions.append(f"(Type = null OR Type NOT IN {soql_literal(rules.excluded_types)})")
    if since is not None:
        conditions.append(f"SystemModstamp >= {soql_literal(since)}")
    return " AND ".join(conditions)


def _deal_fields(rules: BillingRules) -> list[str]:
    names = rules.field_names
    fields = [
        *("Id", "Name", "Amount", "CloseDate", "StageName", "Type", "LeadSource", "SystemModstamp"),
        *("OwnerId", "Owner.Name", "AccountId", "Account.Name", "Account.OwnerId", "Account.IsDeleted"),
        *(f"Account.Billing{part}" for part in _ADDRESS_PARTS),
        *(f"Account.Shipping{part}" for part in _ADDRESS_PARTS),
        f"Account.{names.account_billing_email}",
        f"Account.{names.account_customer_id}",
        names.opportunity_invoice_id,
        names.opportunity_collection_method,
        names.opportunity_days_until_due,
    ]
    return fields + (["CurrencyIsoCode"] if rules.multi_currency else [])


def _opportunity_lines(rules: BillingRules, some: str) -> str:
    fields = [
        *("Id", "OpportunityId", "Product2Id", "Product2.Name", "Product2.ProductCode"),
        f"Product2.{rules.field_names.product_price_id}",
        *("Description", "Quantity", "UnitPrice", "TotalPrice"),
    ]
    return _select(fields, "OpportunityLineItem", f"OpportunityId IN {some}")


def _quote_lines(rules: BillingRules, some: str) -> str:
    fields = [
        *("Id", "SBQQ__Quote__r.SBQQ__Opportunity2__c", "SBQQ__Product__c"),
        *("SBQQ__Product__r.Name", "SBQQ__Product__r.ProductCode"),
        f"SBQQ__Product__r.{rules.field_names.product_price_id}",
        *("SBQQ__Description__c", "SBQQ__Quantity__c", "SBQQ__NetPrice__c", "SBQQ__NetTotal__c"),
        *("SBQQ__SubscriptionPricing__c", "SBQQ__SubscriptionType__c", "SBQQ__RequiredBy__c"),
    ]
    # Optional lines were offered and not taken: CPQ leaves them out of the quote's total.
    primary = "SBQQ__Quote__r.SBQQ__Primary__c = true AND SBQQ__Optional__c = false"
    return _select(
        fields, "SBQQ__QuoteLine__c", f"{primary} AND SBQQ__Quote__r.SBQQ__Opportunity2__c IN {some}"
    )


def chatter_posts_query(opportunity_ids: Sequence[str], since: datetime) -> str:
    """Chatter posts on these Opportunities since then: Id, ParentId, Body. At most 200 ids."""
    where = f"ParentId IN {soql_literal(list(opportunity_ids))} AND CreatedDate >= {soql_literal(since)}"
    return _select(("Id", "ParentId", "Body"), "FeedItem", where)


def _select(fields: Sequence[str], sobject: str, where: str, order: str = "Id") -> str:
    # Field names passed the policy's pattern and every value came through soql_literal.
    return f"SELECT {', '.join(fields)} FROM {sobject} WHERE {where} ORDER BY {order}"  # noqa: S608 — see above


def _chunked(template: Callable[[str], str], ids: Sequence[str]) -> list[str]:
    """One query for as many ids as fit into an address; each id once, in the given order."""
    wanted = list(dict.fromkeys(salesforce_id(one) for one in ids))
    room = LONGEST_QUERY - len(quote_plus(template("()")))
    each = len(quote_plus(", " + soql_literal("0" * 18)))
    size = max(1, room // each)
    return [template(soql_literal(wanted[at : at + size])) for at in range(0, len(wanted), size)]


def _scalar_literal(value: bool | int | Decimal | date | None) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("a moment without a time zone is ambiguous")
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}Z"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal) and value.is_finite():
        return f"{value:f}"
    raise TypeError(f"{type(value).__name__} has no SOQL literal")


_ESCAPES = str.maketrans(
    {
        "\\": "\\\\",
        "'": "\\'",
        "\n": "\\n",
        "\r": "\\r",
        "\t": "\\t",
        "\b": "\\b",
        "\f": "\\f",
    }
)
