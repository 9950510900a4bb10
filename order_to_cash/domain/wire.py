"""What Stripe is sent, as plain dicts in its own names. A test holds them to the SDK's generated types."""

from __future__ import annotations

from typing import Any

from order_to_cash.domain.emails import normalize_email
from order_to_cash.domain.identity import METADATA_ACCOUNT, METADATA_KEY, METADATA_LINE
from order_to_cash.domain.records import (
    Address,
    BillingPlan,
    BillTo,
    CollectionMethod,
    PlanLine,
    StripeCustomer,
)

Params = dict[str, Any]


def customer_params(bill_to: BillTo) -> Params:
    """POST /v1/customers. Empty values are left out; the currency is Stripe's to set with the first invoice.

    Raises RecordRejected (`billing_email_missing`, `billing_email_malformed`).
    """
    params: Params = {
        "name": bill_to.name,
        "email": normalize_email(bill_to.email),
        "address": _address(bill_to.billing_address),
        "metadata": {METADATA_ACCOUNT: bill_to.account_id},
    }
    shipping = _address(bill_to.shipping_address)
    if shipping:
        params["shipping"] = {"name": bill_to.name, "address": shipping}
    return {key: value for key, value in params.items() if value}


def customer_changes(bill_to: BillTo, customer: StripeCustomer) -> Params:
    """POST /v1/customers/{id}: what a matched customer lacks or has otherwise; empty when nothing does.

    Name, e-mail and Account id are compared. When one differs, addresses are sent along.
    """
    wanted = customer_params(bill_to)
    same = (
        customer.name == wanted["name"]
        and customer.email.strip().lower() == wanted["email"]
        and customer.account_id == bill_to.account_id
    )
    return {} if same else wanted


def invoice_params(plan: BillingPlan, customer_id: str, key: str) -> Params:
    """POST /v1/invoices: a draft that does nothing by itself. `key` is the obligation's `o2c:invoice:…`."""
    params: Params = {
        "customer": customer_id,
        "currency": plan.currency,
        "auto_advance": False,
        "pending_invoice_items_behavior": "exclude",
        "collection_method": plan.collection_method.value,
        "metadata": plan.metadata | {METADATA_KEY: key},
    }
    if plan.collection_method is CollectionMethod.SEND_INVOICE and plan.days_until_due is not None:
        params["days_until_due"] = plan.days_until_due
    if plan.automatic_tax:
        params["automatic_tax"] = {"enabled": True}
    return params


def line_params(plan: BillingPlan) -> list[Params]:
    """The `lines` of POST /v1/invoices/{id}/add_lines, in the plan's order."""
    return [_line(line, plan) for line in plan.lines]


def _line(line: PlanLine, plan: BillingPlan) -> Params:
    params: Params = {"description": line.description, "metadata": {METADATA_LINE: line.line_id}}
    if line.unit_amount.amount_minor < 0:
        # price_data takes no negative unit_amount (generated types of 2026-10-28.endive); `amount` does.
        return params | {"amount": line.total.amount_minor}
    params["quantity"] = line.quantity
    if line.price_id:
        return params | {"pricing": {"price": line.price_id}}
    price_data = {
        "currency": line.unit_amount.currency,
        "product": line.product_id,
        "unit_amount": line.unit_amount.amount_minor,
    }
    if plan.automatic_tax:
        # An inline price has no tax behaviour of its own, and Stripe Tax refuses a line without one.
        price_data["tax_behavior"] = "exclusive"
    return params | {"price_data": price_data}


def _address(address: Address) -> Params:
    parts = {
        "line1": address.line1,
        "line2": address.line2,
        "city": address.city,
        "state": address.state,
        "postal_code": address.postal_code,
        "country": address.country,
    }
    return {key: value for key, value in parts.items() if value}
