"""Every reason why a deal is not billed: its code, the Salesforce field to look at, and what to do."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from order_to_cash.domain.errors import AmbiguousCustomer
from order_to_cash.domain.records import Problem


class Reason(StrEnum):
    """The `code` of a Problem. Stable: people filter and automate by it."""

    NOT_FOUND = "not_found"
    STAGE_NOT_WON = "stage_not_won"
    EXCLUDED_TYPE = "excluded_type"
    CLOSED_BEFORE_GO_LIVE = "closed_before_go_live"
    ALREADY_BILLED = "already_billed"
    EDITED_AFTER_BILLING = "edited_after_billing"
    NEEDS_APPROVAL = "needs_approval"
    INVOICE_VOIDED = "invoice_voided"
    NEEDS_SUBSCRIPTION = "needs_subscription"
    ACCOUNT_MISSING = "account_missing"
    CUSTOMER_NAME_MISSING = "customer_name_missing"
    CUSTOMER_NAME_TOO_LONG = "customer_name_too_long"
    CUSTOMER_AMBIGUOUS = "customer_ambiguous"
    BILLING_EMAIL_MISSING = "billing_email_missing"
    BILLING_EMAIL_MALFORMED = "billing_email_malformed"
    BILLING_EMAIL_CONFLICT = "billing_email_conflict"
    BILLING_COUNTRY_UNKNOWN = "billing_country_unknown"
    CURRENCY_UNKNOWN = "currency_unknown"
    AMOUNT_MISSING = "amount_missing"
    AMOUNT_ZERO = "amount_zero"
    AMOUNT_NEGATIVE = "amount_negative"
    AMOUNT_NOT_EXACT = "amount_not_exact"
    NO_LINES = "no_lines"
    TOO_MANY_LINES = "too_many_lines"
    LINES_DO_NOT_ADD_UP = "lines_do_not_add_up"
    NEGATIVE_LINE = "negative_line"
    QUANTITY_NOT_POSITIVE = "quantity_not_positive"
    PRICE_MISSING = "price_missing"
    PRICE_UNKNOWN = "price_unknown"
    PRICE_CURRENCY_MISMATCH = "price_currency_mismatch"
    COLLECTION_METHOD_UNKNOWN = "collection_method_unknown"
    DAYS_UNTIL_DUE_INVALID = "days_until_due_invalid"
    RECORD_UNREADABLE = "record_unreadable"


class _Advice(NamedTuple):
    field: str
    remedy: str


_ADVICE: dict[Reason, _Advice] = {
    Reason.NOT_FOUND: _Advice(
        "Id", "Copy the id from the opportunity's address; see that the integration user may read the record."
    ),
    Reason.STAGE_NOT_WON: _Advice("StageName", "Nothing to do, or set the stage that the policy bills."),
    Reason.EXCLUDED_TYPE: _Advice("Type", "Nothing to do, or change the deal's type."),
    Reason.CLOSED_BEFORE_GO_LIVE: _Advice(
        "CloseDate", "Nothing to do: it was billed the old way. Otherwise correct the close date."
    ),
    Reason.ALREADY_BILLED: _Advice(
        "Stripe_Invoice_Id__c", "Nothing to do. To bill a change, credit the invoice and win a new deal."
    ),
    Reason.EDITED_AFTER_BILLING: _Advice(
        "Amount",
        "Compare the deal with its invoice. To bill the difference, credit the invoice and win a new deal.",
    ),
    Reason.NEEDS_APPROVAL: _Advice(
        "Amount",
        "Bill it by the form of won-deals, or by o2c bill ID --mode apply --approved-by NAME, with an approver's name.",
    ),
    Reason.INVOICE_VOIDED: _Advice(
        "Stripe_Invoice_Id__c",
        "To bill it anew: o2c bill ID --mode apply --approved-by NAME, or the form of won-deals with an approver.",
    ),
    Reason.NEEDS_SUBSCRIPTION: _Advice(
        "OpportunityLineItems",
        "Create the subscription in Stripe by hand, or remove the recurring products.",
    ),
    Reason.ACCOUNT_MISSING: _Advice("AccountId", "Set the deal's Account: the former was deleted or merged."),
    Reason.CUSTOMER_NAME_MISSING: _Advice("Account.Name", "Fill in the Account's name."),
    Reason.CUSTOMER_NAME_TOO_LONG: _Advice("Account.Name", "Shorten the Account's name to 256 characters."),
    Reason.CUSTOMER_AMBIGUOUS: _Advice("Account.Stripe_Customer_Id__c", AmbiguousCustomer.default_remedy),
    Reason.BILLING_EMAIL_MISSING: _Advice(
        "Account.Billing_Email__c",
        "Fill in the Account's billing e-mail, or the e-mail of the deal's primary contact.",
    ),
    Reason.BILLING_EMAIL_MALFORMED: _Advice(
        "Account.Billing_Email__c", "Correct it to exactly one address, such as billing@company.com."
    ),
    Reason.BILLING_EMAIL_CONFLICT: _Advice(
        "Account.Billing_Email__c", "Fill in the Account's billing e-mail: it says who gets its invoices."
    ),
    Reason.BILLING_COUNTRY_UNKNOWN: _Advice(
        "Account.BillingCountry", "Write the country's usual name or its two-letter code, such as DE."
    ),
    Reason.CURRENCY_UNKNOWN: _Advice("CurrencyIsoCode", "Set the deal's currency to one of Stripe's."),
    Reason.AMOUNT_MISSING: _Advice("Amount", "Fill in the deal's amount."),
    Reason.AMOUNT_ZERO: _Advice("Amount", "Nothing to bill. Otherwise correct the amount and the lines."),
    Reason.AMOUNT_NEGATIVE: _Advice("Amount", "Issue a credit note in Stripe for money that is owed back."),
    Reason.AMOUNT_NOT_EXACT: _Advice("Amount", "Round the amounts to what the currency allows."),
    Reason.NO_LINES: _Advice("OpportunityLineItems", "Add the products that were sold."),
    Reason.TOO_MANY_LINES: _Advice("OpportunityLineItems", "Split the deal: a Stripe invoice has 250 lines."),
    Reason.LINES_DO_NOT_ADD_UP: _Advice(
        "Amount", "Make the deal's amount and the total of its lines agree; neither is guessed."
    ),
    Reason.NEGATIVE_LINE: _Advice("OpportunityLineItems", "Let the discounts stay below what is sold."),
    Reason.QUANTITY_NOT_POSITIVE: _Advice("Quantity", "Correct the line's quantity, or delete the line."),
    Reason.PRICE_MISSING: _Advice("Product2.Stripe_Price_Id__c", "Fill in the product's Stripe price."),
    Reason.PRICE_UNKNOWN: _Advice(
        "Product2.Stripe_Price_Id__c", "Fill in the id of an active price of this Stripe account."
    ),
    Reason.PRICE_CURRENCY_MISMATCH: _Advice(
        "Product2.Stripe_Price_Id__c", "Add the deal's currency to the price in Stripe, or use another price."
    ),
    Reason.COLLECTION_METHOD_UNKNOWN: _Advice(
        "Stripe_Collection_Method__c", "Use charge_automatically or send_invoice, or leave it empty."
    ),
    Reason.DAYS_UNTIL_DUE_INVALID: _Advice(
        "Stripe_Days_Until_Due__c", "Use a whole number of days from 0 to 3650, or leave it empty."
    ),
    Reason.RECORD_UNREADABLE: _Advice("Id", "Compare the record with the field names in the billing policy."),
}


def problem(reason: Reason, message: str, *, field: str = "") -> Problem:
    """A Problem with the reason's usual field and remedy. `message` carries no personal data."""
    advice = _ADVICE[reason]
    return Problem(code=reason.value, field=field or advice.field, message=message, remedy=advice.remedy)


def advice(reason: Reason) -> str:
    """What to do about it."""
    return _ADVICE[reason].remedy
