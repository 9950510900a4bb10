"""What people see of the package, as it is declared: layouts, list views, heads of records."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from order_to_cash.cli.package import NAMESPACE, SourcePackage
from order_to_cash.domain.sync.fields import FIELDS

NS = {"m": NAMESPACE}
STRIPE = sorted(name for name in SourcePackage().objects() if name.startswith("Stripe_"))


def texts(element: ElementTree.Element, path: str) -> list[str]:
    return [found.text or "" for found in element.iterfind(path, NS)]


@pytest.fixture(scope="module")
def package() -> SourcePackage:
    return SourcePackage()


def test_every_object_has_a_layout_that_shows_all_its_fields(package: SourcePackage) -> None:
    shown = {name.split("-")[0]: element for name, element in package.layouts().items()}
    for sobject in (*STRIPE, "Account", "Opportunity"):
        on_it = texts(shown[sobject], ".//m:layoutItems/m:field")
        assert set(package.fields()[sobject]) <= set(on_it), sobject


def test_layouts_of_stripe_objects_replace_the_one_that_salesforce_makes(package: SourcePackage) -> None:
    """Salesforce names it after the label; one of another name would be assigned to nobody."""
    for sobject in STRIPE:
        label = package.objects()[sobject].findtext("m:label", "", NS)
        assert f"{sobject}-{label} Layout" in package.layouts()


def test_nobody_types_over_what_stripe_says(package: SourcePackage) -> None:
    written = {name for types in FIELDS.values() for name in types if name.endswith("__c")}
    for name, element in package.layouts().items():
        for item in element.iterfind(".//m:layoutItems", NS):
            if item.findtext("m:field", "", NS) in written:
                assert item.findtext("m:behavior", "", NS) == "Readonly", name


def test_related_lists_show_the_history_and_sort_by_what_they_show(package: SourcePackage) -> None:
    lists = {
        name: texts(element, "m:relatedLists/m:relatedList") for name, element in package.layouts().items()
    }
    account = lists["Account-Stripe Billing"]
    for sobject in STRIPE:
        if "Account__c" in package.fields()[sobject]:
            assert f"{sobject}.Account__c" in account
    invoice = lists["Stripe_Invoice__c-Stripe Invoice Layout"]
    assert {"Stripe_Invoice_Line__c.Invoice__c", "Stripe_Payment__c.Invoice__c"} < set(invoice)
    assert "Stripe_Credit_Note__c.Invoice__c" in invoice
    payment = lists["Stripe_Payment__c-Stripe Payment Layout"]
    assert set(payment) == {"Stripe_Refund__c.Payment__c", "Stripe_Dispute__c.Payment__c"}
    for element in package.layouts().values():
        for related in element.iterfind("m:relatedLists", NS):
            sort = related.findtext("m:sortField", "", NS)
            assert not sort or sort in texts(related, "m:fields")


def test_list_views_filter_by_values_that_the_picklists_have(package: SourcePackage) -> None:
    for sobject, element in package.objects().items():
        fields = {field.findtext("m:fullName", "", NS): field for field in element.iterfind("m:fields", NS)}
        for test in element.iterfind("m:listViews/m:filters", NS):
            field = fields.get(test.findtext("m:field", "", NS))
            if field is not None and field.findtext("m:type", "", NS) == "Picklist":
                values = test.findtext("m:value", "", NS).split(",")
                assert set(values) <= set(texts(field, ".//m:value/m:fullName")), sobject


def test_each_object_has_a_list_of_all(package: SourcePackage) -> None:
    assert all("All" in package.parts("ListView")[sobject] for sobject in STRIPE)


def test_a_record_says_at_its_head_what_it_is(package: SourcePackage) -> None:
    """Names are numbers: the compact layout and the search results tell more."""
    for sobject in STRIPE:
        element = package.objects()[sobject]
        assert texts(element, "m:compactLayouts/m:fullName") == [
            element.findtext("m:compactLayoutAssignment", "", NS)
        ]
        head = texts(element, "m:compactLayouts/m:fields")
        assert head[0] == "Name"
        assert head[1:] == texts(element, "m:searchLayouts/m:searchResultsAdditionalFields")
