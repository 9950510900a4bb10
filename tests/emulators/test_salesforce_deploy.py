"""Metadata deployments over REST: what a package makes, and what it is refused for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from simple_salesforce.exceptions import SalesforceMalformedRequest, SalesforceResourceNotFound

from tests.emulators.salesforce_client import Client, Emulated, deal, emulated
from tests.emulators.salesforce_package import (
    ACCOUNT_FIELD,
    ALL,
    BILL,
    KEY_FIELD,
    bills_package,
    field_of,
    manifest,
    object_xml,
    permission_set,
    zipped,
)

PATH = "metadata/deployRequest"


@pytest.fixture(scope="module")
def server() -> Iterator[Emulated]:
    with emulated() as running:
        yield running


@pytest.fixture
def emulator(server: Emulated) -> Emulated:
    return server.fresh()


@pytest.fixture
def sf(emulator: Emulated) -> Client:
    return emulator.client()


def send(sf: Client, package: bytes, **options: Any) -> dict[str, Any]:
    """POST the multipart request as Salesforce documents it; answers the created deployment."""
    files = {
        "json": (None, json.dumps({"deployOptions": options}), "application/json"),
        "file": ("deploy.zip", package, "application/zip"),
    }
    headers = {"Authorization": sf.headers["Authorization"]}
    answer = sf.session.post(f"{sf.base_url}{PATH}", files=files, headers=headers, timeout=10)
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


def finished(sf: Client, deploy_id: str) -> dict[str, Any]:
    """Poll until done."""
    while True:
        result = sf.restful(f"{PATH}/{deploy_id}", params={"includeDetails": "true"})["deployResult"]
        if result["done"]:
            return dict(result)


def problems(sf: Client, files: dict[str, str]) -> dict[str, str]:
    """Deploy and answer the problems by component."""
    result = finished(sf, send(sf, zipped(files))["id"])
    failures = result["details"]["componentFailures"]
    assert result["success"] is not bool(failures)
    return {each["fullName"]: each["problem"] for each in failures}


def test_a_deployment_runs_and_makes_fields(emulator: Emulated, sf: Client) -> None:
    created = send(sf, bills_package(), checkOnly=False, rollbackOnError=True)
    assert created["id"].startswith("0Af")
    assert created["deployOptions"]["checkOnly"] is False
    running = sf.restful(f"{PATH}/{created['id']}", params={"includeDetails": "true"})["deployResult"]
    assert (running["status"], running["done"], running["success"]) == ("InProgress", False, False)
    result = finished(sf, created["id"])
    assert (result["status"], result["success"], result["numberComponentErrors"]) == ("Succeeded", True, 0)
    done = {(each["componentType"], each["fullName"]) for each in result["details"]["componentSuccesses"]}
    assert {("CustomObject", "Bill__c"), ("CustomField", "Account.Tag__c"), ("PermissionSet", "Sync")} <= done
    emulator.control("assign", {"permission_set": "Sync"})
    described = {field["name"]: field for field in sf.Bill__c.describe()["fields"]}
    key = described["Key__c"]
    assert (key["type"], key["length"], key["externalId"], key["unique"]) == ("string", 20, True, True)
    assert described["Account__c"]["relationshipName"] == "Account__r"
    assert [value["value"] for value in described["Status__c"]["picklistValues"]] == ["open", "paid"]


def test_a_check_changes_nothing(sf: Client) -> None:
    result = finished(sf, send(sf, bills_package(), checkOnly=True)["id"])
    assert (result["success"], result["checkOnly"]) == (True, True)
    with pytest.raises(SalesforceResourceNotFound):
        sf.Bill__c.describe()
    assert sf.query("SELECT COUNT() FROM PermissionSet")["totalSize"] == 0


def test_fields_stay_unseen_until_a_permission_set_is_assigned(emulator: Emulated, sf: Client) -> None:
    finished(sf, send(sf, bills_package())["id"])
    with pytest.raises(SalesforceMalformedRequest, match="INVALID_FIELD"):
        sf.query("SELECT Tag__c FROM Account")
    with pytest.raises(SalesforceMalformedRequest, match="INVALID_TYPE"):
        sf.query("SELECT Id FROM Bill__c")
    sync = sf.query("SELECT Id FROM PermissionSet WHERE Name = 'Sync'")["records"][0]["Id"]
    user = sf.oauth2("userinfo")["user_id"]
    sf.PermissionSetAssignment.create({"PermissionSetId": sync, "AssigneeId": user})
    assert sf.query("SELECT Tag__c, (SELECT Key__c FROM Bills__r) FROM Account")["totalSize"] == 0
    granted = sf.query("SELECT Field FROM FieldPermissions WHERE PermissionsEdit = true")
    assert granted["totalSize"] == 4


def test_deploying_again_changes_and_keeps_records(emulator: Emulated, sf: Client) -> None:
    finished(sf, send(sf, bills_package())["id"])
    emulator.control("assign", {"permission_set": "Sync"})
    made = sf.Bill__c.create({"Key__c": "a"})["id"]
    result = finished(sf, send(sf, bills_package())["id"])
    assert not any(each["created"] for each in result["details"]["componentSuccesses"])
    assert sf.Bill__c.get(made)["Key__c"] == "a"


def test_a_formula_field_is_read_only_and_computed_when_read(emulator: Emulated, sf: Client) -> None:
    content = "<fullName>Age__c</fullName><label>Age</label><type>Number</type><precision>18</precision>"
    age = field_of(content + "<scale>0</scale><formula>TODAY() - CloseDate</formula>")
    files = {
        "package.xml": manifest(CustomField=["Opportunity.Age__c"], PermissionSet=["Sync"]),
        "objects/Opportunity.object": object_xml(age),
        SET_FILE: permission_set("Opportunity.Age__c"),
    }
    assert problems(sf, files) == {}
    emulator.control("assign", {"permission_set": "Sync"})
    made = emulator.seed(deal(CloseDate="2026-11-10"))["deal"]
    assert sf.query("SELECT Age__c FROM Opportunity WHERE Age__c > 9")["records"][0]["Age__c"] == 10
    assert sf.Opportunity.get(made)["Age__c"] == 10
    values = {"Name": "x", "StageName": "Prospecting", "CloseDate": "2026-12-01", "Age__c": 1}
    with pytest.raises(SalesforceMalformedRequest, match="INVALID_FIELD_FOR_INSERT_UPDATE"):
        sf.Opportunity.create(values)


def test_a_formula_names_fields_that_exist(sf: Client) -> None:
    content = "<fullName>Age__c</fullName><label>Age</label><type>Number</type><precision>18</precision>"
    age = field_of(content + "<scale>0</scale><formula>TODAY() - Nope__c</formula>")
    files = {
        "package.xml": manifest(CustomField=["Opportunity.Age__c"]),
        "objects/Opportunity.object": object_xml(age),
    }
    assert "Field Nope__c does not exist" in problems(sf, files)["Opportunity.Age__c"]


BILL_FILE = "objects/Bill__c.object"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (KEY_FIELD.replace("<label>Key</label>", ""), "Required field is missing: label"),
        (KEY_FIELD.replace("<length>20</length>", ""), "Required field is missing: length"),
        (KEY_FIELD.replace(">20<", ">900<"), "length must be between 1 and 255"),
        (KEY_FIELD.replace("Key__c", "Key"), "ending in __c"),
        (KEY_FIELD.replace("Key__c", "Key__x__c"), "API name"),
        (KEY_FIELD.replace("<type>Text</type>", ""), "Required field is missing: type"),
        (KEY_FIELD.replace("Text", "Texty"), "not a valid value for the enum"),
        (
            KEY_FIELD.replace("externalId", "externalID"),
            "externalID invalid at this location in type CustomField",
        ),
        (KEY_FIELD.replace("<unique>true</unique>", ""), "caseSensitive"),
        (
            ACCOUNT_FIELD.replace("<referenceTo>Account", "<referenceTo>Acount"),
            "does not resolve to a valid sObject",
        ),
        (ACCOUNT_FIELD.replace("Bills", "Contacts__r"), "not a valid relationshipName"),
        (ACCOUNT_FIELD + "<required>true</required>", "SetNull"),
        (ACCOUNT_FIELD.replace("Lookup", "MasterDetail"), "sharingModel"),
        ("<fullName>A__c</fullName><label>A</label><type>Checkbox</type>", "defaultValue"),
        (
            "<fullName>A__c</fullName><label>A</label><type>Currency</type><scale>2</scale>",
            "missing: precision",
        ),
        (
            "<fullName>A__c</fullName><label>A</label><type>LongTextArea</type><length>300</length>",
            "visibleLines",
        ),
        ("<fullName>A__c</fullName><label>A</label><type>Picklist</type>", "valueSet"),
    ],
)
def test_a_broken_field_is_named_with_its_problem(sf: Client, content: str, words: str) -> None:
    files = {
        "package.xml": manifest(CustomObject=["Bill__c"]),
        BILL_FILE: object_xml(BILL + field_of(content)),
    }
    found = problems(sf, files)
    assert len(found) == 1
    assert words in next(iter(found.values()))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("<label>Bill</label><plural", "<plural", "non-empty label"),
        ("<pluralLabel>Bills</pluralLabel>", "", "pluralLabel"),
        ("<type>AutoNumber</type>", "<type>Number</type>", "nameField"),
        ("<displayFormat>B-{0000}</displayFormat>", "", "displayFormat"),
        ("<sharingModel>ReadWrite</sharingModel>", "", "sharingModel"),
        ("<sharingModel>ReadWrite<", "<sharingModel>ControlledByParent<", "without a MasterDetail"),
        ("<deploymentStatus>Deployed</deploymentStatus>", "", "deploymentStatus"),
    ],
)
def test_a_broken_object_is_named_with_its_problem(sf: Client, old: str, new: str, words: str) -> None:
    files = {
        "package.xml": manifest(CustomObject=["Bill__c"]),
        BILL_FILE: object_xml(BILL.replace(old, new, 1)),
    }
    assert words in problems(sf, files)["Bill__c"]


READ = "<allowRead>true</allowRead>"
SET_FILE = "permissionsets/Sync.permissionset"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (permission_set("Account.Nope__c"), "no CustomField named Account.Nope__c found"),
        (permission_set("Account.Name"), "You cannot deploy to a required field: Account.Name"),
        (permission_set(objects={"Nope__c": READ}), "no CustomObject named Nope__c found"),
        (
            permission_set(objects={"Account": "<allowEdit>true</allowEdit>"}),
            "Edit Account depends on permission(s): Read",
        ),
        (
            permission_set(objects={"Opportunity": READ}),
            "Read Opportunity depends on permission(s): Read Account",
        ),
        (permission_set(label=""), "Required field is missing: label"),
    ],
)
def test_a_broken_permission_set_is_refused(sf: Client, content: str, words: str) -> None:
    found = problems(sf, {"package.xml": manifest(PermissionSet=["Sync"]), SET_FILE: content})
    assert words in found["Sync"]


def test_layouts_and_tabs_must_name_what_exists(sf: Client) -> None:
    head = 'xmlns="http://soap.sforce.com/2006/04/metadata"'
    columns = "<layoutColumns><layoutItems><field>{}</field></layoutItems></layoutColumns>"
    section = f"<layoutSections>{columns}<style>OneColumn</style></layoutSections>"
    layout = f"<Layout {head}>{section}</Layout>"
    tab = f"<CustomTab {head}><customObject>true</customObject><motif>Custom1: Heart</motif></CustomTab>"
    files = {
        "package.xml": manifest(
            CustomObject=["Bill__c"], Layout=["Bill__c-Bill Layout"], CustomTab=["Bill__c"]
        ),
        BILL_FILE: object_xml(BILL + field_of(KEY_FIELD)),
        "layouts/Bill__c-Bill Layout.layout": layout.format("Key__c"),
        "tabs/Bill__c.tab": tab,
    }
    assert problems(sf, {**files, "layouts/Bill__c-Bill Layout.layout": layout.format("Nope__c")}) == {
        "Bill__c-Bill Layout": "In field: field - no CustomField named Bill__c.Nope__c found"
    }
    assert problems(sf, files) == {}


def test_manifest_and_zip_must_agree(sf: Client) -> None:
    bill = object_xml(BILL)
    assert problems(sf, {BILL_FILE: bill}) == {"package.xml": "No package.xml found"}
    missing = problems(sf, {"package.xml": manifest(CustomObject=["Bill__c", "Other__c"]), BILL_FILE: bill})
    assert "named in package.xml but not found" in missing["Other__c"]
    unnamed = problems(sf, {"package.xml": manifest(CustomObject=["Other__c"]), BILL_FILE: bill})
    assert "not named in package.xml" in unnamed["Bill__c"]
    twice = object_xml(BILL + field_of(KEY_FIELD) * 2)
    found = problems(sf, {"package.xml": manifest(CustomObject=["Bill__c"]), BILL_FILE: twice})
    assert found == {"Bill__c.Key__c": "Duplicate name: Bill__c.Key__c is in the package twice"}


def test_one_failure_keeps_everything_out(sf: Client) -> None:
    files = {
        "package.xml": manifest(CustomObject=["Bill__c"], PermissionSet=["Sync"]),
        BILL_FILE: object_xml(BILL),
        SET_FILE: permission_set("Bill__c.Nope__c", objects={"Bill__c": ALL}),
    }
    assert set(problems(sf, files)) == {"Sync"}
    assert "Bill__c" not in {each["name"] for each in sf.describe()["sobjects"]}


def test_unknown_deployments_and_options_are_refused(sf: Client) -> None:
    with pytest.raises(SalesforceResourceNotFound):
        sf.restful(f"{PATH}/0AfHs0000000009IAA")
    with pytest.raises(AssertionError, match="Unrecognized field"):
        send(sf, bills_package(), dryRun=True)
