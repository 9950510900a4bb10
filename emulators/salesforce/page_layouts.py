"""Layouts from their metadata, with the refusals of the Metadata API."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from emulators.salesforce.fields import Field, ObjectType
from emulators.salesforce.package import Component, Problem, check_tags, children, text
from emulators.salesforce.pages import PARENTS, RELATED, TOKENS, Layout, Pages, RelatedList
from emulators.salesforce.schema import Schema

MAX_COLUMNS = 10  # of a related list
_TAGS = frozenset(
    """
    customButtons customConsoleComponents emailDefault excludeButtons feedLayout headers layoutSections
    miniLayout multilineLayoutFields platformActionList quickActionList relatedContent relatedLists
    relatedObjects runAssignmentRulesDefault showEmailCheckbox showHighlightsPanel
    showInteractionLogPanel showKnowledgeComponent showRunAssignmentRulesCheckbox showSolutionSection
    showSubmitAndAttachButton summaryLayout
    """.split()  # noqa: SIM905 - a list of twenty names reads better as text
)
_SECTION_TAGS = frozenset({"customLabel", "detailHeading", "editHeading", "label", "layoutColumns", "style"})
_STYLES = frozenset(
    {"TwoColumnsTopToBottom", "TwoColumnsLeftToRight", "OneColumn", "CustomLinks", "ThreeColumns"}
)
_BEHAVIORS = frozenset({"Edit", "Required", "Readonly"})


def add_layout(schema: Schema, pages: Pages, component: Component) -> None:
    """Check a layout and keep it; raises Problem naming the field, object or related list."""
    owner_name, separator, _ = component.name.partition("-")
    owner = schema.get(owner_name)
    if owner is None or not separator:
        raise Problem(f"In field: layout - no CustomObject named {owner_name} found")
    root = component.root
    check_tags(root, "Layout", _TAGS)
    sections = tuple(_section(owner, element) for element in children(root, "layoutSections"))
    placed = [name for _, items in sections for name, _ in items]
    for name in placed:
        if placed.count(name) > 1:
            raise Problem(f"Duplicate layout item: {name}")
    for each in owner.fields.values():
        if _is_needed(each) and each.name not in placed:
            raise Problem(f"Layout must contain an item for required layout field: {each.name}")
    related = tuple(_related(schema, owner, element) for element in children(root, "relatedLists"))
    pages.layouts[component.name] = Layout(component.name, owner.name, sections, related)


def _is_needed(each: Field) -> bool:
    if each.name == "CurrencyIsoCode":
        return True
    return not each.nillable and each.createable and not each.defaulted


def _section(owner: ObjectType, element: Element) -> tuple[str, tuple[tuple[str, str], ...]]:
    check_tags(element, "LayoutSection", _SECTION_TAGS)
    if text(element, "style") not in _STYLES:
        raise Problem("Required field is missing: style of the layout section")
    columns = children(element, "layoutColumns")
    items = (_item(owner, item) for column in columns for item in children(column, "layoutItems"))
    return text(element, "label") or "", tuple(items)


def _item(owner: ObjectType, element: Element) -> tuple[str, str]:
    name, behavior = text(element, "field") or "", text(element, "behavior") or "Edit"
    found = owner.field(name)
    if found is None:
        raise Problem(f"In field: field - no CustomField named {owner.name}.{name} found")
    if behavior not in _BEHAVIORS:
        raise Problem(f"'{behavior}' is not a valid value for the enum 'UiBehavior'")
    writable = found.createable or found.updateable or found.type == "address"
    if behavior != "Readonly" and not writable:
        raise Problem(f"Field {found.name} can only be Readonly in a layout")
    return found.name, behavior


def _related(schema: Schema, owner: ObjectType, element: Element) -> RelatedList:
    name = text(element, "relatedList") or ""
    asked = [(each.text or "").strip() for each in children(element, "fields")]
    if name in RELATED:
        told = RELATED[name]
        child, reference = told if told is not None else ("", "")
    else:
        child, reference = _custom_list(schema, owner, name)
    if not child:
        return RelatedList(name)
    columns = []
    for column in asked:
        path = column_path(schema.objects[child.lower()], column)
        if path is None:
            raise Problem(f"Invalid field:{column} in related list:{name}")
        columns.append(path)
    if len(columns) > MAX_COLUMNS:
        raise Problem(f"Too many fields in related list:{name}: at most {MAX_COLUMNS}")
    sort = text(element, "sortField")
    if sort is not None and column_path(schema.objects[child.lower()], sort) is None:
        raise Problem(f"Invalid field:{sort} in related list:{name}")
    return RelatedList(name, child, reference, tuple(columns), sort or "")


def _custom_list(schema: Schema, owner: ObjectType, name: str) -> tuple[str, str]:
    child_name, _, reference_name = name.partition(".")
    child = schema.get(child_name)
    reference = child.field(reference_name) if child is not None else None
    if child is None or reference is None:
        raise Problem(f"In field: relatedList - no CustomField named {name} found")
    if owner.name not in reference.references:
        raise Problem(f"Cannot find related list:{name}")
    return child.name, reference.name


def column_path(item: ObjectType, column: str) -> str | None:
    """The field behind a column of a list, by a token such as NAME or by a custom field's name; None: no such."""
    parent = PARENTS.get((item.name, column))
    if parent is not None:
        return parent
    prefix = column.partition(".")[0] if "." in column else ""
    if prefix and prefix not in {item.name.upper(), item.plural.upper()}:
        return None
    found = item.field(TOKENS.get(column, column if column.endswith("__c") else ""))
    if found is None or not found.filterable:
        return None
    return found.name
