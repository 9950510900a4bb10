"""What of an Account changes with the days alone, without an event: cards that expire, due dates, renewals.

Only what says otherwise by now is asked for: an Account that was brought up to date is found no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta

from order_to_cash.domain.sync import fields
from order_to_cash.domain.sync.rollups import CARD_RISK_DAYS, Record
from order_to_cash.domain.sync.shapes import Body, ObjectKey, Signal
from order_to_cash.domain.sync.signals import CARD_EXPIRING, CARD_WARNING_DAYS, expiring_card
from order_to_cash.domain.sync.soql import select

AGED = ("cards", "invoices", "renewals")


def aging_queries(today: date, customer_field: str) -> Mapping[str, tuple[str, ...]]:
    """SOQL for `aged_accounts`, under the names `AGED`, and for `customers_with_expiring_cards`, under `expiring`."""
    risky, warned = today + timedelta(days=CARD_RISK_DAYS), today + timedelta(days=CARD_WARNING_DAYS)
    healthy = "Stripe_Payment_Health__c = 'Healthy'"
    overdue = f"Status__c = 'open' AND Amount_Remaining__c > 0 AND Due_Date__c < {today}"
    noticed = "Account__r.Stripe_Account_Status__c != 'Payment Overdue'"
    live = f"Stripe_Subscription_Count__c > 0 AND {customer_field} != null"
    within = f"Stripe_Card_Expires_On__c >= {today} AND Stripe_Card_Expires_On__c <= {warned}"
    return {
        "cards": (select(("Id",), fields.ACCOUNT, f"Stripe_Card_Expires_On__c <= {risky} AND {healthy}"),),
        "invoices": (
            select(("Account__c",), fields.INVOICE, f"{overdue} AND {noticed}", end=" GROUP BY Account__c"),
        ),
        "renewals": (select(("Id",), fields.ACCOUNT, f"Stripe_Next_Renewal_Date__c < {today}"),),
        "expiring": (select(("Id", customer_field), fields.ACCOUNT, f"{within} AND {live}"),),
    }


def aged_accounts(answers: Mapping[str, Iterable[Record]]) -> list[str]:
    """The Accounts whose roll-ups say something else today."""
    found = {str(row.get("Id") or row.get("Account__c") or "") for name in AGED for row in answers[name]}
    return sorted(found - {""})


def expiry_signal(customer_id: str, method: Body | None, now: datetime) -> Signal | None:
    """That the card expires within 60 days, as `signals_of` says it when a card is attached; None when it does not."""
    found = expiring_card(method, now.date()) if method else None
    if found is None:
        return None
    about, facts = found
    return Signal(
        kind=CARD_EXPIRING,
        key=f"o2c:signal:{CARD_EXPIRING}:{about}",
        source=ObjectKey("payment_method", str(facts["payment_method"])),
        customer_id=customer_id,
        event_id=f"{CARD_EXPIRING}:{about}",
        at=now,
        facts=facts,
    )
