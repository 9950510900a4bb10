"""A state as Salesforce records: which mapping it takes, and rows of one record made one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from order_to_cash.domain.errors import RecordRejected
from order_to_cash.domain.sync import accounts, adjustments, invoices, payments, products, subscriptions
from order_to_cash.domain.sync.problems import problem_of, unreadable
from order_to_cash.domain.sync.shapes import Context, Mapped, Row, State

_MAPPINGS: Mapping[str, Callable[[State, str, Context], Mapped]] = {
    "customer": accounts.customer_rows,
    "payment_method": accounts.payment_method_rows,
    "subscription": subscriptions.subscription_rows,
    "invoice": invoices.invoice_rows,
    "charge": payments.charge_rows,
    "invoice_payment": payments.invoice_payment_rows,
    "refund": adjustments.refund_rows,
    "credit_note": adjustments.credit_note_rows,
    "dispute": adjustments.dispute_rows,
    "product": products.product_rows,
    "price": products.price_rows,
}
# What a body that Stripe would not have sent may lead to; it must not hold up the rest of the batch.
_UNREADABLE = (ValueError, TypeError, KeyError, OverflowError, AttributeError, ArithmeticError)


def rows_of(state: State, account_id: str, context: Context) -> Mapped:
    """The records of `state`. `account_id` "" where the Account is not known: what records say of it stays as it is.

    Payment intents and checkout sessions have none: `parents.parents_of` names the charge, invoice or subscription
    that shows what they tell. Raises nothing: what cannot be mapped is a problem.
    """
    mapping = _MAPPINGS.get(state.key.type)
    if mapping is None:
        return Mapped()
    try:
        return mapping(state, account_id, context)
    except RecordRejected as error:
        return Mapped(problems=(problem_of(error),))
    except _UNREADABLE as error:
        return Mapped(problems=(unreadable(state.key.type, state.key.id, type(error).__name__),))


def merge_rows(rows: Iterable[Row]) -> tuple[Row, ...]:
    """One row for each record, ordered by wave: two rows of one record in one call are refused by Salesforce.

    Where two rows say different things of one field, the row of the object that the record stands for wins: a charge's
    over its invoice payment's, for they are sorted by their source. Does not depend on the order of `rows`.
    """
    same: dict[tuple[str, str, str], list[Row]] = {}
    for row in sorted(rows, key=lambda one: one.source):
        same.setdefault((row.sobject, row.external_id, row.value), []).append(row)
    merged = [group[0] if len(group) == 1 else _one(group) for group in same.values()]
    return tuple(sorted(merged, key=lambda one: (one.wave, one.sobject, one.external_id, one.value)))


def _one(group: Sequence[Row]) -> Row:
    first = group[0]
    fields: dict[str, Any] = {}
    for row in reversed(group):
        fields.update(row.fields)
    sources = dict.fromkeys(source for row in group for source in (row.source, *row.also))
    return replace(
        first,
        fields=fields,
        account_id=next((row.account_id for row in group if row.account_id), ""),
        also=tuple(source for source in sources if source != first.source),
    )
