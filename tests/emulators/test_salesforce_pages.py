"""Layouts, list views, tabs and apps: what a deployment is refused for, and what a person sees of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from emulators.salesforce.deploy import deploy
from tests.emulators.salesforce_client import Emulated, emulated
from tests.emulators.salesforce_package import (
    ACCOUNT_FIELD,
    ALL,
    BILL,
    KEY_FIELD,
    STATUS_FIELD,
    field_of,
    manifest,
    object_xml,
    permission_set,
    zipped,
)

HEAD = 'xmlns="http://soap.sforce.com/2006/04/metadata"'
TAGS_FIELD = field_of("<fullName>Tag__c</fullName><label>Tag</label><type>Text</type><length>9</length>")
PRIVATE = BILL.replace("ReadWrite", "Private")
LAYOUT, ACCOUNT_LAYOUT = "layouts/Bill__c-Bill Layout.layout", "layouts/Account-Bills.layout"
VIEWS_ALL = ALL + "<viewAllRecords>true</viewAllRecords>"


@pytest.fixture(scope="module")
def server() -> Iterator[Emulated]:
    with emulated() as running:
        yield running


@pytest.fixture
def emulator(server: Emulated) -> Emulated:
    return server.fresh()


def layout(*items: str, related: str = "") -> str:
    """`items` are field names; `!` before one makes it read-only."""
    shown = "".join(
        f"<layoutItems><behavior>{'Readonly' if item[0] == '!' else 'Edit'}</behavior>"
        f"<field>{item.lstrip('!')}</field></layoutItems>"
        for item in items
    )
    columns = f"<layoutColumns>{shown}</layoutColumns><style>OneColumn</style>"
    return f"<Layout {HEAD}><layoutSections><label>Bill</label>{columns}</layoutSections>{related}</Layout>"


def related(name: str, *columns: str) -> str:
    shown = "".join(f"<fields>{column}</fields>" for column in columns)
    return f"<relatedLists>{shown}<relatedList>{name}</relatedList></relatedLists>"


def view(
    column: str = "Key__c", field: str = "Status__c", operation: str = "equals", value: str = "open"
) -> str:
    head = f"<listViews><fullName>Open</fullName><columns>NAME</columns><columns>{column}</columns>"
    test = f"<field>{field}</field><operation>{operation}</operation><value>{value}</value>"
    return (
        f"{head}<filterScope>Everything</filterScope><filters>{test}</filters><label>Open</label></listViews>"
    )


def files(**changed: str) -> dict[str, str]:
    """A package of everything; `changed` replaces a file by its short name."""
    content = {
        "bill_layout": layout("!Name", "Key__c", "Status__c"),
        "account_layout": layout("Name", "Tag__c", related=related("Bill__c.Account__c", "NAME", "Key__c")),
        "view": view(),
        "tab": "Bill__c",
        "app_tab": "Bill__c",
        "set_tab": "Bill__c",
    } | changed
    tab = f"<CustomTab {HEAD}><customObject>true</customObject><motif>Custom1: Heart</motif></CustomTab>"
    app = (
        f"<CustomApplication {HEAD}><label>Bills</label><tabs>{content['app_tab']}</tabs></CustomApplication>"
    )
    fields = "".join(map(field_of, (KEY_FIELD, STATUS_FIELD, ACCOUNT_FIELD)))
    tabs = f"<tabSettings><tab>{content['set_tab']}</tab><visibility>Visible</visibility></tabSettings>"
    granted = ("Bill__c.Key__c", "Bill__c.Status__c", "Bill__c.Account__c", "Account.Tag__c")
    shown = permission_set(*granted, objects={"Bill__c": VIEWS_ALL}, label="All")
    return {
        "package.xml": manifest(
            CustomObject=["Bill__c"],
            CustomField=["Account.Tag__c"],
            Layout=["Bill__c-Bill Layout", "Account-Bills"],
            CustomTab=[content["tab"]],
            CustomApplication=["Bills"],
            PermissionSet=["All", "Some"],
        ),
        "objects/Bill__c.object": object_xml(PRIVATE + fields + content["view"]),
        "objects/Account.object": object_xml(TAGS_FIELD),
        LAYOUT: content["bill_layout"],
        ACCOUNT_LAYOUT: content["account_layout"],
        f"tabs/{content['tab']}.tab": tab,
        "applications/Bills.app": app,
        "permissionsets/All.permissionset": shown.replace("<label>", tabs + "<label>"),
        "permissionsets/Some.permissionset": permission_set("Account.Tag__c", label="Some"),
    }


def problems(emulator: Emulated, package: dict[str, str]) -> dict[str, str]:
    found = deploy(emulator.service.org, zipped(package))
    return {each.name: each.problem for each in found if each.problem}


def look(emulator: Emulated, what: str, **params: str) -> Any:
    answer = requests.get(f"{emulator.url}/_emulator/{what}", params=params, timeout=10)
    assert answer.ok, answer.text
    return answer.json()


def compact(field: str = "Key__c", assigned: str = "Head", searched: str = "Status__c") -> str:
    """A compact layout and what search results show, beside the list view."""
    layouts = f"<fullName>Head</fullName><fields>Name</fields><fields>{field}</fields><label>Head</label>"
    search = f"<searchResultsAdditionalFields>{searched}</searchResultsAdditionalFields>"
    return (
        f"<compactLayouts>{layouts}</compactLayouts>{view()}<searchLayouts>{search}</searchLayouts>"
        f"<compactLayoutAssignment>{assigned}</compactLayoutAssignment>"
    )


REFUSED = [
    ("view", compact(field="Nope__c"), "no CustomField named Bill__c.Nope__c found"),
    ("view", compact(assigned="Nope"), "no CompactLayout named Bill__c.Nope found"),
    ("view", compact(searched="Nope__c"), "Could not resolve list view column: Nope__c"),
    ("bill_layout", layout("!Name", "Nope__c"), "no CustomField named Bill__c.Nope__c found"),
    ("bill_layout", layout("!Name", "!Name"), "Duplicate layout item: Name"),
    ("bill_layout", layout("Name"), "Field Name can only be Readonly in a layout"),
    ("account_layout", layout("Tag__c"), "Layout must contain an item for required layout field: Name"),
    ("account_layout", layout("Name", related=related("Nope__c.Account__c")), "Nope__c.Account__c found"),
    ("account_layout", layout("Name", related=related("Bill__c.Key__c")), "related list:Bill__c.Key__c"),
    (
        "account_layout",
        layout("Name", related=related("Bill__c.Account__c", "Nope__c")),
        "Invalid field:Nope__c in related list:Bill__c.Account__c",
    ),
    ("view", view(column="Nope__c"), "Could not resolve list view column: Nope__c"),
    ("view", view(field="Nope__c"), "Could not resolve list view column: Nope__c"),
    ("view", view(operation="is"), "'is' is not a valid value for the enum 'FilterOperation'"),
    ("tab", "Other__c", "no CustomObject named Other__c found"),
    ("app_tab", "Other__c", "no CustomTab named Other__c found"),
    ("set_tab", "Other__c", "no CustomTab named Other__c found"),
]


@pytest.mark.parametrize(("file", "content", "because"), REFUSED)
def test_what_is_not_there_is_named_and_keeps_everything_out(
    emulator: Emulated, file: str, content: str, because: str
) -> None:
    told = problems(emulator, files(**{file: content}))
    assert any(because in problem for problem in told.values()), told
    assert emulator.service.org.schema.get("Bill__c") is None
    assert emulator.service.org.pages.layouts == {}


def test_a_check_keeps_no_page(emulator: Emulated) -> None:
    found = deploy(emulator.service.org, zipped(files()), check_only=True)
    assert not [each for each in found if each.problem]
    assert look(emulator, "navigation")["layouts"] == []


def test_a_person_sees_what_the_permission_sets_show(emulator: Emulated) -> None:
    assert problems(emulator, files()) == {}
    ids = emulator.seed(
        {"type": "Account", "ref": "acme", "Name": "Acme", "Tag__c": "x"},
        {"type": "Bill__c", "Key__c": "a", "Status__c": "open", "Account__c": "@acme"},
        {"type": "Bill__c", "Key__c": "b", "Status__c": "paid", "Account__c": "@acme"},
    )
    asked = {"object": "Account", "record": ids["acme"]}
    everything = look(emulator, "page", permission_sets="All", **asked)
    assert everything["assigned"] is False, "a layout of a standard object is nobody's until it is assigned"
    shown = {each["name"]: each["value"] for section in everything["sections"] for each in section["fields"]}
    assert shown == {"Name": "Acme", "Tag__c": "x"}
    assert [row["Key__c"] for row in everything["related_lists"][0]["rows"]] == ["a", "b"]

    little = look(emulator, "page", permission_sets="Some", **asked)
    assert little["related_lists"] == [], "no permission for the children"
    nothing = look(emulator, "page", **asked)
    assert [each["name"] for section in nothing["sections"] for each in section["fields"]] == ["Name"]

    listed = look(emulator, "list-view", object="Bill__c", name="Open", permission_sets="All")
    assert [row["Key__c"] for row in listed["rows"]] == ["a"]
    assert look(emulator, "navigation", permission_sets="All")["tabs"] == ["Bill__c"]
    assert look(emulator, "navigation", permission_sets="Some")["tabs"] == []


def test_the_head_of_a_record_is_its_compact_layout(emulator: Emulated) -> None:
    assert problems(emulator, files(view=compact())) == {}
    shown = look(emulator, "page", object="Bill__c", permission_sets="All")["highlights"]
    assert [each["name"] for each in shown] == ["Name", "Key__c"]
    shown = look(emulator, "page", object="Account", layout="Account-Bills")["highlights"]
    assert shown == []


def test_records_of_a_private_object_need_view_all(emulator: Emulated) -> None:
    package = files()
    package["permissionsets/All.permissionset"] = package["permissionsets/All.permissionset"].replace(
        "<viewAllRecords>true</viewAllRecords>", ""
    )
    assert problems(emulator, package) == {}
    ids = emulator.seed(
        {"type": "Account", "ref": "acme", "Name": "Acme"},
        {"type": "Bill__c", "Key__c": "a", "Account__c": "@acme"},
    )
    seen = look(emulator, "page", object="Account", record=ids["acme"], permission_sets="All")
    assert seen["related_lists"][0]["rows"] == []


def test_an_org_with_several_currencies_wants_the_currency_on_its_layouts(emulator: Emulated) -> None:
    emulator.service.settings.patch({"multi_currency": True})
    needed = "Layout must contain an item for required layout field: CurrencyIsoCode"
    assert problems(emulator, files())["Bill__c-Bill Layout"] == needed
