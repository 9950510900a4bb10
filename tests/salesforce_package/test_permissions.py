"""Who may read and write what, by the permission sets of the package."""

from __future__ import annotations

import pytest

from order_to_cash.cli.field_check import WRITTEN
from order_to_cash.cli.package import SourcePackage
from order_to_cash.domain.policy import FieldNames
from order_to_cash.domain.sync.fields import DECIDED
from tests.salesforce_package.fields import NS, STRIPE_OBJECTS, fields_of, value

# What people decide; o2c reads it and never writes it. (The billing e-mail it writes on Accounts that it makes.)
PEOPLES_FIELDS = {
    *(f"{sobject}.{name}" for sobject, names in DECIDED.items() for name in names),
    "Account.Dunning_Segment__c",
    "Account.Billing_Time_Zone__c",
    "Opportunity.Stripe_Collection_Method__c",
    "Opportunity.Stripe_Days_Until_Due__c",
}


@pytest.fixture(scope="module")
def package() -> SourcePackage:
    return SourcePackage()


def granted_object(sobject: str) -> str:
    """Fields of Activity are granted on Task (and Event)."""
    return "Task" if sobject == "Activity" else sobject


def permissions(package: SourcePackage, name: str) -> dict[str, bool]:
    element = package.permission_sets()[name]
    return {
        value(item, "field"): value(item, "editable") == "true"
        for item in element.findall("m:fieldPermissions", NS)
    }


def test_the_integration_user_may_write_what_is_written_and_nothing_that_people_decide(
    package: SourcePackage,
) -> None:
    names = FieldNames().model_dump()
    written = {f"{sobject}.{names[key]}" for sobject, keys in WRITTEN.items() for key in keys}
    own = {
        f"{granted_object(sobject)}.{name}"
        for sobject in package.objects()
        for name, field in fields_of(package, sobject).items()
        if not value(field, "formula")
    }
    granted = permissions(package, "O2C_Integration")
    editable = {field for field, editable in granted.items() if editable and field.endswith("__c")}
    assert written <= own
    assert editable == own - PEOPLES_FIELDS


def test_the_integration_user_deletes_nothing_and_modifies_no_org_wide_records(
    package: SourcePackage,
) -> None:
    element = package.permission_sets()["O2C_Integration"]
    for item in element.findall("m:objectPermissions", NS):
        assert (value(item, "allowDelete"), value(item, "modifyAllRecords")) == ("false", "false")


def test_the_integration_user_may_read_all_that_the_mapping_names(package: SourcePackage) -> None:
    granted = permissions(package, "O2C_Integration")
    named = {f"{sobject}.{name}" for sobject, names in FieldNames().by_object().items() for name in names}
    assert named <= set(granted)


def test_sales_sees_status_only_and_changes_nothing(package: SourcePackage) -> None:
    granted = permissions(package, "O2C_Sales")
    assert not any(granted.values())
    assert not any(field.startswith("Stripe_") for field in granted), "no transaction object"
    assert "Opportunity.Stripe_Invoice_Status__c" in granted


@pytest.mark.parametrize("name", ["O2C_Finance", "O2C_Customer_Success"])
def test_finance_and_customer_success_read_every_transaction_and_edit_none(
    package: SourcePackage, name: str
) -> None:
    granted = permissions(package, name)
    for sobject in STRIPE_OBJECTS:
        fields = {f"{sobject}.{field}" for field in package.fields()[sobject]}
        assert fields <= set(granted)
        assert not any(granted[field] for field in fields)


def test_who_collects_may_decide_about_reminders_and_nothing_else(package: SourcePackage) -> None:
    granted = permissions(package, "O2C_Collections")
    assert all(granted.values())
    asked = {name for name in PEOPLES_FIELDS if not name.startswith("Opportunity.")} - {"Account.CSM__c"}
    assert set(granted) == asked
    for item in package.permission_sets()["O2C_Collections"].findall("m:objectPermissions", NS):
        assert value(item, "allowEdit") == value(item, "allowRead") == "true"
        for denied in ("allowCreate", "allowDelete", "modifyAllRecords"):
            assert value(item, denied) == "false"


def test_permission_sets_name_only_fields_that_exist_and_none_that_is_required(
    package: SourcePackage,
) -> None:
    own = {
        f"{granted_object(sobject)}.{name}" for sobject, names in package.fields().items() for name in names
    }
    always_visible = {"Opportunity.Name", "Opportunity.StageName", "Opportunity.CloseDate", "Account.Name"}
    for name in package.permission_sets():
        granted = set(permissions(package, name))
        assert {field for field in granted if field.endswith("__c")} <= own
        assert not granted & always_visible, "Salesforce refuses permissions on required fields"
