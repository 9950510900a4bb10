"""Fields of the package, as it declares them."""

from __future__ import annotations

from xml.etree import ElementTree

from order_to_cash.cli.package import NAMESPACE, SourcePackage

NS = {"m": NAMESPACE}
STRIPE_OBJECTS = {
    "Stripe_Subscription__c": "Stripe_Subscription_Id__c",
    "Stripe_Invoice__c": "Stripe_Invoice_Id__c",
    "Stripe_Invoice_Line__c": "Stripe_Invoice_Line_Id__c",
    "Stripe_Payment__c": "Stripe_Charge_Id__c",
    "Stripe_Refund__c": "Stripe_Refund_Id__c",
    "Stripe_Credit_Note__c": "Stripe_Credit_Note_Id__c",
    "Stripe_Dispute__c": "Stripe_Dispute_Id__c",
}


def fields_of(package: SourcePackage, sobject: str) -> dict[str, ElementTree.Element]:
    element = package.objects()[sobject]
    return {field.findtext("m:fullName", "", NS): field for field in element.findall("m:fields", NS)}


def value(element: ElementTree.Element, tag: str) -> str:
    return element.findtext(f"m:{tag}", "", NS)
