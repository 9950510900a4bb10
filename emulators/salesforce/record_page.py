"""A record's page for a browser, at the address that links to it have: `/006…` or `/lightning/r/006…/view`.

It shows what an administrator would see: the head, sections and related lists of the layout that was deployed, then
every other record that points at this one; all fields where there is no layout. No login, nothing to edit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from html import escape
from typing import Any

from emulators.salesforce.fields import Field, ObjectType
from emulators.salesforce.ids import is_id, long_id
from emulators.salesforce.org import Org
from emulators.salesforce.pages import Layout, RelatedList
from emulators.salesforce.schema import UNRESTRICTED
from emulators.salesforce.shown import Json, page_of
from emulators.salesforce.store import Row

MOST_ROWS = 50  # of a related list
STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;color:#181818}"
    "a{color:#0176d3}table{width:100%;border-collapse:collapse}td,th{padding:.3rem .5rem .3rem 0;text-align:left;"
    "border-bottom:1px solid #e5e5e5;vertical-align:top}dl{display:grid;grid-template-columns:14rem 1fr;margin:0}"
    "dt,dd{margin:0;padding:.2rem 0;border-bottom:1px solid #f0f0f0;overflow-wrap:anywhere;white-space:pre-line}"
    "dt{color:#5c5c5c}h2{font-size:1rem;margin:1.6rem 0 .3rem;background:#f3f3f3;padding:.2rem .5rem}"
    ".note{background:#fff4d6;border:1px solid #e8c15a;border-radius:.4rem;padding:.4rem .8rem}"
)
_PATH = re.compile(r"/(?:lightning/r/(?:\w+/)?)?(\w{15}|\w{18})(?:/view)?/?")
_ADDRESS = ("street", "postalCode", "city", "state", "country")
_PEOPLE = {"User"}  # owners and authors: no child of theirs is listed


def asked_for(path: str) -> str | None:
    """The id of the record whose page has this path; None for any other path."""
    found = _PATH.fullmatch(path)
    return long_id(found[1]) if found and is_id(found[1]) else None


def record_page(org: Org, record_id: str) -> str | None:
    """The page as HTML; None when there is no such record, or not any more."""
    found = org.row_by_id(record_id)
    if found is None or found[1].get("IsDeleted"):
        return None
    item, row = found[0], org.shown(*found)
    told = page_of(org, UNRESTRICTED, item, _layout(org, item, row), row)
    parts = [
        f"<!doctype html><meta charset=utf-8><title>{escape(_name(item, row))} | {escape(item.label)}</title>",
        f"<style>{STYLE}</style>",
        "<p class=note>This page is shown by a local emulator, not by Salesforce. Nothing can be edited here.</p>",
        f"<p>{escape(item.label)}</p><h1>{escape(_name(item, row))}</h1>",
        *(
            _section(org, item, one)
            for one in [{"label": "", "fields": told["highlights"]}, *told["sections"]]
        ),
        *(_list(org, one) for one in told["related_lists"]),
    ]
    return "\n".join(part for part in parts if part)


def _layout(org: Org, item: ObjectType, row: Row) -> Layout:
    """The object's layout, or else all fields that say anything; with lists of whatever else points at the record."""
    own = next((one for one in org.pages.layouts.values() if one.object == item.name), None)
    if own is None:
        named = [(field.name, "Readonly") for field in item.fields.values() if _says(row, field)]
        own = Layout("", item.name, (("Details", tuple(named)),), ())
    listed = {(one.child, one.reference) for one in own.related}
    more = tuple(one for one in _pointing(org, item, row) if (one.child, one.reference) not in listed)
    return Layout(own.name, own.object, own.sections, (*(one for one in own.related if one.child), *more))


def _says(row: Row, field: Field) -> bool:
    return field.compound_of is None and row.get(field.name) not in {None, "", False}


def _pointing(org: Org, item: ObjectType, row: Row) -> Iterator[RelatedList]:
    """Lists of the records that point at this one, the longest first; what is in one already makes no further list."""
    kinds = [] if item.name in _PEOPLE else org.schema.children(item)
    found = [(child, reference, _children(org, child, reference, row["Id"])) for child, reference in kinds]
    seen: set[str] = set()
    for child, reference, ids in sorted(found, key=lambda one: -len(one[2])):
        if ids - seen:
            seen |= ids
            yield RelatedList(f"{child.name}.{reference.name}", child.name, reference.name, _columns(child))


def _children(org: Org, child: ObjectType, reference: Field, parent_id: str) -> set[str]:
    rows = org.store.rows(child.name).values()
    return {row["Id"] for row in rows if row.get(reference.name) == parent_id and not row.get("IsDeleted")}


def _columns(child: ObjectType) -> tuple[str, ...]:
    """What tells records of an object without a list of its own apart."""
    usual = (
        "Subject",
        "Status",
        "StageName",
        "Amount",
        "Quantity",
        "UnitPrice",
        "TotalPrice",
        "ActivityDate",
    )
    found = [each.name for name in usual if (each := child.field(name)) is not None]
    name = child.name_field
    return tuple(dict.fromkeys([*([name.name] if name else []), *found, "CreatedDate"]))


def _section(org: Org, item: ObjectType, section: Json) -> str:
    rows = "".join(
        f"<dt>{escape(each['label'])}</dt><dd>{_value(org, item.field(each['name']), each['value'])}</dd>"
        for each in section["fields"]
    )
    heading = f"<h2>{escape(section['label'])}</h2>" if section["label"] else ""
    return f"{heading}<dl>{rows}</dl>" if rows else ""


def _list(org: Org, related: Json) -> str:
    child, columns, rows = org.schema.require(related["object"]), related["columns"], related["rows"]
    heads = "".join(f"<th>{escape(_label(child, column))}</th>" for column in ["", *columns])
    lines = "".join(
        f"<tr><td>{_link(org, row['Id'], 'open')}</td>{''.join(_cells(org, child, columns, row))}</tr>"
        for row in rows[:MOST_ROWS]
    )
    more = f"<p>… and {len(rows) - MOST_ROWS} more</p>" if len(rows) > MOST_ROWS else ""
    table = f"<table><tr>{heads}</tr>{lines}</table>{more}" if rows else "<p>None</p>"
    return f"<h2>{escape(child.plural)}</h2>{table}"


def _cells(org: Org, child: ObjectType, columns: Iterable[str], row: Mapping[str, Any]) -> Iterator[str]:
    for column in columns:
        value: Any = row
        for step in column.split("."):
            value = value.get(step) if isinstance(value, Mapping) else None
        yield f"<td>{_value(org, child.field(column), value)}</td>"


def _label(item: ObjectType, column: str) -> str:
    field = item.field(column)
    return field.label if field is not None else column.replace(".", " ")


def _value(org: Org, field: Field | None, value: Any) -> str:
    """As people read it; everything that somebody may have typed is escaped."""
    if value is not None and field is not None and field.references:
        return _link(org, str(value))
    text = _said(value, "," if field is not None and field.type == "currency" else "")
    if re.fullmatch(r"https?://\S+", text):
        return f'<a href="{escape(text)}" rel="noreferrer">{escape(text)}</a>'
    return escape(text)


def _said(value: Any, grouping: str) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "✓" if value else "–"
        case int() | float() | Decimal():
            return format(Decimal(str(value)).normalize(), f"{grouping}f")
        case Mapping():
            return ", ".join(str(value[part]) for part in _ADDRESS if value.get(part))
        case _:
            return str(value)


def _link(org: Org, record_id: str, said: str = "") -> str:
    """To the page of another record, by its name; a pointer into nothing is only its id."""
    found = org.row_by_id(record_id)
    if found is None or found[1].get("IsDeleted"):
        return escape(record_id)
    return f'<a href="/{escape(record_id)}">{escape(said or _name(*found))}</a>'


def _name(item: ObjectType, row: Row) -> str:
    name = item.name_field
    return str((name and row.get(name.name)) or row.get("Name") or row["Id"])
