"""Whether the org has each field that is read or written, and lets our user write where it must."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from order_to_cash.cli.output import Finding
from order_to_cash.domain.errors import RecordGone
from order_to_cash.domain.policy import FieldNames
from order_to_cash.domain.sync.fields import DECIDED, FIELDS

if TYPE_CHECKING:
    from order_to_cash.gateways.salesforce_gateway import SalesforceGateway

# What billing writes on each object, as O2C_Integration grants it; reading the other fields is enough.
WRITTEN = {
    "Opportunity": {
        "opportunity_customer_id",
        "opportunity_invoice_id",
        "opportunity_invoice_url",
        "opportunity_invoice_status",
        "opportunity_billed_at",
    },
    "Account": {"account_customer_id"},
    "Product2": {"product_price_id", "product_product_id"},
}


@dataclass(frozen=True)
class Wanted:
    """Fields of one object: all that are read, and those of them that are written."""

    names: tuple[str, ...]
    written: frozenset[str]


def wanted(field_names: FieldNames) -> dict[str, Wanted]:
    """Object → its fields, by the organisation's own names where it has set any."""
    chosen, usual = field_names.model_dump(), FieldNames().model_dump()
    own = field_names.by_object()
    found = {}
    for sobject in dict.fromkeys([*own, *FIELDS]):
        renamed = {usual[key]: name for key, name in chosen.items() if name in own.get(sobject, ())}
        synced = [renamed.get(name, name) for name in FIELDS.get(sobject, ())]
        written = {chosen[key] for key in WRITTEN.get(sobject, ())}
        names = tuple(dict.fromkeys([*own.get(sobject, ()), *synced, *DECIDED.get(sobject, ())]))
        found[sobject] = Wanted(names, frozenset({*written, *synced}))
    return found


def check_fields(gateway: SalesforceGateway, field_names: FieldNames) -> Iterator[Finding]:
    """One finding an object; more when something is amiss. Costs an API call each."""
    for sobject, fields in wanted(field_names).items():
        known = _described(gateway, sobject)
        hidden = [name for name in fields.names if name not in known]
        locked = [
            name
            for name in fields.names
            if name in known and name in fields.written and not known[name]["updateable"]
        ]
        yield from _findings(sobject, hidden if known else [], locked, len(fields.names) if known else 0)


def _described(gateway: SalesforceGateway, sobject: str) -> dict[str, Any]:
    """Field → its description; none for an object that is not there."""
    try:
        return {str(field["name"]): field for field in gateway.describe(sobject)["fields"]}
    except RecordGone:
        return {}


def _findings(sobject: str, hidden: list[str], locked: list[str], total: int) -> Iterator[Finding]:
    if hidden or not total:
        told = f": {', '.join(hidden)}" if hidden else ""
        yield Finding(
            False,
            "salesforce",
            f"{sobject}: not there, or not visible{told}",
            "`o2c salesforce deploy`, then assign O2C_Integration to the API user (field-level security).",
        )
    if locked:
        yield Finding(
            False,
            "salesforce",
            f"{sobject}: not writable: {', '.join(locked)}",
            "Assign O2C_Integration to the API user (field-level security).",
        )
    if total and not hidden and not locked:
        yield Finding(True, "salesforce", f"{sobject}: {total} fields")
