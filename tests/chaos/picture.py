"""All that Salesforce shows of Stripe, in a form in which two orgs can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.world import World

# The field that names a record wherever it is: Stripe's id, or the key of what happened.
NAMED_BY = {
    "Account": "Stripe_Customer_Id__c",
    "Stripe_Subscription__c": "Stripe_Subscription_Id__c",
    "Stripe_Invoice__c": "Stripe_Invoice_Id__c",
    "Stripe_Invoice_Line__c": "Stripe_Invoice_Line_Id__c",
    "Stripe_Payment__c": "Stripe_Charge_Id__c",
    "Stripe_Refund__c": "Stripe_Refund_Id__c",
    "Stripe_Credit_Note__c": "Stripe_Credit_Note_Id__c",
    "Stripe_Dispute__c": "Stripe_Dispute_Id__c",
    "Case": "O2C_Key__c",
    "Task": "O2C_Key__c",
}
_POINTED_TO = {"Product2": "Stripe_Product_Id__c"}
_OUT_OF_BAND = "Stripe_Payment_Record_Id__c"
# What each write changes, what the org or the calendar gives, and texts that were true when they were written.
_OWN = frozenset(
    """
    Id Name CaseNumber attributes Description Subject Stripe_Synced_At__c Stripe_Days_Since_Last_Payment__c
    CreatedDate LastModifiedDate SystemModstamp LastActivityDate LastReferencedDate LastViewedDate CompletedDateTime
    """.split()  # noqa: SIM905 — twenty names in quotes are no easier to read
)
Picture = Mapping[tuple[str, str], Mapping[str, Any]]


def picture(world: World) -> Picture:
    """(object, name) → fields; lookups as the name of what they point to. A name that is there twice fails."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    names: dict[str, str] = {}
    for sobject, field in {**NAMED_BY, **_POINTED_TO}.items():
        found = world.control("salesforce", f"records?type={sobject}", method="GET")["records"]
        for row in found:
            name = str(row.get(field) or row.get(_OUT_OF_BAND) or row["Id"])
            names[row["Id"]] = name
            if sobject in NAMED_BY:
                assert (sobject, name) not in rows, f"two {sobject} of {name}"
                rows[sobject, name] = row
    return {key: _bare(row, names) for key, row in rows.items()}


def _bare(row: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {
        field: names.get(value, value) if isinstance(value, str) else value
        for field, value in row.items()
        if field not in _OWN
    }


def differences(left: Picture, right: Picture) -> dict[str, Any]:
    """What one shows and the other does not: at most ten records."""
    keys = [key for key in {**left, **right} if left.get(key) != right.get(key)]
    told: dict[str, Any] = {}
    for key in keys[:10]:
        one, other = left.get(key), right.get(key)
        if one is None or other is None:
            told[" ".join(key)] = "is missing in the " + ("first" if one is None else "second")
        else:
            told[" ".join(key)] = {
                field: (one.get(field), other.get(field))
                for field in {**one, **other}
                if one.get(field) != other.get(field)
            }
    return told
