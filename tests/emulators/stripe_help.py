"""Short forms for tests of invoices."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

DAY = 86400
NET_30: dict[str, Any] = {"collection_method": "send_invoice", "days_until_due": 30}


def draft(client: stripe.StripeClient, customer: str, **extra: Any) -> stripe.Invoice:
    params: Any = {"customer": customer, "currency": "eur", **NET_30, **extra}
    return client.v1.invoices.create(params)


def add(client: stripe.StripeClient, invoice: stripe.Invoice, *lines: dict[str, Any]) -> stripe.Invoice:
    params: Any = {"lines": list(lines)}
    return client.v1.invoices.add_lines(invoice.id, params)


def refused(message: str) -> Any:
    return pytest.raises(stripe.InvalidRequestError, match=message)
