"""List views, tabs and apps from their metadata, with the refusals of the Metadata API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from xml.etree.ElementTree import Element

from emulators.salesforce.fields import NUMBER_TYPES, Field, ObjectType
from emulators.salesforce.package import Component, Problem, check_tags, children, flag, text
from emulators.salesforce.page_layouts import column_path
from emulators.salesforce.pages import ListView, Pages
from emulators.salesforce.schema import Schema

_TAGS = frozenset(
    """
    fullName booleanFilter columns division filterScope filters label language queue sharedTo
    """.split()  # noqa: SIM905 - as in the other tables
)
_SCOPES = frozenset({"Everything", "Mine", "Queue", "Delegated", "MyTerritory", "MyTeamTerritory", "Team"})
_APP_TAGS = frozenset(
    """
    actionOverrides brand consoleConfig defaultLandingTab description formFactors isNavAutoTempTabsDisabled
    isNavPersonalizationDisabled isNavTabPersistenceDisabled isOmniPinnedViewEnabled label logo navType
    preferences profileActionOverrides setupExperience subscriberTabs tabs uiType utilityBar workspaceConfig
    """.split()  # noqa: SIM905 - as in the other tables
)
_STANDARD_TABS = frozenset({"home", "Chatter", "Dashboard", "report", "File", "Feed"})
_MOST_COLUMNS = 15


def list_view(owner: ObjectType, element: Element) -> ListView:
    """The list view of one `<listViews>` element; raises Problem naming the column or field."""
    check_tags(element, "ListView", _TAGS)
    name, label = text(element, "fullName") or "", text(element, "label")
    if not label:
        raise Problem("Required field is missing: label")
    if text(element, "filterScope") not in _SCOPES:
        raise Problem("Required field is missing: filterScope")
    if text(element, "booleanFilter"):
        raise Problem("A booleanFilter is not supported by this org")
    columns = []
    for each in children(element, "columns"):
        column = (each.text or "").strip()
        path = column_path(owner, column)
        if path is None:
            raise Problem(f"Could not resolve list view column: {column}")
        columns.append(path)
    if len(columns) > _MOST_COLUMNS:
        raise Problem(f"A list view has at most {_MOST_COLUMNS} columns")
    conditions = [_condition(owner, each) for each in children(element, "filters")]
    return ListView(owner.name, name, label, tuple(columns), " AND ".join(conditions))


def _condition(owner: ObjectType, element: Element) -> str:
    """One filter as SOQL. Several values, separated by commas, mean any of them (none of them: notEqual)."""
    asked = text(element, "field") or ""
    path = column_path(owner, asked)
    field = owner.field(path) if path is not None else None
    if path is None or field is None:
        raise Problem(f"Could not resolve list view column: {asked}")
    operation = text(element, "operation") or ""
    build = _OPERATIONS.get(operation)
    if build is None:
        raise Problem(f"'{operation}' is not a valid value for the enum 'FilterOperation'")
    value = text(element, "value")
    values = ["null"] if value is None else [_literal(field, part.strip()) for part in value.split(",")]
    return build(path, values)


def _literal(field: Field, value: str) -> str:
    if field.type == "boolean":
        if value not in {"0", "1"}:
            raise Problem(f"Filter value '{value}' is not valid for the checkbox {field.name}")
        return "true" if value == "1" else "false"
    if field.type in {"date", "datetime", *NUMBER_TYPES}:
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _any_of(operator: str, many: str) -> Callable[[str, list[str]], str]:
    def build(path: str, values: list[str]) -> str:
        return (
            f"{path} {operator} {values[0]}" if len(values) == 1 else f"{path} {many} ({', '.join(values)})"
        )

    return build


def _one(operator: str) -> Callable[[str, list[str]], str]:
    return lambda path, values: f"{path} {operator} {values[0]}"


def _like(before: str, after: str, negated: bool = False) -> Callable[[str, list[str]], str]:
    def build(path: str, values: list[str]) -> str:
        tests = [f"{path} LIKE '{before}{value[1:-1]}{after}'" for value in values]
        return f"{'NOT ' if negated else ''}({' OR '.join(tests)})"

    return build


_OPERATIONS: Mapping[str, Callable[[str, list[str]], str]] = {
    "equals": _any_of("=", "IN"),
    "notEqual": _any_of("!=", "NOT IN"),
    "lessThan": _one("<"),
    "greaterThan": _one(">"),
    "lessOrEqual": _one("<="),
    "greaterOrEqual": _one(">="),
    "contains": _like("%", "%"),
    "notContain": _like("%", "%", negated=True),
    "startsWith": _like("", "%"),
}


def add_tab(schema: Schema, pages: Pages, component: Component) -> None:
    owner = schema.get(component.name)
    if flag(component.root, "customObject") and (owner is None or not owner.custom):
        raise Problem(f"In field: customObject - no CustomObject named {component.name} found")
    if text(component.root, "motif") is None:
        raise Problem("Required field is missing: motif")
    pages.tabs.add(component.name)


def add_app(schema: Schema, pages: Pages, component: Component) -> None:
    root = component.root
    check_tags(root, "CustomApplication", _APP_TAGS)
    if text(root, "label") is None:
        raise Problem("Required field is missing: label")
    tabs = tuple((each.text or "").strip() for each in children(root, "tabs"))
    for tab in tabs:
        standard = tab.removeprefix("standard-")
        known = standard in _STANDARD_TABS or schema.get(standard) is not None
        if tab not in pages.tabs and not (standard != tab and known):
            raise Problem(f"In field: tabs - no CustomTab named {tab} found")
    pages.apps[component.name] = tabs
