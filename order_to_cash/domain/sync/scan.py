"""What a scan found, as the inbox takes it: an event that Stripe never sent, around an object as it was read."""

from __future__ import annotations

import json

from order_to_cash.domain.events import StripeEvent, decode_event
from order_to_cash.domain.sync.handled import SCANNED
from order_to_cash.domain.sync.shapes import Fetched


def scanned(found: Fetched, *, livemode: bool, api_version: str) -> StripeEvent:
    """State and no signal: nobody hears of it. Named by object and second, so that storing it twice stores it once.

    Raises RecordRejected for an object that cannot be sorted.
    """
    second = int(found.at.timestamp())
    envelope = {
        "id": f"scan:{found.body.get('id')}:{second}",
        "object": "event",
        "type": SCANNED,
        "created": second,
        "livemode": livemode,
        "api_version": api_version,
        "data": {"object": found.body},
    }
    return decode_event(json.dumps(envelope, ensure_ascii=False, separators=(",", ":")).encode())
