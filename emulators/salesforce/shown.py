"""What a person with certain permission sets sees on a record's page, in a list view, and among the tabs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from emulators.salesforce.errors import OrgError
from emulators.salesforce.fields import ObjectType
from emulators.salesforce.ids import long_id
from emulators.salesforce.org import Org
from emulators.salesforce.pages import Layout, RelatedList
from emulators.salesforce.schema import Access
from emulators.salesforce.soql.execute import run
from emulators.salesforce.store import Row
from emulators.salesforce.values import address, as_json

Json = dict[str, Any]
_VERSION = "v66.0"


def person(org: Org, set_names: Sequence[str]) -> Access:
    """The access of somebody with a full licence and these permission sets. Raises OrgError for an unknown one."""
    found = {
        row["Name"]: row["Id"] for row in org.store.rows("PermissionSet").values() if not row["IsDeleted"]
    }
    unknown = sorted(set(set_names) - set(found))
    if unknown:
        raise OrgError("INVALID_INPUT", f"no permission set {unknown[0]}")
    return org.access_by({found[name] for name in set_names})


def page(org: Org, set_names: Sequence[str], sobject: str, layout_name: str, record_id: str) -> Json:
    """A layout as the person sees it; with a record, its values and the rows of its related lists.

    Without `layout_name`: the object's only layout. Raises OrgError for what is not there or not to be seen.
    """
    access, item = person(org, set_names), org.schema.require(sobject)
    if not access.sees_object(item):
        raise OrgError("INSUFFICIENT_ACCESS", f"{item.name} is not to be seen")
    layout = _layout(org, item, layout_name)
    return page_of(org, access, item, layout, _record(org, item, record_id) if record_id else None)


def page_of(org: Org, access: Access, item: ObjectType, layout: Layout, row: Row | None) -> Json:
    """`page` by a layout at hand, of a record as `Org.shown` has it."""
    return {
        "layout": layout.name,
        "assigned": layout.own,
        "highlights": _fields(
            access, item, [(name, "Readonly") for name in org.pages.highlights.get(item.name, ())], row
        ),
        "sections": [
            {"label": label, "fields": _fields(access, item, items, row)} for label, items in layout.sections
        ],
        "related_lists": [
            shown for related in layout.related if (shown := _related(org, access, related, row)) is not None
        ],
    }


def _layout(org: Org, item: ObjectType, name: str) -> Layout:
    found = [
        each for each in org.pages.layouts.values() if each.object == item.name and name in {"", each.name}
    ]
    if len(found) != 1:
        raise OrgError("INVALID_INPUT", f"{item.name} has {len(found)} layouts of the name {name!r}")
    return found[0]


def _record(org: Org, item: ObjectType, record_id: str) -> Row:
    row = org.store.get(item.name, long_id(record_id))
    if row is None or row.get("IsDeleted"):
        raise OrgError("NOT_FOUND", f"no record {record_id} of {item.name}")
    return org.shown(item, row)


def _fields(
    access: Access, item: ObjectType, items: Sequence[tuple[str, str]], row: Row | None
) -> list[Json]:
    shown = []
    for name, behavior in items:
        field = access.field(item, name)
        if field is None:
            continue
        editable = behavior != "Readonly" and access.may("edit", item) and access.edits(item, field)
        told: Json = {"name": field.name, "label": field.label, "editable": editable}
        if row is not None and field.compound_of is not None:
            told["value"] = address(row, field.compound_of)
        elif row is not None:
            told["value"] = as_json(row.get(field.name))
        shown.append(told)
    return shown


def _related(org: Org, access: Access, related: RelatedList, row: Row | None) -> Json | None:
    """None when the person may not see the children or the field that leads to them."""
    if not related.child:
        return {"name": related.name, "object": None, "columns": []}
    child = org.schema.require(related.child)
    reference = child.field(related.reference)
    if reference is None or not access.sees_object(child) or not access.sees(child, reference):
        return None
    columns = _visible(access, child, related.columns)
    told: Json = {"name": related.name, "object": child.name, "columns": columns}
    if row is not None:
        told["rows"] = _rows(org, access, child, columns, f"{reference.name} = '{row['Id']}'")
    return told


def _visible(access: Access, item: ObjectType, columns: Sequence[str]) -> list[str]:
    return [path for path in columns if "." in path or access.field(item, path) is not None]


def _rows(org: Org, access: Access, item: ObjectType, columns: Sequence[str], where: str) -> list[Json]:
    """Records that pass; none of a private object's unless the person may view all records of it."""
    if item.private and not access.everything and "viewallrecords" not in _granted(access, item):
        return []
    condition = f" WHERE {where}" if where else ""
    # An administrator's own names and filter, checked when they were deployed.
    statement = f"SELECT {', '.join(dict.fromkeys(['Id', *columns]))} FROM {item.name}{condition}"
    found = run(org.world(access), statement, _VERSION)
    return [found.render(row) for row in found.rows]


def _granted(access: Access, item: ObjectType) -> frozenset[str]:
    return access.objects.get(item.name.lower(), frozenset())


def listed(org: Org, set_names: Sequence[str], sobject: str, name: str) -> Json:
    """A list view as the person sees it: its columns and its rows."""
    access, item = person(org, set_names), org.schema.require(sobject)
    view = org.pages.list_views.get((item.name, name))
    if view is None or not access.sees_object(item):
        raise OrgError("NOT_FOUND", f"{item.name} has no list view {name}, or is not to be seen")
    columns = _visible(access, item, view.columns)
    return {
        "label": view.label,
        "columns": columns,
        "rows": _rows(org, access, item, columns, view.where),
    }


def navigation(org: Org, set_names: Sequence[str]) -> Json:
    """The tabs and apps that the permission sets show, and each object's list views."""
    person(org, set_names)
    granted = [org.pages.granted.get(name, ((), ())) for name in set_names]
    views: dict[str, list[str]] = {}
    for sobject, name in org.pages.list_views:
        views.setdefault(sobject, []).append(name)
    return {
        "tabs": sorted({tab for tabs, _ in granted for tab in tabs}),
        "apps": sorted({app for _, apps in granted for app in apps}),
        "list_views": views,
        "layouts": sorted(org.pages.layouts),
    }
