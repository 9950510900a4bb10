"""The script that people write themselves: one deal after another, the SDKs' calls as the guides show them.

No ledger, no check, no batch: what it costs in calls and seconds, beside what `o2c` costs. It stands in for nothing
in particular; it does the same work on the same emulators with the same latencies.
"""

from __future__ import annotations

import time
from typing import Any

import httpx
import requests
import requests.adapters
import stripe
from simple_salesforce.api import Salesforce

from bench.house import Emulators
from bench.table import Row

DEALS = 20


def by_hand(world: Emulators) -> list[Row]:
    """Bill some deals with the script."""
    deals = world.open_deals(DEALS)
    world.win(deals)
    before = world.stripe.next(), world.salesforce.next()
    began = time.perf_counter()
    _script(world)
    seconds = (time.perf_counter() - began) / DEALS
    calls_stripe = len(world.stripe.since(before[0])) / DEALS
    calls_salesforce = len(world.salesforce.since(before[1])) / DEALS
    how = f"{DEALS} deals of 5 lines, one after another, simple-salesforce and stripe as their guides show"
    return [
        Row("by hand: seconds a deal", f"{seconds:.2f} s = {1 / seconds:.2f} deals/s", "", how),
        Row("by hand: Stripe calls a deal", f"{calls_stripe:.1f}", "", "the same; an invoice item a line"),
        Row(
            "by hand: Salesforce calls a deal",
            f"{calls_salesforce:.1f} (200 deals: {calls_salesforce * 200:.0f})",
            "",
            "the same; account, lines and write-back of each deal apart",
        ),
    ]


def _script(world: Emulators) -> None:
    login = _login(world)
    client = stripe.StripeClient("sk_test_emulator", base_addresses={"api": world.urls["stripe"]})
    won = login.query_all(
        "SELECT Id, AccountId FROM Opportunity WHERE StageName = 'Closed Won' AND Stripe_Invoice_Id__c = null"
    )["records"]
    for deal in won:
        _bill(login, client.v1, deal)


class Plain(requests.adapters.HTTPAdapter):
    """simple-salesforce writes https whatever it is told; the emulator speaks http."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        request.url = str(request.url).replace("https://", "http://", 1)
        return super().send(request, *args, **kwargs)


def _login(world: Emulators) -> Any:
    answer = httpx.post(
        f"{world.urls['salesforce']}/services/oauth2/token",
        data={
            "grant_type": "client_credentials",
            "client_id": "emulator-client",
            "client_secret": "emulator-secret",
        },
        trust_env=False,
    ).json()
    session = requests.Session()
    session.trust_env = False
    session.mount("https://", Plain())
    return Salesforce(
        instance_url=world.urls["salesforce"], session_id=answer["access_token"], session=session
    )


def _bill(login: Any, client: Any, deal: dict[str, Any]) -> None:
    account = login.query(f"SELECT Name, Billing_Email__c FROM Account WHERE Id = '{deal['AccountId']}'")
    name, email = account["records"][0]["Name"], account["records"][0]["Billing_Email__c"]
    lines = login.query(
        "SELECT Quantity, Product2.Stripe_Price_Id__c FROM OpportunityLineItem "
        f"WHERE OpportunityId = '{deal['Id']}'"
    )["records"]
    known = client.customers.list(params={"email": email}).data
    customer = known[0] if known else client.customers.create(params={"name": name, "email": email})
    invoice = client.invoices.create(
        params={"customer": customer.id, "collection_method": "send_invoice", "days_until_due": 30}
    )
    for line in lines:
        client.invoice_items.create(
            params={
                "customer": customer.id,
                "invoice": invoice.id,
                "pricing": {"price": line["Product2"]["Stripe_Price_Id__c"]},
                "quantity": int(line["Quantity"]),
            }
        )
    client.invoices.finalize_invoice(invoice.id)
    sent = client.invoices.send_invoice(invoice.id)
    login.Opportunity.update(
        deal["Id"], {"Stripe_Invoice_Id__c": sent.id, "Stripe_Invoice_URL__c": sent.hosted_invoice_url}
    )
