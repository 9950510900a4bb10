"""A customer and its payment method as fields of the Account. Of a card: brand, last four digits, month and year only.

An Account may have several customers (one for each currency). It shows the one that its `Stripe_Customer_Id__c` names;
the others' invoices and payments hang on the Account all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from order_to_cash.domain.sync import fields
from order_to_cash.domain.sync.bodies import mapping, text, whole
from order_to_cash.domain.sync.record import Draft, mapped
from order_to_cash.domain.sync.rollups import same_value
from order_to_cash.domain.sync.shapes import Body, Context, Mapped, Row, State
from order_to_cash.domain.sync.signals import expires_on

NO_METHOD = "none"
METHOD_TYPE = "Stripe_Payment_Method_Type__c"
CARD_FIELDS = (
    *("Stripe_Card_Brand__c", "Stripe_Card_Last4__c", "Stripe_Card_Exp_Month__c", "Stripe_Card_Exp_Year__c"),
    "Stripe_Card_Expires_On__c",
)


def customer_rows(state: State, account_id: str, context: Context) -> Mapped:
    """The Account's customer id and, where it was read, its payment method."""
    shown = context.customer_of_account.get(account_id, "")
    if not account_id or shown not in {"", state.customer_id}:
        return Mapped()
    draft = Draft(fields.ACCOUNT, state.key)
    if state.deleted:
        if not shown:
            return Mapped()
        draft.fields.update(dict.fromkeys(CARD_FIELDS))
        draft.fields.update({"Stripe_Customer_Id__c": None, "Stripe_Payment_Method_Type__c": None})
    else:
        draft.text("Stripe_Customer_Id__c", state.customer_id)
        _method(draft, state.customer_id, context)
    return mapped([(draft, draft.row("Id", account_id, account_id))])


def payment_method_rows(state: State, account_id: str, context: Context) -> Mapped:
    """The payment method that the customer pays by now, whichever one the event was about."""
    shown = context.customer_of_account.get(account_id, "")
    ours = shown in {"", state.customer_id} and state.customer_id in context.cards
    if not account_id or not state.customer_id or not ours:
        return Mapped()
    draft = Draft(fields.ACCOUNT, state.key)
    _method(draft, state.customer_id, context)
    return mapped([(draft, draft.row("Id", account_id, account_id))])


def _method(draft: Draft, customer_id: str, context: Context) -> None:
    if customer_id not in context.cards:
        return
    method = context.cards[customer_id]
    draft.fields.update(method_fields(method))


def method_fields(method: Body | None) -> dict[str, Any]:
    """Account fields of a payment method; `none` and empty fields without one."""
    card = mapping(method.get("card")) if method else {}
    return {
        "Stripe_Payment_Method_Type__c": (text(method.get("type")) if method else "") or NO_METHOD,
        "Stripe_Card_Brand__c": text(card.get("brand")) or None,
        "Stripe_Card_Last4__c": text(card.get("last4")) or None,
        "Stripe_Card_Exp_Month__c": whole(card.get("exp_month")),
        "Stripe_Card_Exp_Year__c": whole(card.get("exp_year")),
        "Stripe_Card_Expires_On__c": expires_on(card),
    }


def shows_already(row: Row, account: Mapping[str, Any] | None) -> bool:
    """Whether the Account, as queried, says all that the row would write."""
    if row.sobject != fields.ACCOUNT or account is None:
        return False
    return all(name in account and same_value(account[name], value) for name, value in row.fields.items())
