"""Which rights a restricted key needs, and how to find out which it lacks without touching anything (R80)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Right:
    """A right as the dashboard shows it. Probed by a list of one, or by changing an object that cannot be."""

    resource: str
    access: Literal["read", "write"]
    path: str

    @property
    def label(self) -> str:
        return f"{self.resource}: {self.access}"


# What the billing recipe calls. A write is probed with an id that no object has: Stripe judges the key first
# (403) and only then looks for the object (404).
NEEDED: tuple[Right, ...] = (
    Right("customers", "read", "/v1/customers"),
    Right("customers", "write", "/v1/customers/cus_o2cprobe"),
    Right("invoices", "read", "/v1/invoices"),
    Right("invoices", "write", "/v1/invoices/in_o2cprobe"),
    Right("prices", "read", "/v1/prices"),
    Right("products", "read", "/v1/products"),
    Right("events", "read", "/v1/events"),
)
