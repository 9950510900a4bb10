"""Deals, prices and raw Salesforce rows for the tests of the domain."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from order_to_cash.domain.policy import BillingRules
from order_to_cash.domain.records import Address, BillTo, DealLine, StripeCustomer, StripePrice, WonDeal

OPPORTUNITY = "006000000000001AAA"
ACCOUNT = "001000000000001AAA"
OWNER = "005000000000001AAA"
GO_LIVE = date(2026, 11, 1)
MODSTAMP = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)

RULES = BillingRules(bill_deals_closed_on_or_after=GO_LIVE)

CATALOGUE = {
    "price_seat": StripePrice(
        price_id="price_seat",
        product_id="prod_seat",
        product_name="Seat",
        unit_amounts={"usd": 1000, "eur": 900, "jpy": 1500, "isk": 140000},
    ),
    "price_day": StripePrice(
        price_id="price_day", product_id="prod_day", product_name="Day", unit_amounts={"usd": 120000}
    ),
    "price_monthly": StripePrice(
        price_id="price_monthly", product_id="prod_plan", recurring=True, unit_amounts={"usd": 4900}
    ),
    "price_retired": StripePrice(
        price_id="price_retired", product_id="prod_old", active=False, unit_amounts={"usd": 100}
    ),
}


def line(
    quantity: str = "10", total: str = "100", price: str = "price_seat", number: int = 1, **other: Any
) -> DealLine:
    units = Decimal(quantity)
    return DealLine.model_validate(
        {
            "line_id": f"00k{number:012d}AAA",
            "product_id": f"01t{number:012d}AAA",
            "product_name": "Seat",
            "quantity": units,
            "unit_price": Decimal(total) / units if units else Decimal(0),
            "total": Decimal(total),
            "stripe_price_id": price,
            **other,
        }
    )


def bill_to(**other: Any) -> BillTo:
    return BillTo.model_validate(
        {
            "account_id": ACCOUNT,
            "name": "Northwind Traders",
            "email": "billing@northwind.example",
            "billing_address": Address(line1="Main Street 1", city="Springfield", country="US"),
            **other,
        }
    )


def deal(*lines: DealLine, account: BillTo | None = None, **other: Any) -> WonDeal:
    """A deal fit to be billed: 10 seats at list price, unless told otherwise."""
    chosen = lines or (line(),)
    return WonDeal.model_validate(
        {
            "opportunity_id": OPPORTUNITY,
            "name": "Northwind seats",
            "account": account or bill_to(),
            "amount": sum((one.total for one in chosen), Decimal(0)),
            "currency": "USD",
            "close_date": date(2026, 11, 15),
            "stage_name": "Closed Won",
            "owner_id": OWNER,
            "owner_name": "Sales Desk",
            "lead_source": "Web",
            "lines": chosen,
            "system_modstamp": MODSTAMP,
            **other,
        }
    )


def customer(customer_id: str = "cus_1", **other: Any) -> StripeCustomer:
    return StripeCustomer.model_validate({"customer_id": customer_id, **other})


def raw_deal(**other: Any) -> dict[str, Any]:
    """An Opportunity as the REST API answers it."""
    return {
        "Id": OPPORTUNITY,
        "Name": "Northwind seats",
        "Amount": 100.0,
        "CloseDate": "2026-11-15",
        "StageName": "Closed Won",
        "Type": None,
        "LeadSource": "Web",
        "SystemModstamp": "2026-11-20T09:30:00.000+0000",
        "OwnerId": OWNER,
        "Owner": {"Name": "Sales Desk"},
        "AccountId": ACCOUNT,
        "Account": raw_account(),
        "Stripe_Invoice_Id__c": None,
        "Stripe_Collection_Method__c": None,
        "Stripe_Days_Until_Due__c": None,
        **other,
    }


def raw_account(**other: Any) -> dict[str, Any]:
    return {
        "Name": "Northwind Traders",
        "OwnerId": OWNER,
        "BillingStreet": "Main Street 1\r\nFloor 2",
        "BillingCity": "Springfield",
        "BillingState": "IL",
        "BillingPostalCode": "62701",
        "BillingCountry": " United States ",
        "ShippingStreet": None,
        "ShippingCity": None,
        "ShippingState": None,
        "ShippingPostalCode": None,
        "ShippingCountry": None,
        "Billing_Email__c": " billing@northwind.example ",
        "Stripe_Customer_Id__c": None,
        **other,
    }


def raw_line(**other: Any) -> dict[str, Any]:
    return {
        "Id": "00k000000000001AAA",
        "OpportunityId": OPPORTUNITY,
        "Product2Id": "01t000000000001AAA",
        "Product2": {"Name": "Seat", "ProductCode": "S-1", "Stripe_Price_Id__c": "price_seat"},
        "Description": None,
        "Quantity": 10.0,
        "UnitPrice": 10.0,
        "TotalPrice": 100.0,
        **other,
    }
