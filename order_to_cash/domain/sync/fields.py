"""Every Salesforce field that the way from Stripe writes, and what it holds. The package declares the same ones.

A type is written as Salesforce's metadata names it, with length or precision in brackets; ``!`` after it marks a
unique External ID, ``?`` an External ID that several records may share, ``>`` what a lookup refers to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

SUBSCRIPTION = "Stripe_Subscription__c"
INVOICE = "Stripe_Invoice__c"
INVOICE_LINE = "Stripe_Invoice_Line__c"
PAYMENT = "Stripe_Payment__c"
REFUND = "Stripe_Refund__c"
CREDIT_NOTE = "Stripe_Credit_Note__c"
DISPUTE = "Stripe_Dispute__c"
PRODUCT = "Product2"
PRICEBOOK_ENTRY = "PricebookEntry"
ACCOUNT = "Account"
CONTACT = "Contact"
OPPORTUNITY = "Opportunity"
CASE = "Case"
TASK = "Task"

SYNCED_AT = "Stripe_Synced_At__c"
KEY = "O2C_Key__c"

_COMMON = {
    "Account__c": "Lookup>Account",
    "Stripe_Customer_Id__c": "Text(255)?",
    "Currency__c": "Text(3)",
    "Stripe_Created_At__c": "DateTime",
    SYNCED_AT: "DateTime",
}
_SUBSCRIPTION = _COMMON | {
    "Stripe_Subscription_Id__c": "Text(255)!",
    "Status__c": "Picklist",  # Stripe's eight
    "Plan__c": "Text(255)",
    "Stripe_Price_Id__c": "Text(255)?",
    "Product__c": "Lookup>Product2",
    "Opportunity__c": "Lookup>Opportunity",
    "Quantity__c": "Number(18,4)",
    "MRR__c": "Currency(18,2)",
    "MRR_Note__c": "Text(255)",
    "Billing_Interval__c": "Picklist",
    "Billing_Interval_Count__c": "Number(4,0)",
    "Billing_Cycle_Anchor__c": "DateTime",
    "Current_Period_Start__c": "DateTime",
    "Current_Period_End__c": "DateTime",
    "Start_Date__c": "DateTime",
    "Trial_End__c": "DateTime",
    "Cancel_At_Period_End__c": "Checkbox",
    "Cancel_At__c": "DateTime",
    "Canceled_At__c": "DateTime",
    "Ended_At__c": "DateTime",
    "Cancellation_Reason__c": "Text(255)",
    "Collection_Method__c": "Picklist",
}
_INVOICE = _COMMON | {
    "Stripe_Invoice_Id__c": "Text(255)!",
    "Invoice_Number__c": "Text(64)",
    "Status__c": "Picklist",  # Stripe's five, and `deleted` for a draft that was deleted
    "Billing_Reason__c": "Text(64)",
    "Subscription__c": "Lookup>Stripe_Subscription__c",
    "Opportunity__c": "Lookup>Opportunity",
    "Collection_Method__c": "Picklist",
    "Subtotal__c": "Currency(18,2)",
    "Tax__c": "Currency(18,2)",
    "Total__c": "Currency(18,2)",
    "Amount_Due__c": "Currency(18,2)",
    "Amount_Paid__c": "Currency(18,2)",
    "Amount_Paid_Off_Stripe__c": "Currency(18,2)",
    "Amount_Overpaid__c": "Currency(18,2)",
    "Amount_Remaining__c": "Currency(18,2)",
    "Attempt_Count__c": "Number(4,0)",
    "Next_Payment_Attempt__c": "DateTime",
    "Failure_Code__c": "Text(64)",
    "Failure_Reason__c": "Text(255)",
    "Due_Date__c": "Date",
    "Finalized_At__c": "DateTime",
    "Exchange_Rate__c": "Number(18,9)",
    "Paid_At__c": "DateTime",
    "Voided_At__c": "DateTime",
    "Period_Start__c": "DateTime",
    "Period_End__c": "DateTime",
    "Hosted_Invoice_URL__c": "Url",
    "Invoice_PDF_URL__c": "Url",
    "Dunning_Step__c": "Text(120)",  # title of the newest step that was taken
    "Dunning_Next_Step_At__c": "DateTime",
}
_INVOICE_LINE = {
    "Stripe_Invoice_Line_Id__c": "Text(255)!",
    "Invoice__c": "Lookup>Stripe_Invoice__c",
    "Product__c": "Lookup>Product2",
    "Stripe_Price_Id__c": "Text(255)?",
    "Plan__c": "Text(255)",
    "Description__c": "LongTextArea(5000)",
    "Quantity__c": "Number(18,4)",
    "Amount__c": "Currency(18,2)",
    "Currency__c": "Text(3)",
    "Proration__c": "Checkbox",
    "Period_Start__c": "DateTime",
    "Period_End__c": "DateTime",
    SYNCED_AT: "DateTime",
}
_PAYMENT = _COMMON | {
    "Stripe_Charge_Id__c": "Text(255)!",  # of a charge
    "Stripe_Payment_Record_Id__c": "Text(255)!",  # of a payment made outside Stripe, which has no charge
    "Stripe_Payment_Intent_Id__c": "Text(255)?",
    "Invoice__c": "Lookup>Stripe_Invoice__c",
    "Status__c": "Picklist",  # succeeded, pending, failed, canceled
    "Amount__c": "Currency(18,2)",
    "Amount_Captured__c": "Currency(18,2)",
    "Amount_Refunded__c": "Currency(18,2)",
    "Out_Of_Band__c": "Checkbox",
    "Disputed__c": "Checkbox",
    "Payment_Method_Type__c": "Text(64)",
    "Card_Brand__c": "Text(64)",
    "Card_Last4__c": "Text(4)",
    "Failure_Code__c": "Text(64)",
    "Failure_Reason__c": "Text(255)",
    "Paid_At__c": "DateTime",
    "Receipt_URL__c": "Url",
}
_REFUND = _COMMON | {
    "Stripe_Refund_Id__c": "Text(255)!",
    "Payment__c": "Lookup>Stripe_Payment__c",
    "Invoice__c": "Lookup>Stripe_Invoice__c",
    "Stripe_Charge_Id__c": "Text(255)?",
    "Status__c": "Picklist",
    "Reason__c": "Picklist",
    "Amount__c": "Currency(18,2)",
    "Failure_Reason__c": "Text(255)",
    "Refunded_At__c": "DateTime",
}
_CREDIT_NOTE = _COMMON | {
    "Stripe_Credit_Note_Id__c": "Text(255)!",
    "Credit_Note_Number__c": "Text(64)",
    "Invoice__c": "Lookup>Stripe_Invoice__c",
    "Status__c": "Picklist",  # issued, void
    "Type__c": "Picklist",  # pre_payment, post_payment, mixed
    "Reason__c": "Picklist",  # duplicate, fraudulent, order_change, product_unsatisfactory
    "Amount__c": "Currency(18,2)",  # with tax
    "Tax__c": "Currency(18,2)",
    "Pre_Payment_Amount__c": "Currency(18,2)",
    "Post_Payment_Amount__c": "Currency(18,2)",
    "Memo__c": "LongTextArea(5000)",
    "Effective_At__c": "DateTime",
    "Voided_At__c": "DateTime",
    "PDF_URL__c": "Url",
}
_DISPUTE = _COMMON | {
    "Stripe_Dispute_Id__c": "Text(255)!",
    "Payment__c": "Lookup>Stripe_Payment__c",
    "Invoice__c": "Lookup>Stripe_Invoice__c",
    "Status__c": "Text(64)",
    "Reason__c": "Text(64)",
    "Amount__c": "Currency(18,2)",
    "Evidence_Due_At__c": "DateTime",
    "Past_Due__c": "Checkbox",
}
_PRODUCT = {
    "Stripe_Product_Id__c": "Text(255)!",
    "Stripe_Price_Id__c": "Text(255)!",
    "Name": "Text(255)",
    "Description": "LongTextArea(4000)",
    "IsActive": "Checkbox",
}
_ACCOUNT = {
    "Stripe_Customer_Id__c": "Text(255)?",
    "Stripe_Payment_Method_Type__c": "Text(64)",  # Stripe's type; `none`: known to have none; empty: not known
    "Stripe_Card_Brand__c": "Text(64)",
    "Stripe_Card_Last4__c": "Text(4)",
    "Stripe_Card_Exp_Month__c": "Number(2,0)",
    "Stripe_Card_Exp_Year__c": "Number(4,0)",
    "Stripe_Card_Expires_On__c": "Date",  # the last day on which it works
    "Stripe_Payment_Health__c": "Picklist",
    "Stripe_Account_Status__c": "Picklist",  # Prospect, Trialing, Active, Payment Overdue, Churned
    "Stripe_Last_Payment_Date__c": "Date",
    "Stripe_Subscription_Count__c": "Number(18,0)",
    "Stripe_MRR__c": "Currency(18,2)",
    "Stripe_MRR_Currency__c": "Text(3)",
    "Stripe_MRR_Other_Currencies__c": "Text(255)",
    "Stripe_Next_Renewal_Date__c": "Date",
    "Payment_Escalated__c": "Checkbox",  # by a ladder; cleared when it ends
}
_OPPORTUNITY = {
    "Stripe_Invoice_Status__c": "Picklist",
    "Stripe_Paid__c": "Checkbox",
    "Paid_Date__c": "Date",
}
_CASE = {KEY: "Text(255)!"}
_TASK = {KEY: "Text(255)"}

FIELDS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        SUBSCRIPTION: _SUBSCRIPTION,
        INVOICE: _INVOICE,
        INVOICE_LINE: _INVOICE_LINE,
        PAYMENT: _PAYMENT,
        REFUND: _REFUND,
        CREDIT_NOTE: _CREDIT_NOTE,
        DISPUTE: _DISPUTE,
        PRODUCT: _PRODUCT,
        ACCOUNT: _ACCOUNT,
        OPPORTUNITY: _OPPORTUNITY,
        CASE: _CASE,
        TASK: _TASK,
    }
)
"""Salesforce object → field → type."""

DECIDED: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        ACCOUNT: {
            "CSM__c": "Lookup>User",
            "Executive_Sponsor__c": "Lookup>User",
            "Dunning_Hold__c": "Checkbox",
            "Dunning_Hold_Until__c": "Date",
            "Dunning_Hold_Reason__c": "Text(255)",
        },
        INVOICE: {"Written_Off__c": "Checkbox"},
    }
)
"""What people decide, by object: read and never written."""

PICKLISTS: Mapping[tuple[str, str], tuple[str, ...]] = MappingProxyType(
    {
        (SUBSCRIPTION, "Status__c"): (
            *("incomplete", "incomplete_expired", "trialing", "active"),
            *("past_due", "unpaid", "canceled", "paused"),
        ),
        (SUBSCRIPTION, "Billing_Interval__c"): ("day", "week", "month", "year"),
        (SUBSCRIPTION, "Collection_Method__c"): ("charge_automatically", "send_invoice"),
        (INVOICE, "Collection_Method__c"): ("charge_automatically", "send_invoice"),
        (INVOICE, "Status__c"): ("draft", "open", "paid", "void", "uncollectible", "deleted"),
        (PAYMENT, "Status__c"): ("succeeded", "pending", "failed", "canceled"),
        (REFUND, "Status__c"): ("pending", "requires_action", "succeeded", "failed", "canceled"),
        (REFUND, "Reason__c"): (
            *("duplicate", "fraudulent", "requested_by_customer", "expired_uncaptured_charge"),
        ),
        (CREDIT_NOTE, "Status__c"): ("issued", "void"),
        (CREDIT_NOTE, "Type__c"): ("pre_payment", "post_payment", "mixed"),
        (CREDIT_NOTE, "Reason__c"): (*("duplicate", "fraudulent", "order_change", "product_unsatisfactory"),),
        (ACCOUNT, "Stripe_Payment_Health__c"): ("Healthy", "At Risk", "Failed", "No Payment Method"),
        (ACCOUNT, "Stripe_Account_Status__c"): (
            *("Prospect", "Trialing", "Active", "Payment Overdue", "Churned"),
        ),
        (OPPORTUNITY, "Stripe_Invoice_Status__c"): ("draft", "open", "paid", "void", "uncollectible"),
    }
)
"""(object, field) → the values of a restricted picklist. What Stripe adds later is a Problem, not an error."""

_LENGTH = re.compile(r"(?:Text|LongTextArea)\((\d+)\)")
_LONGEST_URL = (
    255  # Salesforce's Url fields: https://help.salesforce.com/s/articleView?id=sf.custom_field_types.htm
)


@cache
def longest_text(sobject: str, field: str) -> int | None:
    """How many characters the field holds; None for what is no text."""
    kind = FIELDS[sobject].get(field, "")
    if kind == "Url":
        return _LONGEST_URL
    found = _LENGTH.match(kind)
    return int(found[1]) if found else None
