"""The package against the mapping that names its fields, and against the rules of the Metadata API."""

from __future__ import annotations

import io
import tomllib
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

from order_to_cash.cli.field_check import wanted
from order_to_cash.cli.package import NAMESPACE, Component, SourcePackage, source_root
from order_to_cash.domain.errors import ConfigurationError
from order_to_cash.domain.policy import FieldNames
from order_to_cash.domain.sync.fields import DECIDED, FIELDS, PICKLISTS
from tests.salesforce_package.fields import NS, STRIPE_OBJECTS, fields_of, value


@pytest.fixture(scope="module")
def package() -> SourcePackage:
    return SourcePackage()


def test_every_field_that_the_mapping_names_is_in_the_package(package: SourcePackage) -> None:
    for sobject, names in FieldNames().by_object().items():
        assert set(names) <= set(package.fields()[sobject])


# Several products of Salesforce may be sold as one of Stripe, so that its ids are not unique there. An Account
# has one customer; that several Accounts share one is not provided for.
OTHERWISE = {
    ("Product2", "Stripe_Product_Id__c"): "Text(255)?",
    ("Product2", "Stripe_Price_Id__c"): "Text(255)?",
    ("Account", "Stripe_Customer_Id__c"): "Text(255)!",
}


def declared(field: ElementTree.Element) -> str:
    """A field's type as `domain/sync/fields.py` writes it."""
    kind = value(field, "type")
    if kind in {"Text", "LongTextArea"}:
        kind += f"({value(field, 'length')})"
    elif kind in {"Number", "Currency"}:
        kind += f"({value(field, 'precision')},{value(field, 'scale')})"
    elif kind == "Lookup":
        kind += f">{value(field, 'referenceTo')}"
    if value(field, "unique") == "true":
        return kind + "!"
    return kind + "?" * (value(field, "externalId") == "true")


def test_the_fields_that_are_read_and_written_are_declared_so(package: SourcePackage) -> None:
    for sobject, types in [*FIELDS.items(), *DECIDED.items()]:
        fields = fields_of(package, "Activity" if sobject == "Task" else sobject)
        for name, kind in types.items():
            if name.endswith("__c"):
                assert declared(fields[name]) == OTHERWISE.get((sobject, name), kind), f"{sobject}.{name}"


def test_picklists_hold_the_values_that_are_written(package: SourcePackage) -> None:
    for (sobject, name), values in PICKLISTS.items():
        field = fields_of(package, sobject)[name]
        held = [item.text for item in field.iterfind(".//m:value/m:fullName", NS)]
        assert set(values) == set(held), f"{sobject}.{name}"


@pytest.mark.parametrize(
    ("sobject", "own_id"),
    [*STRIPE_OBJECTS.items(), ("Account", "Stripe_Customer_Id__c"), ("Case", "O2C_Key__c")],
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


def test_the_doctor_asks_for_fields_by_the_organisations_names() -> None:
    fields = wanted(FieldNames(account_customer_id="Cus__c"))["Account"]
    assert "Cus__c" in fields.written
    assert "Stripe_Customer_Id__c" not in fields.names
    assert "Stripe_MRR__c" in fields.written
    assert "Billing_Email__c" not in fields.written


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
        *(f"layouts/{name}.layout" for name in package.layouts()),
        *(f"permissionsets/{name}.permissionset" for name in package.permission_sets()),
        *(f"tabs/{each.name}.tab" for each in listed if each.kind == "CustomTab"),
        "applications/Stripe_Billing.app",
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
