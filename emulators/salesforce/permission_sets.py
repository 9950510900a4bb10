"""Permission sets: their grants become the rows that field-level security reads."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from emulators.salesforce.org import Org
from emulators.salesforce.package import (
    Component,
    Outcome,
    Package,
    Problem,
    check_tags,
    children,
    flag,
    text,
)
from emulators.salesforce.pages import Pages
from emulators.salesforce.schema import Schema

_TAGS = frozenset(
    """
    fullName label description license hasActivationRequired fieldPermissions objectPermissions
    tabSettings userPermissions applicationVisibilities classAccesses customMetadataTypeAccesses
    customPermissions customSettingAccesses externalCredentialPrincipalAccesses
    externalDataSourceAccesses flowAccesses pageAccesses recordTypeVisibilities
    """.split()  # noqa: SIM905 - a list of forty names reads better as text
)
_OBJECT_FLAGS = {
    "allowCreate": "PermissionsCreate",
    "allowRead": "PermissionsRead",
    "allowEdit": "PermissionsEdit",
    "allowDelete": "PermissionsDelete",
    "viewAllRecords": "PermissionsViewAllRecords",
    "modifyAllRecords": "PermissionsModifyAllRecords",
}
_NEEDS = {
    "allowCreate": ("allowRead",),
    "allowEdit": ("allowRead",),
    "allowDelete": ("allowRead", "allowEdit"),
    "viewAllRecords": ("allowRead",),
    "modifyAllRecords": ("allowRead", "allowEdit", "allowDelete", "viewAllRecords"),
}
_USER_PERMISSIONS = frozenset({"ApiEnabled", "EditEvent", "EditTask", "RunReports", "ViewSetup"})
# Reading these needs reading accounts, in the same permission set.
_BELOW_ACCOUNT = ("Contact", "Opportunity")


def apply_permission_sets(org: Org, schema: Schema, pages: Pages, package: Package) -> list[Outcome]:
    """Write the permission sets' rows; the caller undoes them when the deployment fails."""
    outcomes = []
    for component in package.of("PermissionSet"):
        outcome = Outcome("PermissionSet", component.name, component.file)
        try:
            _apply(org, schema, component, outcome)
            pages.granted[component.name] = _shown(pages, component.root)
        except Problem as problem:
            outcome.problem = str(problem)
        outcomes.append(outcome)
    return outcomes


def _apply(org: Org, schema: Schema, component: Component, outcome: Outcome) -> None:
    root = component.root
    check_tags(root, "PermissionSet", _TAGS)
    label = text(root, "label")
    if not label:
        raise Problem("Required field is missing: label")
    fields = [_field_grant(schema, element) for element in children(root, "fieldPermissions")]
    objects = [_object_grant(schema, element) for element in children(root, "objectPermissions")]
    _check_parents(schema, dict(objects))
    found = [r for r in org.store.rows("PermissionSet").values() if r["Name"] == component.name]
    live = [row for row in found if not row["IsDeleted"]]
    outcome.created = not live
    if live:
        set_id = str(live[0]["Id"])
        _clear(org, set_id)
    else:
        set_id = org.insert("PermissionSet", {"Name": component.name, "Label": label, "IsCustom": True})
    for field, readable, editable in fields:
        grant = {"ParentId": set_id, "SobjectType": field.partition(".")[0], "Field": field}
        org.insert("FieldPermissions", grant | {"PermissionsRead": readable, "PermissionsEdit": editable})
    for name, grants in objects:
        row = {_OBJECT_FLAGS[key]: key in grants for key in _OBJECT_FLAGS}
        org.insert("ObjectPermissions", {"ParentId": set_id, "SobjectType": name} | row)


def _shown(pages: Pages, root: Element) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The tabs and apps that the set shows; both must be there."""
    tabs, apps = [], []
    for element in children(root, "tabSettings"):
        tab, visibility = text(element, "tab") or "", text(element, "visibility")
        if tab not in pages.tabs and not tab.startswith("standard-"):
            raise Problem(f"In field: tab - no CustomTab named {tab} found")
        if visibility not in {"Available", "None", "Visible"}:
            raise Problem(f"'{visibility}' is not a valid value for the enum 'PermissionSetTabVisibility'")
        tabs += [tab] if visibility != "None" else []
    for element in children(root, "applicationVisibilities"):
        app = text(element, "application") or ""
        if app not in pages.apps and not app.startswith("standard__"):
            raise Problem(f"In field: application - no CustomApplication named {app} found")
        apps += [app] if flag(element, "visible") else []
    for element in children(root, "userPermissions"):
        if text(element, "name") not in _USER_PERMISSIONS:
            raise Problem(f"Unknown user permission: {text(element, 'name')}")
    return tuple(tabs), tuple(apps)


def _clear(org: Org, set_id: str) -> None:
    for table in ("FieldPermissions", "ObjectPermissions"):
        for row in list(org.store.rows(table).values()):
            if row["ParentId"] == set_id and not row["IsDeleted"]:
                org.store.put(table, row | {"IsDeleted": True}, "deleted")


def _field_grant(schema: Schema, element: Element) -> tuple[str, bool, bool]:
    wanted = text(element, "field") or ""
    owner_name, _, name = wanted.partition(".")
    owner = schema.get(owner_name)
    field = owner.field(name) if owner else None
    if owner is None or field is None:
        raise Problem(f"In field: field - no CustomField named {wanted} found")
    if field.system and field.type != "address":  # an address is granted as a whole
        raise Problem(f"You cannot deploy to a required field: {wanted}")
    readable, editable = flag(element, "readable"), flag(element, "editable")
    if editable and not readable:
        raise Problem(f"Field {wanted}: editable needs readable")
    return f"{owner.name}.{field.name}", readable, editable


def _object_grant(schema: Schema, element: Element) -> tuple[str, set[str]]:
    wanted = text(element, "object") or ""
    owner = schema.get(wanted)
    if owner is None:
        raise Problem(f"In field: object - no CustomObject named {wanted} found")
    grants = {name for name in _OBJECT_FLAGS if flag(element, name)}
    for grant in sorted(grants):
        lacking = [need for need in _NEEDS.get(grant, ()) if need not in grants]
        if lacking:
            needed = ", ".join(f"{_word(need)} {owner.name}" for need in lacking)
            raise Problem(f"Permission {_word(grant)} {owner.name} depends on permission(s): {needed}")
    return owner.name, grants


def _word(grant: str) -> str:
    return {"viewAllRecords": "View All", "modifyAllRecords": "Modify All"}.get(grant) or grant.removeprefix(
        "allow"
    )


def _check_parents(schema: Schema, granted: dict[str, set[str]]) -> None:
    """Reading a detail object needs reading its master."""
    for name, grants in granted.items():
        item = schema.objects[name.lower()]
        masters = [f.references[0] for f in item.references() if f.custom and f.cascade and not f.nillable]
        if name in _BELOW_ACCOUNT:
            masters.append("Account")
        for master in masters:
            if "allowRead" in grants and "allowRead" not in granted.get(master, set()):
                raise Problem(f"Permission Read {name} depends on permission(s): Read {master}")
