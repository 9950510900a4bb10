"""The package against the mapping that names its fields, and against the rules of the Metadata API."""

from __future__ import annotations

import io
import tomllib
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

from order_to_cash.cli.doctor import WRITTEN
from order_to_cash.cli.package import NAMESPACE, Component, SourcePackage, source_root
from order_to_cash.domain.errors import ConfigurationError
from order_to_cash.domain.policy import FieldNames

NS = {"m": NAMESPACE}
STRIPE_OBJECTS = {
    "Stripe_Subscription__c": "Stripe_Subscription_Id__c",
    "Stripe_Invoice__c": "Stripe_Invoice_Id__c",
    "Stripe_Invoice_Line__c": "Stripe_Invoice_Line_Id__c",
    "Stripe_Payment__c": "Stripe_Charge_Id__c",
    "Stripe_Refund__c": "Stripe_Refund_Id__c",
}


@pytest.fixture(scope="module")
def package() -> SourcePackage:
    return SourcePackage()


def fields_of(package: SourcePackage, sobject: str) -> dict[str, ElementTree.Element]:
    element = package.objects()[sobject]
    return {field.findtext("m:fullName", "", NS): field for field in element.findall("m:fields", NS)}


def value(element: ElementTree.Element, tag: str) -> str:
    return element.findtext(f"m:{tag}", "", NS)


def test_every_field_that_the_mapping_names_is_in_the_package(package: SourcePackage) -> None:
    for sobject, names in FieldNames().by_object().items():
        assert set(names) <= set(package.fields()[sobject])


def test_every_field_on_the_deal_and_the_product_is_one_that_the_mapping_names(
    package: SourcePackage,
) -> None:
    named = FieldNames().by_object()
    assert set(package.fields()["Opportunity"]) == set(named["Opportunity"])
    assert set(package.fields()["Product2"]) == set(named["Product2"])


@pytest.mark.parametrize(
    ("sobject", "own_id"), [*STRIPE_OBJECTS.items(), ("Account", "Stripe_Customer_Id__c")]
)
def test_a_stripe_id_is_a_unique_case_sensitive_external_id(
    package: SourcePackage, sobject: str, own_id: str
) -> None:
    field = fields_of(package, sobject)[own_id]
    told = {tag: value(field, tag) for tag in ("type", "length", "externalId", "unique", "caseSensitive")}
    assert told == {
        "type": "Text",
        "length": "255",
        "externalId": "true",
        "unique": "true",
        "caseSensitive": "true",
    }


def test_the_deal_carries_at_most_one_invoice_and_one_subscription(package: SourcePackage) -> None:
    deal = fields_of(package, "Opportunity")
    for name in ("Stripe_Invoice_Id__c", "Stripe_Subscription_Id__c"):
        assert (value(deal[name], "externalId"), value(deal[name], "unique")) == ("true", "true")
    assert value(deal["Stripe_Customer_Id__c"], "unique") == "false", "several deals share a customer"


def test_the_account_has_the_roll_ups(package: SourcePackage) -> None:
    account = fields_of(package, "Account")
    health = [item.text for item in account["Stripe_Payment_Health__c"].iterfind(".//m:value/m:fullName", NS)]
    assert health == ["Healthy", "At Risk", "Failed", "No Payment Method"]
    kinds = {name: value(field, "type") for name, field in account.items()}
    assert kinds["Stripe_MRR__c"] == "Currency"
    assert kinds["Stripe_Subscription_Count__c"] == "Number"
    assert kinds["Stripe_Next_Renewal_Date__c"] == kinds["Stripe_Last_Payment_Date__c"] == "Date"


REQUIRED_TAGS = {
    "Text": {"length"},
    "Picklist": {"valueSet"},
    "Currency": {"precision", "scale"},
    "Number": {"precision", "scale"},
    "Checkbox": {"defaultValue"},
    "Lookup": {"referenceTo", "relationshipName", "deleteConstraint"},
}


def test_fields_have_the_tags_that_their_type_needs(package: SourcePackage) -> None:
    for sobject in package.objects():
        for name, field in fields_of(package, sobject).items():
            tags = {child.tag.removeprefix(f"{{{NAMESPACE}}}") for child in field}
            missing = REQUIRED_TAGS.get(value(field, "type"), set()) - tags
            assert not missing, f"{sobject}.{name}"
            assert {"label", "type", "description"} <= tags, f"{sobject}.{name}"
            assert len(value(field, "label")) <= 40, "Salesforce takes 40 characters"
            assert len(name.removesuffix("__c")) <= 40, "Salesforce takes 40 characters"


def test_picklists_are_restricted_and_lookups_point_at_known_objects(package: SourcePackage) -> None:
    known = {*package.objects(), "User"}
    for sobject in package.objects():
        for name, field in fields_of(package, sobject).items():
            if value(field, "type") == "Picklist":
                assert field.findtext("m:valueSet/m:restricted", "", NS) == "true", f"{sobject}.{name}"
            if value(field, "type") == "Lookup":
                assert value(field, "referenceTo") in known, f"{sobject}.{name}"


def test_child_relationship_names_are_unique_on_each_parent(package: SourcePackage) -> None:
    seen: set[tuple[str, str]] = set()
    for sobject in package.objects():
        for field in fields_of(package, sobject).values():
            if value(field, "type") == "Lookup":
                key = (value(field, "referenceTo"), value(field, "relationshipName"))
                assert key not in seen
                seen.add(key)


def permissions(package: SourcePackage, name: str) -> dict[str, bool]:
    element = package.permission_sets()[name]
    return {
        value(item, "field"): value(item, "editable") == "true"
        for item in element.findall("m:fieldPermissions", NS)
    }


def test_the_integration_user_may_write_exactly_what_is_written(package: SourcePackage) -> None:
    names = FieldNames().model_dump()
    expected = {f"{sobject}.{names[key]}" for sobject, keys in WRITTEN.items() for key in keys}
    granted = permissions(package, "O2C_Integration")
    assert {field for field, editable in granted.items() if editable} == expected


def test_the_integration_user_may_read_all_that_the_mapping_names(package: SourcePackage) -> None:
    granted = permissions(package, "O2C_Integration")
    named = {f"{sobject}.{name}" for sobject, names in FieldNames().by_object().items() for name in names}
    assert named <= set(granted)


def test_sales_sees_status_only_and_changes_nothing(package: SourcePackage) -> None:
    granted = permissions(package, "O2C_Sales")
    assert not any(granted.values())
    assert not any(field.startswith("Stripe_") for field in granted), "no transaction object"
    assert "Opportunity.Stripe_Invoice_Status__c" in granted


def test_finance_reads_every_transaction_and_edits_none(package: SourcePackage) -> None:
    granted = permissions(package, "O2C_Finance")
    for sobject in STRIPE_OBJECTS:
        fields = {f"{sobject}.{name}" for name in package.fields()[sobject]}
        assert fields <= set(granted)
        assert not any(granted[field] for field in fields)


def test_permission_sets_name_only_fields_that_exist_and_none_that_is_required(
    package: SourcePackage,
) -> None:
    own = {f"{sobject}.{name}" for sobject, names in package.fields().items() for name in names}
    always_visible = {"Opportunity.Name", "Opportunity.StageName", "Opportunity.CloseDate", "Account.Name"}
    for name in package.permission_sets():
        granted = set(permissions(package, name))
        assert {field for field in granted if field.endswith("__c")} <= own
        assert not granted & always_visible, "Salesforce refuses permissions on required fields"


def test_the_zip_is_the_same_bytes_every_time_and_complete(package: SourcePackage) -> None:
    first = package.zip_bytes()
    assert first == SourcePackage().zip_bytes()
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        names = archive.namelist()
        manifest = ElementTree.fromstring(archive.read("package.xml"))
        for name in names:
            ElementTree.fromstring(archive.read(name))
    listed = {
        Component(value(types, "name"), member.text or "")
        for types in manifest.findall("m:types", NS)
        for member in types.findall("m:members", NS)
    }
    assert listed == set(package.components())
    assert set(names) == {
        "package.xml",
        *(f"objects/{name}.object" for name in package.objects()),
        *(f"permissionsets/{name}.permissionset" for name in package.permission_sets()),
    }


def test_a_missing_or_broken_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not where it is installed"):
        SourcePackage(tmp_path)
    broken = tmp_path / "force-app/main/default/objects/Account/fields"
    broken.mkdir(parents=True)
    (broken / "Odd__c.field-meta.xml").write_text("<CustomField>")
    with pytest.raises(ConfigurationError, match=r"Odd__c\.field-meta\.xml"):
        SourcePackage(tmp_path).objects()


def test_the_source_is_shipped_with_the_program() -> None:
    project = tomllib.loads((source_root().parent / "pyproject.toml").read_text(encoding="utf-8"))
    assert source_root().name in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
