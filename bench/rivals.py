"""The handlers that people write themselves: `python -m bench.rivals plain|strong SALESFORCE_URL` prints its port.

Both check the signature with Stripe's SDK, do their work and then answer, as their guides show. They keep nothing, so
that what fails is Stripe's to send again; they check nothing, roll nothing up and tell nobody.

plain: FastAPI and simple-salesforce in FastAPI's threads: look for the Account, then upsert. 2 calls an event.
strong: asyncio and httpx, 25 calls in flight, the Account named by its External ID. 1 call an event.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Any

import httpx
import requests
import stripe
from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from simple_salesforce.api import Salesforce

from bench.by_hand import Plain
from bench.events_org import AT_ONCE
from bench.events_sender import SECRET
from order_to_cash.receiver.serve import ReceiverServer, listen

_OBJECTS = {
    "subscription": ("Stripe_Subscription__c", "Stripe_Subscription_Id__c"),
    "invoice": ("Stripe_Invoice__c", "Stripe_Invoice_Id__c"),
    "charge": ("Stripe_Payment__c", "Stripe_Charge_Id__c"),
}
_VERSION = "66.0"


def _record(about: Any) -> dict[str, Any]:
    """Some fields, as one would begin."""
    made = {"Status__c": about["status"], "Currency__c": about["currency"].upper()}
    if about["object"] == "invoice":
        made |= {"Total__c": about["total"] / 100, "Amount_Paid__c": about["amount_paid"] / 100}
        made["Invoice_Number__c"] = about["number"]
    elif about["object"] == "charge":
        made |= {"Amount__c": about["amount"] / 100}
    return made


def plain(org_url: str) -> FastAPI:
    """See above."""
    app = FastAPI()
    session = requests.Session()
    session.trust_env = False
    session.mount("https://", Plain(pool_maxsize=AT_ONCE))
    org = Salesforce(instance_url=org_url, session_id=_token(org_url), session=session, version=_VERSION)

    def show(event: stripe.Event) -> None:
        about = event.data.object
        sobject, external_id = _OBJECTS[about["object"]]
        accounts = org.query(f"SELECT Id FROM Account WHERE Stripe_Customer_Id__c = '{about['customer']}'")
        record = {**_record(about), "Account__c": accounts["records"][0]["Id"]}
        getattr(org, sobject).upsert(f"{external_id}/{about['id']}", record)

    @app.post("/stripe/webhook")
    async def webhook(request: Request) -> Response:
        event = stripe.Webhook.construct_event(
            await request.body(), request.headers["stripe-signature"], SECRET
        )
        await run_in_threadpool(show, event)
        return Response()

    return app


def strong(org_url: str) -> FastAPI:
    """See above."""
    app = FastAPI()
    limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
    client = httpx.AsyncClient(base_url=org_url, limits=limits, timeout=60, trust_env=False)
    client.headers["Authorization"] = f"Bearer {_token(org_url)}"

    @app.post("/stripe/webhook")
    async def webhook(request: Request) -> Response:
        event = stripe.Webhook.construct_event(
            await request.body(), request.headers["stripe-signature"], SECRET
        )
        about = event.data.object
        sobject, external_id = _OBJECTS[about["object"]]
        record = {**_record(about), "Account__r": {"Stripe_Customer_Id__c": about["customer"]}}
        path = f"/services/data/v{_VERSION}/sobjects/{sobject}/{external_id}/{about['id']}"
        (await client.patch(path, json=record)).raise_for_status()
        return Response()

    return app


def _token(org_url: str) -> str:
    answer = httpx.post(f"{org_url}/services/oauth2/token", trust_env=False)
    token: str = answer.json()["access_token"]
    return token


async def _serve(app: FastAPI) -> None:
    with listen("127.0.0.1", 0) as listener:
        server = ReceiverServer(app, listener)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.stop)
        await server.serve(on_start=lambda: print(listener.getsockname()[1], flush=True))


if __name__ == "__main__":
    asyncio.run(_serve({"plain": plain, "strong": strong}[sys.argv[1]](sys.argv[2])))
