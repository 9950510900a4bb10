"""The Account's roll-ups, from what its records say by now (R30). Deterministic; nothing is remembered.

Payment health, the first of these that is true:

- **Failed**: an invoice that is charged automatically is unpaid and its last attempt failed, one was written off, or a
  subscription is `unpaid`.
- **No Payment Method**: a live subscription of the customer that the Account names is charged automatically, and that
  customer is known to have no method.
- **At Risk**: an invoice is past its due date, a subscription is `past_due` or `incomplete`, a dispute waits for an
  answer, or the card is expired or expires within 30 days.
- **Healthy**: otherwise.

Account status: **Payment Overdue** while an invoice is unpaid after a failed attempt or its due date, else **Active**
with a live subscription, **Trialing** with none but trials, **Churned** when all have ended, **Prospect** before any.

MRR is the sum of the subscriptions' in one currency: the Account's own where the org has several, else the one that
most of its earning subscriptions have, then the first by alphabet. Amounts in other currencies are told beside it,
never converted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from order_to_cash.domain.money import show_amount
from order_to_cash.domain.sync import fields
from order_to_cash.domain.sync.mrr import EARNING
from order_to_cash.domain.sync.shapes import Fields
from order_to_cash.domain.sync.soql import chunked

Record = Mapping[str, Any]

CARD_RISK_DAYS = 30
LIVE = frozenset({"active", "past_due", "trialing", "unpaid", "paused"})
"""Subscriptions that are counted: begun and not ended. An incomplete one has not begun."""

_CHARGED = frozenset({"active", "past_due", "trialing"})
_OWN = tuple(name for name in fields.FIELDS[fields.ACCOUNT] if name.startswith("Stripe_"))
_ANSWERS: Mapping[str, tuple[str, tuple[str, ...]]] = MappingProxyType(
    {
        "subscriptions": (
            fields.SUBSCRIPTION,
            (
                *("Account__c", "Status__c", "MRR__c", "Currency__c", "Current_Period_End__c"),
                *("Cancel_At_Period_End__c", "Cancel_At__c", "Collection_Method__c", "Stripe_Customer_Id__c"),
            ),
        ),
        "open_invoices": (
            fields.INVOICE,
            ("Account__c", "Status__c", "Collection_Method__c", "Failure_Code__c", "Due_Date__c"),
        ),
        "open_disputes": (fields.DISPUTE, ("Account__c", "Status__c")),
        "last_payments": (fields.PAYMENT, ("Account__c", "MAX(Paid_At__c) last")),
    }
)
_ALSO: Mapping[str, str] = MappingProxyType(
    {
        "open_invoices": "Status__c IN ('open', 'uncollectible') AND Amount_Remaining__c > 0",
        "open_disputes": "Status__c IN ('needs_response', 'warning_needs_response')",
        "last_payments": "Status__c = 'succeeded'",
    }
)


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """An Account and its children as queried: raw Salesforce rows, numbers as int or Decimal."""

    account: Record
    subscriptions: tuple[Record, ...] = ()
    open_invoices: tuple[Record, ...] = ()
    open_disputes: tuple[Record, ...] = ()
    last_payments: tuple[Record, ...] = ()


def rollup_queries(
    account_ids: Sequence[str], *, multi_currency: bool, also: Sequence[str] = ()
) -> Mapping[str, tuple[str, ...]]:
    """What to ask for: name of a field of `AccountFacts` → SOQL texts, in chunks of Account ids.

    `also`: further fields of the Account.
    """
    own = dict.fromkeys(("Id", *_OWN, *also, *(("CurrencyIsoCode",) if multi_currency else ())))
    queries = {"account": chunked(own, fields.ACCOUNT, "Id", account_ids)}
    for name, (sobject, names) in _ANSWERS.items():
        end = " GROUP BY Account__c" if name == "last_payments" else ""
        queries[name] = chunked(names, sobject, "Account__c", account_ids, also=_ALSO.get(name, ""), end=end)
    return queries


def account_facts(answers: Mapping[str, Iterable[Record]]) -> dict[str, AccountFacts]:
    """Account id → its facts, from the answers under the names of `rollup_queries`. An Account not found has none."""
    children: dict[str, dict[str, list[Record]]] = {name: {} for name in _ANSWERS}
    for name, groups in children.items():
        for record in answers.get(name, ()):
            groups.setdefault(str(record["Account__c"]), []).append(record)
    return {
        str(account["Id"]): AccountFacts(
            account=account,
            **{name: tuple(groups.get(str(account["Id"]), ())) for name, groups in children.items()},
        )
        for account in answers.get("account", ())
    }


def rollup(facts: AccountFacts, now: datetime) -> Fields:
    """Account fields to be written by Id: only those that differ from what the Account says; empty: nothing to do."""
    today = now.astimezone(UTC).date()
    paid = max((_day(row.get("last")) for row in facts.last_payments if row.get("last")), default=None)
    mrr, currency, others = _mrr(facts)
    renewals = [_day(row["Current_Period_End__c"]) for row in facts.subscriptions if _renews(row, today)]
    wanted: dict[str, Any] = {
        "Stripe_Payment_Health__c": payment_health(facts, today),
        "Stripe_Account_Status__c": account_status(facts, today),
        "Stripe_Last_Payment_Date__c": paid,
        "Stripe_Subscription_Count__c": sum(row.get("Status__c") in LIVE for row in facts.subscriptions),
        "Stripe_MRR__c": mrr,
        "Stripe_MRR_Currency__c": currency or None,
        "Stripe_MRR_Other_Currencies__c": others or None,
        "Stripe_Next_Renewal_Date__c": min(renewals, default=None),
    }
    return {name: value for name, value in wanted.items() if not same_value(facts.account.get(name), value)}


def payment_health(facts: AccountFacts, today: date) -> str:
    """Healthy, At Risk, Failed or No Payment Method, by the rule above."""
    statuses = {str(row.get("Status__c")) for row in facts.subscriptions}
    if any(_failed(row) for row in facts.open_invoices) or "unpaid" in statuses:
        return "Failed"
    if _without_method(facts):
        return "No Payment Method"
    expires = facts.account.get("Stripe_Card_Expires_On__c")
    card = expires is not None and _day(expires) - today <= timedelta(days=CARD_RISK_DAYS)
    overdue = any(_overdue(row, today) for row in facts.open_invoices)
    if overdue or card or facts.open_disputes or statuses & {"past_due", "incomplete"}:
        return "At Risk"
    return "Healthy"


def account_status(facts: AccountFacts, today: date) -> str:
    """Prospect, Trialing, Active, Payment Overdue or Churned, by the rule above."""
    if any(_failed(row) or _overdue(row, today) for row in facts.open_invoices):
        return "Payment Overdue"
    statuses = {str(row.get("Status__c")) for row in facts.subscriptions}
    if statuses & (LIVE - {"trialing"}):
        return "Active"
    if "trialing" in statuses:
        return "Trialing"
    return "Churned" if "canceled" in statuses else "Prospect" if not facts.last_payments else "Active"


def _failed(invoice: Record) -> bool:
    if invoice.get("Status__c") == "uncollectible":
        return True
    automatic = invoice.get("Collection_Method__c") == "charge_automatically"
    return automatic and bool(invoice.get("Failure_Code__c"))


def _overdue(invoice: Record, today: date) -> bool:
    due = invoice.get("Due_Date__c")
    return invoice.get("Status__c") == "open" and due is not None and _day(due) < today


def _without_method(facts: AccountFacts) -> bool:
    """Of several payers the Account shows the method of one: it says nothing about the others' subscriptions."""
    shown = facts.account.get("Stripe_Customer_Id__c")
    charged = any(
        row.get("Collection_Method__c") == "charge_automatically"
        and row.get("Status__c") in _CHARGED
        and row.get("Stripe_Customer_Id__c") in {None, shown}
        for row in facts.subscriptions
    )
    return charged and facts.account.get("Stripe_Payment_Method_Type__c") == "none"


def _mrr(facts: AccountFacts) -> tuple[Decimal, str, str]:
    """(sum in the Account's currency, that currency, the sums in others)."""
    sums: dict[str, Decimal] = {}
    counts: Counter[str] = Counter()
    for row in facts.subscriptions:
        currency = str(row.get("Currency__c") or "")
        if row.get("Status__c") in EARNING and currency:
            sums[currency] = sums.get(currency, Decimal(0)) + Decimal(str(row.get("MRR__c") or 0))
            counts[currency] += 1
    own = str(facts.account.get("CurrencyIsoCode") or "")
    if not own:
        own = min(counts, key=lambda code: (-counts[code], code), default="")
    others = ", ".join(show_amount(amount, code) for code, amount in sorted(sums.items()) if code != own)
    return sums.get(own, Decimal(0)).quantize(Decimal("0.01")), own if sums or own else "", others


def _renews(row: Record, today: date) -> bool:
    """Whether it will be billed again: live, not canceled by its period's end, and that end is not past."""
    end = row.get("Current_Period_End__c")
    if end is None or row.get("Status__c") not in LIVE or row.get("Cancel_At_Period_End__c"):
        return False
    stops = row.get("Cancel_At__c")
    return _day(end) >= today and (stops is None or _moment(stops) > _moment(end))


def _day(value: Any) -> date:
    """A date, or the UTC day of a moment, given as such or as Salesforce writes them."""
    if isinstance(value, str) and len(value) == len("2026-01-31"):
        return date.fromisoformat(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    return _moment(value).date()


def _moment(value: Any) -> datetime:
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    if not isinstance(at, datetime) or at.tzinfo is None:
        raise ValueError("a moment with its time zone is needed")
    return at.astimezone(UTC)


def same_value(held: Any, wanted: Any) -> bool:
    if held is None or wanted is None:
        return held is wanted
    if isinstance(wanted, date):
        return _day(held) == wanted
    if isinstance(wanted, Decimal | int):
        return Decimal(str(held)) == wanted
    return bool(held == wanted)
