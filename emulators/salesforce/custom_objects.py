"""Custom objects, their fields and the components around them, applied to a copy of the schema."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec
from xml.etree.ElementTree import Element

from emulators.salesforce.custom_fields import API_NAME, custom_field
from emulators.salesforce.fields import Field, ObjectType
from emulators.salesforce.package import (
    NAMESPACE,
    Component,
    Outcome,
    Package,
    Problem,
    check_tags,
    children,
    flag,
    text,
)
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


def apply_objects(schema: Schema, package: Package) -> list[Outcome]:
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
        outcomes += _list_views(component)
    for component in alive:
        problem = _try(_check_sharing, schema, component)
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
    known = schema.get(name)
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
    owner = schema.objects[component.name.lower()]
    whole = package.names("CustomObject", component.name, wildcard=component.name.endswith("__c"))
    outcomes = []
    seen: set[str] = set()
    for element in children(component.root, "fields"):
        name = text(element, "fullName") or ""
        full_name = f"{owner.name}.{name}"
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
    if known is not None and known.type != made.type:
        raise Problem(f"Cannot change type of {owner.name}.{name} from {known.type} to {made.type}")
    outcome.created = known is None
    outcome.changed = known != made
    owner.add(made)


def _check_sharing(schema: Schema, component: Component) -> None:
    owner = schema.objects[component.name.lower()]
    if not owner.custom:
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


def _list_views(component: Component) -> list[Outcome]:
    outcomes = []
    for element in children(component.root, "listViews"):
        name = f"{component.name}.{text(element, 'fullName')}"
        problem = None if text(element, "label") else "Required field is missing: label"
        outcomes.append(Outcome("ListView", name, component.file, problem))
    return outcomes


def apply_around(schema: Schema, package: Package) -> list[Outcome]:
    """Layouts and tabs are checked for what they name; other accepted types have nothing to check here."""
    outcomes = []
    for component in package.components:
        if component.type in {"CustomObject", "PermissionSet"}:
            continue
        outcome = Outcome(component.type, component.name, component.file, created=True)
        check = _CHECKS.get(component.type)
        if check is not None:
            outcome.problem = _try(check, schema, component)
        outcomes.append(outcome)
    return outcomes


def _layout(schema: Schema, component: Component) -> None:
    owner_name, separator, _ = component.name.partition("-")
    owner = schema.get(owner_name)
    if owner is None or not separator:
        raise Problem(f"In field: layout - no CustomObject named {owner_name} found")
    for element in component.root.iter(NAMESPACE + "layoutItems"):
        field = text(element, "field")
        if field and field.endswith("__c") and owner.field(field) is None:
            raise Problem(f"In field: field - no CustomField named {owner.name}.{field} found")


def _tab(schema: Schema, component: Component) -> None:
    owner = schema.get(component.name)
    if flag(component.root, "customObject") and (owner is None or not owner.custom):
        raise Problem(f"In field: customObject - no CustomObject named {component.name} found")
    if text(component.root, "motif") is None:
        raise Problem("Required field is missing: motif")


_CHECKS: dict[str, Callable[[Schema, Component], None]] = {"Layout": _layout, "CustomTab": _tab}
