"""Where a ladder's pages stand."""

from __future__ import annotations

import re


def timeline_key(invoice_id: str) -> str:
    """The key of its timeline among Prefect's artifacts, which takes small letters, digits and dashes."""
    return f"ladder-{re.sub(r'[^a-z0-9]+', '-', invoice_id.lower()).strip('-')}"
