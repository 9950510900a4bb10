"""What the org itself fills in when a record is saved: stages, names, line totals, roll-ups."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

from emulators.salesforce.errors import OrgError
from emulators.salesforce.fields import ObjectType
from emulators.salesforce.store import Row

if TYPE_CHECKING:
    from emulators.salesforce.org import Org

Hook = Callable[["Org", Row, Row | None], None]
_CENT = Decimal("0.01")


def before_save(org: Org, item: ObjectType, row: Row, old: Row | None) -> None:
    """Fill the derived fields of `row` in place; raises OrgError where the org would refuse."""
    hook = _BEFORE.get(item.name)
    if hook is not None:
        hook(org, row, old)


def after_save(org: Org, item: ObjectType, row: Row, old: Row | None) -> None:
    """Carry a saved or deleted row's effect to its parents."""
    hook = _AFTER.get(item.name)
    if hook is not None:
        hook(org, row, old)


def _person(org: Org, row: Row, old: Row | None) -> None:
    del org, old
    row["Name"] = " ".join(part for part in (row.get("FirstName"), row.get("LastName")) if part)


def _opportunity(org: Org, row: Row, old: Row | None) -> None:
    stage = next((s for s in org.store.rows("OpportunityStage").values() if _is_stage(s, row)), None)
    row["IsClosed"] = bool(stage and stage["IsClosed"])
    row["IsWon"] = bool(stage and stage["IsWon"])
    moved = old is None or old.get("StageName") != row.get("StageName")
    if moved:
        row["LastStageChangeDate"] = row["SystemModstamp"] if old is not None else None
    if stage and moved:
        given = row.get("Probability") if old is None else None
        row["Probability"] = stage["DefaultProbability"] if given is None else given
        row["ForecastCategory"] = stage["ForecastCategory"]
        row["ForecastCategoryName"] = stage["ForecastCategoryName"]
    # With products on it, the amount is their sum and a written amount is ignored without an error.
    if old is not None and old.get("HasOpportunityLineItem") and row.get("HasOpportunityLineItem"):
        row["Amount"] = old.get("Amount")
    _expect(row)


def _expect(row: Row) -> None:
    amount, chance = row.get("Amount"), row.get("Probability")
    row["ExpectedRevenue"] = None
    if amount is not None and chance is not None:
        row["ExpectedRevenue"] = (amount * chance / 100).quantize(_CENT, ROUND_HALF_UP)
    if row.get("CloseDate"):
        closing = date.fromisoformat(row["CloseDate"])
        quarter = (closing.month + 2) // 3
        row["FiscalYear"], row["FiscalQuarter"] = closing.year, quarter
        row["Fiscal"] = f"{closing.year} {quarter}"


def _is_stage(stage: Row, row: Row) -> bool:
    return str(stage["MasterLabel"]).casefold() == str(row.get("StageName")).casefold()


def _line(org: Org, row: Row, old: Row | None) -> None:
    parent = org.store.get("Opportunity", row["OpportunityId"]) or {}
    entry = _entry(org, row, parent.get("Pricebook2Id"))
    product = org.store.get("Product2", row.get("Product2Id") or "") or {}
    row["Name"] = " ".join(part for part in (parent.get("Name"), product.get("Name")) if part)
    row["ProductCode"] = product.get("ProductCode")
    if entry and old is None:
        row["ListPrice"] = entry.get("UnitPrice")
    if row.get("CurrencyIsoCode") is None:
        row["CurrencyIsoCode"] = parent.get("CurrencyIsoCode")
    _price(row, old)


def _entry(org: Org, row: Row, pricebook_id: str | None) -> Row | None:
    """The line's price book entry, found by product when only that is given."""
    if row.get("PricebookEntryId"):
        entry = org.store.get("PricebookEntry", row["PricebookEntryId"])
        if entry and pricebook_id and entry["Pricebook2Id"] != pricebook_id:
            raise OrgError(
                "FIELD_INTEGRITY_EXCEPTION",
                "field integrity exception: PricebookEntryId (pricebook entry is in a different pricebook "
                "than the one assigned to the opportunity)",
                ["PricebookEntryId"],
            )
        if entry:
            row["Product2Id"] = entry["Product2Id"]
        return entry
    if not row.get("Product2Id"):
        raise OrgError(
            "REQUIRED_FIELD_MISSING", "Required fields are missing: [PricebookEntryId]", ["PricebookEntryId"]
        )
    for entry in org.store.rows("PricebookEntry").values():
        if entry["Product2Id"] == row["Product2Id"] and pricebook_id in {None, entry["Pricebook2Id"]}:
            row["PricebookEntryId"] = entry["Id"]
            return entry
    raise OrgError(
        "FIELD_INTEGRITY_EXCEPTION",
        "field integrity exception: unknown (no price book entry of the opportunity's price book has this "
        "product)",
        ["Product2Id"],
    )


def _price(row: Row, old: Row | None) -> None:
    quantity, unit, total = row.get("Quantity"), row.get("UnitPrice"), row.get("TotalPrice")
    factor = 1 - (row.get("Discount") or Decimal(0)) / 100
    total_written = total is not None and (old is None or old.get("TotalPrice") != total)
    unit_written = unit is not None and (old is None or old.get("UnitPrice") != unit)
    if total_written and not unit_written and quantity and factor:
        row["UnitPrice"] = (total / quantity / factor).quantize(_CENT, ROUND_HALF_UP)
    elif unit is None:
        unit = row["UnitPrice"] = row.get("ListPrice")
        if unit is None:
            raise OrgError(
                "REQUIRED_FIELD_MISSING", "Required fields are missing: [UnitPrice]", ["UnitPrice"]
            )
    if quantity is not None and not (total_written and not unit_written):
        row["TotalPrice"] = (row["UnitPrice"] * quantity * factor).quantize(_CENT, ROUND_HALF_UP)
    if quantity is not None:
        row["Subtotal"] = (row["UnitPrice"] * quantity).quantize(_CENT, ROUND_HALF_UP)


def _line_rollup(org: Org, row: Row, old: Row | None) -> None:
    del old
    parent = org.store.get("Opportunity", row["OpportunityId"])
    if parent is None or parent.get("IsDeleted"):
        return
    lines = org.store.find("OpportunityLineItem", "OpportunityId", parent["Id"])
    changed = dict(parent)
    changed["HasOpportunityLineItem"] = bool(lines)
    if lines:
        changed["Amount"] = sum((line.get("TotalPrice") or Decimal(0) for line in lines), start=Decimal(0))
        changed["TotalOpportunityQuantity"] = sum(
            (line.get("Quantity") or Decimal(0) for line in lines), start=Decimal(0)
        )
        entry = org.store.get("PricebookEntry", row.get("PricebookEntryId") or "")
        if not parent.get("Pricebook2Id") and entry:
            changed["Pricebook2Id"] = entry["Pricebook2Id"]
    _expect(changed)
    _stamped_put(org, "Opportunity", parent, changed)


def _stamped_put(org: Org, name: str, before: Row, after: Row) -> None:
    fields = tuple(key for key in after if after[key] != before.get(key))
    if fields:
        after["SystemModstamp"] = after["LastModifiedDate"] = org.stamp()
        org.store.put(name, after, "updated", fields)


def _entry_name(org: Org, row: Row, old: Row | None) -> None:
    product = org.store.get("Product2", row["Product2Id"]) or {}
    row["Name"], row["ProductCode"] = product.get("Name"), product.get("ProductCode")
    standard = org.standard_pricebook_id
    if old is None and row["Pricebook2Id"] != standard:
        entries = org.store.rows("PricebookEntry").values()
        if not any(e["Product2Id"] == row["Product2Id"] and e["Pricebook2Id"] == standard for e in entries):
            raise OrgError(
                "STANDARD_PRICE_NOT_DEFINED",
                "Before creating a custom price, create a standard price.",
                [],
            )


def _case(org: Org, row: Row, old: Row | None) -> None:
    contact = org.store.get("Contact", row.get("ContactId") or "") or {}
    for name in ("Email", "Phone", "Fax"):
        row["Contact" + name] = contact.get(name)
    row["ContactMobile"] = contact.get("MobilePhone")
    row["IsClosed"] = row.get("Status") == "Closed"
    if row["IsClosed"] and not (old or {}).get("IsClosed"):
        row["ClosedDate"] = row["SystemModstamp"]
    elif not row["IsClosed"]:
        row["ClosedDate"] = None


def _task(org: Org, row: Row, old: Row | None) -> None:
    row["IsClosed"] = row.get("Status") == "Completed"
    row["IsHighPriority"] = row.get("Priority") == "High"
    if row["IsClosed"] and not (old or {}).get("IsClosed"):
        row["CompletedDateTime"] = row["SystemModstamp"]
    what = org.row_by_id(row.get("WhatId"))
    if what is not None:
        item, record = what
        row["AccountId"] = record["Id"] if item.name == "Account" else record.get("AccountId")


_STATUS_CODES = {"Draft": "Draft", "In Approval Process": "InApproval", "Activated": "Activated"}


def _activated(org: Org, row: Row, old: Row | None) -> None:
    row["StatusCode"] = _STATUS_CODES.get(str(row.get("Status")), "Draft")
    if row["StatusCode"] == "Activated" and (old or {}).get("StatusCode") != "Activated":
        row["ActivatedDate"] = row["SystemModstamp"]
        row["ActivatedById"] = row["LastModifiedById"]
    del org


def _order_item(org: Org, row: Row, old: Row | None) -> None:
    entry = org.store.get("PricebookEntry", row.get("PricebookEntryId") or "")
    if entry:
        row["Product2Id"], row["ListPrice"] = entry["Product2Id"], entry["UnitPrice"]
    if row.get("UnitPrice") is None:
        row["UnitPrice"] = row.get("ListPrice") or Decimal(0)
    row["AvailableQuantity"] = row["Quantity"]
    row["TotalPrice"] = (row["UnitPrice"] * row["Quantity"]).quantize(_CENT, ROUND_HALF_UP)
    del old


def _order_rollup(org: Org, row: Row, old: Row | None) -> None:
    del old
    parent = org.store.get("Order", row["OrderId"])
    if parent is None:
        return
    items = org.store.find("OrderItem", "OrderId", parent["Id"])
    total: Any = sum((i["TotalPrice"] for i in items), start=Decimal(0))
    _stamped_put(org, "Order", parent, {**parent, "TotalAmount": total})


def _assignment(org: Org, row: Row, old: Row | None) -> None:
    del org, old
    row["IsActive"] = True


_BEFORE: dict[str, Hook] = {
    "Contact": _person,
    "User": _person,
    "Opportunity": _opportunity,
    "OpportunityLineItem": _line,
    "PricebookEntry": _entry_name,
    "Case": _case,
    "Task": _task,
    "Contract": _activated,
    "Order": _activated,
    "OrderItem": _order_item,
    "PermissionSetAssignment": _assignment,
}
_AFTER: dict[str, Hook] = {"OpportunityLineItem": _line_rollup, "OrderItem": _order_rollup}
