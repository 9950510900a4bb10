"""Compact layouts and search layouts of an object, with the refusals of the Metadata API."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from emulators.salesforce.fields import ObjectType
from emulators.salesforce.package import Problem, check_tags, children, tag, text
from emulators.salesforce.page_layouts import MAX_COLUMNS, column_path
from emulators.salesforce.pages import Pages

_SYSTEM = "SYSTEM"  # the one that every object has


def compact_layout(owner: ObjectType, element: Element) -> tuple[str, ...]:
    """Its fields; raises Problem naming one that is not there."""
    check_tags(element, "CompactLayout", frozenset({"fullName", "fields", "label"}))
    if text(element, "label") is None:
        raise Problem("Required field is missing: label")
    names = []
    for each in children(element, "fields"):
        name = (each.text or "").strip()
        found = owner.field(name)
        if found is None or not found.filterable:
            raise Problem(f"In field: fields - no CustomField named {owner.name}.{name} found")
        names.append(found.name)
    if not 0 < len(names) <= MAX_COLUMNS:
        raise Problem(f"A compact layout has between 1 and {MAX_COLUMNS} fields")
    return tuple(names)


def assign_compact_layout(pages: Pages, owner: ObjectType, root: Element) -> None:
    """Put the assigned one at the head of the object's records, and check what search results show."""
    wanted = text(root, "compactLayoutAssignment")
    if wanted is not None and wanted != _SYSTEM:
        chosen = [each for each in children(root, "compactLayouts") if text(each, "fullName") == wanted]
        if not chosen:
            raise Problem(
                f"In field: compactLayoutAssignment - no CompactLayout named {owner.name}.{wanted} found"
            )
        pages.highlights[owner.name] = compact_layout(owner, chosen[0])
    for search in children(root, "searchLayouts"):
        for each in search:
            name = (each.text or "").strip()
            if tag(each).endswith("Fields") and column_path(owner, name) is None:
                raise Problem(f"Could not resolve list view column: {name} in {tag(each)}")
