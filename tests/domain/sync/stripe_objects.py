"""Stripe objects as JSON, in the shape of the pinned API version: what the mapping reads."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
T0 = 1_790_000_000  # 2026-09-21 13:33:20 UTC
CUSTOMER = "cus_1"
DEAL = "006000000000001AAA"
ACCOUNT = "001000000000001AAA"


def price(**more: Any) -> Json:
    return {
        "id": "price_team",
        "object": "price",
        "active": True,
        "billing_scheme": "per_unit",
        "currency": "usd",
        "nickname": "Team",
        "product": "prod_team",
        "recurring": {"interval": "month", "interval_count": 1, "usage_type": "licensed"},
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "recurring",
        "unit_amount": 5_000,
        "unit_amount_decimal": "5000",
        **more,
    }


def item(quantity: int | None = 2, **more: Any) -> Json:
    return {
        "id": "si_1",
        "object": "subscription_item",
        "current_period_start": T0,
        "current_period_end": T0 + 2_592_000,
        "price": price(),
        "quantity": quantity,
        **more,
    }


def subscription(*items: Json, **more: Any) -> Json:
    return {
        "id": "sub_1",
        "object": "subscription",
        "billing_cycle_anchor": T0,
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "collection_method": "charge_automatically",
        "created": T0,
        "currency": "usd",
        "customer": CUSTOMER,
        "discounts": [],
        "ended_at": None,
        "items": {"object": "list", "data": list(items) or [item()], "has_more": False},
        "metadata": {},
        "pause_collection": None,
        "start_date": T0,
        "status": "active",
        "trial_end": None,
        **more,
    }


def invoice_line(**more: Any) -> Json:
    return {
        "id": "il_1",
        "object": "line_item",
        "amount": 10_000,
        "currency": "usd",
        "description": "2 × Team",
        "parent": {
            "type": "subscription_item_details",
            "subscription_item_details": {
                "proration": False,
                "subscription": "sub_1",
                "subscription_item": "si_1",
            },
        },
        "period": {"start": T0, "end": T0 + 2_592_000},
        "pricing": {
            "type": "price_details",
            "price_details": {"price": "price_team", "product": "prod_team"},
        },
        "quantity": 2,
        **more,
    }


def invoice(*lines: Json, **more: Any) -> Json:
    return {
        "id": "in_1",
        "object": "invoice",
        "amount_due": 10_000,
        "amount_overpaid": 0,
        "amount_paid": 0,
        "amount_paid_off_stripe": 0,
        "amount_remaining": 10_000,
        "attempt_count": 0,
        "billing_reason": "subscription_cycle",
        "collection_method": "charge_automatically",
        "created": T0,
        "currency": "usd",
        "customer": CUSTOMER,
        "due_date": None,
        "hosted_invoice_url": None,
        "invoice_pdf": None,
        "lines": {"object": "list", "data": list(lines) or [invoice_line()], "has_more": False},
        "metadata": {"salesforce_opportunity_id": DEAL},
        "next_payment_attempt": None,
        "number": None,
        "parent": {"type": "subscription_details", "subscription_details": {"subscription": "sub_1"}},
        "period_end": T0,
        "period_start": T0 - 2_592_000,
        "status": "draft",
        "status_transitions": {"finalized_at": None, "paid_at": None, "voided_at": None},
        "subtotal": 10_000,
        "total": 10_000,
        "total_taxes": [],
        **more,
    }


def charge(charge_id: str = "ch_1", **more: Any) -> Json:
    return {
        "id": charge_id,
        "object": "charge",
        "amount": 10_000,
        "amount_captured": 10_000,
        "amount_refunded": 0,
        "billing_details": {"email": None, "name": None, "phone": None},
        "captured": True,
        "created": T0,
        "currency": "usd",
        "customer": CUSTOMER,
        "disputed": False,
        "failure_code": None,
        "outcome": {"reason": None, "type": "authorized"},
        "payment_intent": "pi_1",
        "payment_method_details": {"type": "card", "card": {"brand": "visa", "last4": "4242"}},
        "receipt_url": "https://pay.example/receipt",
        "status": "succeeded",
        **more,
    }


def failed_charge(charge_id: str = "ch_0", **more: Any) -> Json:
    return charge(
        charge_id,
        status="failed",
        captured=False,
        amount_captured=0,
        failure_code="card_declined",
        outcome={"reason": "insufficient_funds", "type": "issuer_declined"},
        receipt_url=None,
        **more,
    )


def payment_intent(**more: Any) -> Json:
    return {
        "id": "pi_1",
        "object": "payment_intent",
        "amount": 10_000,
        "created": T0,
        "currency": "usd",
        "customer": CUSTOMER,
        "last_payment_error": None,
        "latest_charge": "ch_1",
        "status": "succeeded",
        **more,
    }


def invoice_payment(**more: Any) -> Json:
    return {
        "id": "inpay_1",
        "object": "invoice_payment",
        "amount_paid": 10_000,
        "amount_requested": 10_000,
        "created": T0,
        "currency": "usd",
        "invoice": "in_1",
        "payment": {"type": "payment_intent", "payment_intent": "pi_1"},
        "status": "paid",
        "status_transitions": {"canceled_at": None, "paid_at": T0 + 9},
        **more,
    }


def refund(**more: Any) -> Json:
    return {
        "id": "re_1",
        "object": "refund",
        "amount": 4_000,
        "charge": "ch_1",
        "created": T0 + 100,
        "currency": "usd",
        "failure_reason": None,
        "payment_intent": "pi_1",
        "reason": "requested_by_customer",
        "status": "succeeded",
        **more,
    }


def dispute(**more: Any) -> Json:
    return {
        "id": "du_1",
        "object": "dispute",
        "amount": 10_000,
        "charge": "ch_1",
        "created": T0 + 200,
        "currency": "usd",
        "evidence_details": {"due_by": T0 + 900_000, "past_due": False},
        "payment_intent": "pi_1",
        "reason": "fraudulent",
        "status": "needs_response",
        **more,
    }


def credit_note(**more: Any) -> Json:
    return {
        "id": "cn_1",
        "object": "credit_note",
        "amount": 2_000,
        "created": T0 + 300,
        "currency": "usd",
        "customer": CUSTOMER,
        "effective_at": T0 + 300,
        "invoice": "in_1",
        "memo": "One seat too many",
        "number": "A-1-CN-01",
        "pdf": "https://pay.example/cn.pdf",
        "post_payment_amount": 2_000,
        "pre_payment_amount": 0,
        "reason": "order_change",
        "status": "issued",
        "total": 2_000,
        "total_taxes": [{"amount": 200}],
        "type": "post_payment",
        "voided_at": None,
        **more,
    }


def customer(**more: Any) -> Json:
    return {
        "id": CUSTOMER,
        "object": "customer",
        "email": "billing@acme.example",
        "invoice_settings": {"default_payment_method": None},
        "metadata": {},
        "name": "Acme",
        "phone": None,
        **more,
    }


def payment_method(**more: Any) -> Json:
    return {
        "id": "pm_1",
        "object": "payment_method",
        "card": {"brand": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2030},
        "created": T0,
        "customer": CUSTOMER,
        "type": "card",
        **more,
    }


def product(**more: Any) -> Json:
    return {
        "id": "prod_team",
        "object": "product",
        "active": True,
        "default_price": None,
        "description": "For teams",
        "name": "Team",
        **more,
    }
