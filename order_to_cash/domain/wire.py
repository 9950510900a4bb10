"""What Stripe is sent, as plain dicts in its own names. A test holds them to the SDK's generated types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from order_to_cash.domain.emails import normalize_email
from order_to_cash.domain.identity import (
    METADATA_ACCOUNT,
    METADATA_CURRENCY,
    METADATA_KEY,
    METADATA_LINE,
    digest,
)
from order_to_cash.domain.records import (
    Address,
    BillingPlan,
    BillTo,
    CollectionMethod,
    EmailSource,
    PlanLine,
    StripeCustomer,
)

Params = dict[str, Any]

_ADDRESS_PARTS = ("line1", "line2", "city", "state", "postal_code", "country")


def customer_params(bill_to: BillTo, currency: str = "") -> Params:
    """POST /v1/customers. Empty values are left out; Stripe sets the currency with the first invoice only.

    `currency`: the one that the customer is for, kept in its metadata until then. Raises RecordRejected
    (`billing_email_missing`, `billing_email_malformed`).
    """
    params: Params = {
        "name": bill_to.name,
        "email": normalize_email(bill_to.email),
        "address": _address(bill_to.billing_address),
        "metadata": {METADATA_ACCOUNT: bill_to.account_id},
    }
    if currency:
        params["metadata"][METADATA_CURRENCY] = currency.lower()
    shipping = _address(bill_to.shipping_address)
    if shipping:
        params["shipping"] = {"name": bill_to.name, "address": shipping}
    return {key: value for key, value in params.items() if value}


def customer_changes(bill_to: BillTo, customer: StripeCustomer, currency: str) -> Params:
    """POST /v1/customers/{id}: what a matched customer lacks or has otherwise; empty when nothing does.

    All is sent when anything differs, save a contact's e-mail address where the customer has one. What the
    Account leaves empty stays as it is in Stripe; an address that it gives takes the old one's place whole.
    """
    wanted = customer_params(bill_to, "" if customer.currency else currency)
    if bill_to.email_source is EmailSource.CONTACT and customer.email:
        del wanted["email"]
    same = (
        customer.name == wanted["name"]
        and customer.email.strip().lower() == wanted.get("email", customer.email.strip().lower())
        and customer.account_id == bill_to.account_id
        and bool(customer.currency)
        and _same_place(wanted.get("address", {}), customer.address_digest)
        and _same_place(wanted.get("shipping", {}).get("address", {}), customer.shipping_digest)
    )
    return {} if same else _whole_addresses(wanted)


def postal_digest(address: Mapping[str, Any]) -> str:
    """What stands for a postal address, as sent to or shown by Stripe, where two are compared; "" for none."""
    parts = {name: str(address[name]).strip() for name in _ADDRESS_PARTS if address.get(name)}
    return digest(parts) if parts else ""


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
    parts = {name: getattr(address, name) for name in _ADDRESS_PARTS}
    return {key: value for key, value in parts.items() if value}


def _same_place(wanted: Params, current: str | None) -> bool:
    return not wanted or current is None or postal_digest(wanted) == current


def _whole_addresses(params: Params) -> Params:
    """With the empty parts too: a second line that the old address had does not stay behind in the new one."""
    blank = dict.fromkeys(_ADDRESS_PARTS, "")
    whole = dict(params)
    if "address" in whole:
        whole["address"] = blank | whole["address"]
    if "shipping" in whole:
        whole["shipping"] = whole["shipping"] | {"address": blank | whole["shipping"]["address"]}
    return whole
