"""Custom objects, their fields and the components around them, applied to a copy of the schema."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec
from xml.etree.ElementTree import Element

from emulators.salesforce.compact_layouts import assign_compact_layout, compact_layout
from emulators.salesforce.custom_fields import API_NAME, custom_field
from emulators.salesforce.fields import Field, ObjectType
from emulators.salesforce.formulas import unknown_fields
from emulators.salesforce.list_views import add_app, add_tab, list_view
from emulators.salesforce.package import (
    NAMESPACE,
    Component,
    Outcome,
    Package,
    Problem,
    check_tags,
    children,
    text,
)
from emulators.salesforce.page_layouts import add_layout
from emulators.salesforce.pages import Pages
from emulators.salesforce.schema import Schema
from emulators.salesforce.standard import currency_field, id_fields, system_fields

_TAGS = frozenset(
    """
    fullName label pluralLabel gender startsWith description nameField deploymentStatus
    deploymentDate sharingModel externalSharingModel enableActivities enableBulkApi
    enableChangeDataCapture enableFeeds enableHistory enableLicensing enableReports enableSearch
    enableSharing enableStreamingApi allowInChatterGroups actionOverrides compactLayoutAssignment
    compactLayouts fieldSets fields listViews recordTypes searchLayouts sharingReasons webLinks
    visibility customHelp customHelpPage household recordTypeTrackFeedHistory recordTypeTrackHistory
    businessProcesses indexes historyRetentionPolicy
    """.split()  # noqa: SIM905 - a list of forty names reads better as text
)
_SHARING = frozenset(
    {"Private", "Read", "ReadWrite", "ControlledByParent", "FullAccess", "ReadWriteTransfer"}
)


P = ParamSpec("P")
# "Notes on Changing Custom Field Types": text may become a text area, short or long, without loss.
_CONVERTIBLE = frozenset({("string", "textarea")})
# Tasks (and events, which this org has none of) get their custom fields through one object.
_ACTIVITY = "Activity"


def _owner(schema: Schema, name: str) -> ObjectType | None:
    return schema.get("Task" if name == _ACTIVITY else name)


def apply_objects(schema: Schema, pages: Pages, package: Package) -> list[Outcome]:
    """Create or change objects, then their fields (so that lookups find objects of the same package)."""
    outcomes: list[Outcome] = []
    alive: list[Component] = []
    for component in package.of("CustomObject"):
        whole = package.names("CustomObject", component.name, wildcard=component.name.endswith("__c"))
        outcome = Outcome("CustomObject", component.name, component.file)
        outcome.problem = _try(_apply_object, schema, component, outcome)
        if whole or outcome.problem:
            outcomes.append(outcome)
        if outcome.problem is None:
            alive.append(component)
    for component in alive:
        outcomes += _apply_fields(schema, package, component)
    for component in alive:
        outcomes += _list_views(schema, pages, component) + _compact_layouts(schema, component)
    for component in alive:
        outcomes += _unknown_in_formulas(schema, component)
        problem = _try(_check_sharing, schema, component) or _try(_assign_compact, schema, pages, component)
        if problem:
            outcomes.append(Outcome("CustomObject", component.name, component.file, problem))
    return outcomes


def _try(work: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> str | None:
    try:
        work(*args, **kwargs)
    except Problem as problem:
        return str(problem)
    return None


def _apply_object(schema: Schema, component: Component, outcome: Outcome) -> None:
    name, root = component.name, component.root
    check_tags(root, "CustomObject", _TAGS)
    known = _owner(schema, name)
    if known is not None and not known.custom:
        outcome.changed = False
        return
    if not name.endswith("__c"):
        raise Problem(
            f"Entity '{name}' is no standard object, and the name of a custom object must end in __c"
        )
    if not API_NAME.fullmatch(schema.local(name)):
        raise Problem(f"The name '{name}' is no API name of a custom object")
    label, plural = _labels(root)
    made = ObjectType(name, label, plural, known.prefix if known else schema.next_prefix(), custom=True)
    made.private = text(root, "sharingModel") == "Private"
    currency = [currency_field()] if schema.multi_currency else []
    kept = [field for field in known.fields.values() if field.custom] if known else []
    for field in [*id_fields(), _name_field(root), *currency, *system_fields(custom=True), *kept]:
        made.add(field)
    outcome.created = known is None
    schema.add(made)


def _labels(root: Element) -> tuple[str, str]:
    """Label and plural, once everything an object must say is there."""
    label, plural = text(root, "label"), text(root, "pluralLabel")
    if not label:
        raise Problem("Must specify a non-empty label for the CustomObject")
    if not plural:
        raise Problem("Must specify a pluralLabel for the CustomObject")
    if (text(root, "deploymentStatus") or "") not in {"Deployed", "InDevelopment"}:
        raise Problem("Required field is missing: deploymentStatus")
    if (text(root, "sharingModel") or "") not in _SHARING:
        raise Problem("Required field is missing: sharingModel")
    return label, plural


def _name_field(root: Element) -> Field:
    element = root.find(NAMESPACE + "nameField")
    kind = text(element, "type") if element is not None else None
    if element is None or kind not in {"Text", "AutoNumber"}:
        raise Problem("Must specify a nameField of type Text or AutoNumber")
    label = text(element, "label")
    if not label:
        raise Problem("Required field is missing: label of the nameField")
    name = Field("Name", "string", label, length=80, name_field=True, id_lookup=True, defaulted=True)
    if kind == "Text":
        return name
    shape = text(element, "displayFormat")
    if not shape or "{0" not in shape:
        raise Problem("Must specify a displayFormat such as A-{0000} for an AutoNumber name")
    return name.changed(auto_number=shape, createable=False, updateable=False, nillable=False)


def _apply_fields(schema: Schema, package: Package, component: Component) -> list[Outcome]:
    owner = _owner(schema, component.name)
    if owner is None:
        return []
    whole = package.names("CustomObject", component.name, wildcard=component.name.endswith("__c"))
    outcomes = []
    seen: set[str] = set()
    for element in children(component.root, "fields"):
        name = text(element, "fullName") or ""
        full_name = f"{component.name}.{name}"
        if not whole and not package.names("CustomField", full_name):
            continue
        outcome = Outcome("CustomField", full_name, component.file)
        if name.lower() in seen:
            outcome.problem = f"Duplicate name: {full_name} is in the package twice"
        else:
            outcome.problem = _try(_apply_field, schema, owner, element, outcome)
        seen.add(name.lower())
        outcomes.append(outcome)
    return outcomes


def _apply_field(schema: Schema, owner: ObjectType, element: Element, outcome: Outcome) -> None:
    name = text(element, "fullName") or ""
    known = owner.field(name)
    if known is not None and not known.custom:
        outcome.changed = False
        return
    made = custom_field(schema, owner, element)
    if owner.name == "Task" and (made.external_id or made.unique):
        raise Problem("Activity fields can not be unique or an external ID")
    if known is not None and known.type != made.type and (known.type, made.type) not in _CONVERTIBLE:
        raise Problem(f"Cannot change type of {owner.name}.{name} from {known.type} to {made.type}")
    outcome.created = known is None
    outcome.changed = known != made
    owner.add(made)


def _unknown_in_formulas(schema: Schema, component: Component) -> list[Outcome]:
    """A formula may name fields that come after it, so that it is checked when all are there."""
    owner = _owner(schema, component.name)
    outcomes = []
    for element in children(component.root, "fields"):
        name, formula = text(element, "fullName") or "", text(element, "formula")
        for missing in unknown_fields(formula, owner) if owner is not None and formula else ():
            problem = f"Formula error: Field {missing} does not exist. Check spelling."
            outcomes.append(Outcome("CustomField", f"{component.name}.{name}", component.file, problem))
    return outcomes


def _check_sharing(schema: Schema, component: Component) -> None:
    owner = schema.get(component.name)
    if owner is None or not owner.custom:
        return
    has_master = any(field.custom and field.cascade and not field.nillable for field in owner.references())
    model = text(component.root, "sharingModel")
    if has_master and model != "ControlledByParent":
        message = (
            f"Cannot set sharingModel to {model} on a CustomObject with a MasterDetail relationship field"
        )
        raise Problem(message)
    if model == "ControlledByParent" and not has_master:
        raise Problem(
            "Cannot set sharingModel to ControlledByParent on a CustomObject without a MasterDetail field"
        )


def _list_views(schema: Schema, pages: Pages, component: Component) -> list[Outcome]:
    owner = _owner(schema, component.name)
    outcomes = []
    for element in children(component.root, "listViews"):
        name = text(element, "fullName") or ""
        outcome = Outcome("ListView", f"{component.name}.{name}", component.file)
        outcome.created = (component.name, name) not in pages.list_views
        if owner is not None:
            outcome.problem = _try(_keep_view, pages, owner, element)
        outcomes.append(outcome)
    return outcomes


def _compact_layouts(schema: Schema, component: Component) -> list[Outcome]:
    owner = _owner(schema, component.name)
    if owner is None:
        return []
    outcomes = []
    for element in children(component.root, "compactLayouts"):
        name = f"{component.name}.{text(element, 'fullName')}"
        problem = _try(_check_compact, owner, element)
        outcomes.append(Outcome("CompactLayout", name, component.file, problem))
    return outcomes


def _check_compact(owner: ObjectType, element: Element) -> None:
    compact_layout(owner, element)


def _assign_compact(schema: Schema, pages: Pages, component: Component) -> None:
    owner = _owner(schema, component.name)
    if owner is not None:
        assign_compact_layout(pages, owner, component.root)


def _keep_view(pages: Pages, owner: ObjectType, element: Element) -> None:
    view = list_view(owner, element)
    pages.list_views[view.object, view.name] = view


def apply_around(schema: Schema, pages: Pages, package: Package) -> list[Outcome]:
    """Layouts, then tabs, then apps, which name tabs; other accepted types have nothing to check here."""
    outcomes = []
    ordered = [component for kind in _CHECKS for component in package.of(kind)]
    ordered += [each for each in package.components if each.type not in {*_CHECKS, *_ELSEWHERE}]
    for component in ordered:
        outcome = Outcome(component.type, component.name, component.file, created=True)
        check = _CHECKS.get(component.type)
        if check is not None:
            outcome.created = component.name not in {*pages.layouts, *pages.tabs, *pages.apps}
            outcome.problem = _try(check, schema, pages, component)
        outcomes.append(outcome)
    return outcomes


_ELSEWHERE = frozenset({"CustomObject", "PermissionSet"})
_CHECKS: dict[str, Callable[[Schema, Pages, Component], None]] = {
    "Layout": add_layout,
    "CustomTab": add_tab,
    "CustomApplication": add_app,
}
