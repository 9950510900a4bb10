"""The real simple-salesforce, routed to an emulator by a requests adapter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
from requests.adapters import HTTPAdapter
from simple_salesforce.api import Salesforce

from emulators.engine import Clock
from emulators.run import running
from emulators.salesforce.service import SalesforceService
from emulators.salesforce.settings import CLIENT_ID, CLIENT_SECRET

DOMAIN = "emulator.my"
API_VERSION = "66.0"
Json = dict[str, Any]
Client = Any  # simple-salesforce makes objects of attribute names: its types see a bulk handler in each


class Emulated:
    """A running emulator: its service, its address, and its control endpoints."""

    def __init__(self, service: SalesforceService, url: str) -> None:
        self.service = service
        self.url = url

    def fresh(self) -> Emulated:
        """As new: no records, default settings."""
        self.service.settings.restore()
        self.service.reset()
        return self

    def control(self, path: str, body: Any = None, method: str = "POST") -> Any:
        """Call `/_emulator/<path>`; bytes are sent as they are."""
        content = {"data": body} if isinstance(body, bytes) else {"json": body}
        answer = requests.request(method, f"{self.url}/_emulator/{path}", timeout=10, **content)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def seed(self, *records: Json, raw: bool = False) -> dict[str, str]:
        """Seed records; answers ref → id."""
        refs: dict[str, str] = self.control("seed", {"records": list(records), "raw": raw})["refs"]
        return refs

    def client(self, **login: Any) -> Client:
        return connect(self.url, **login)


@contextmanager
def emulated() -> Iterator[Emulated]:
    """An emulator at a fixed moment, 2026-11-20 08:00 UTC, a Friday."""
    service = SalesforceService(Clock(datetime(2026, 11, 20, 8, tzinfo=UTC)))
    with running(service) as urls:
        yield Emulated(service, urls["salesforce"])


def deal(ref: str = "deal", **fields: Any) -> Json:
    """A won opportunity to seed."""
    base = {"type": "Opportunity", "ref": ref, "Name": "First order", "StageName": "Closed Won"}
    return {**base, "CloseDate": "2026-11-20", **fields}


def product(ref: str = "widget", price: Any = 100) -> list[Json]:
    """A product and its entry `<ref>-entry` in the standard price book."""
    entry = {"type": "PricebookEntry", "ref": f"{ref}-entry", "Product2Id": f"@{ref}", "IsActive": True}
    return [
        {"type": "Product2", "ref": ref, "Name": ref.title(), "ProductCode": ref.upper(), "IsActive": True},
        {**entry, "Pricebook2Id": "@standard_pricebook", "UnitPrice": price},
    ]


def line(of: str = "@deal", entry: str = "@widget-entry", **fields: Any) -> Json:
    base = {"type": "OpportunityLineItem", "OpportunityId": of, "PricebookEntryId": entry, "Quantity": 1}
    return {**base, **fields}


class RoutingAdapter(HTTPAdapter):
    """Sends `https://….salesforce.com/…` to a local address and keeps the host in its header."""

    def __init__(self, base_url: str) -> None:
        super().__init__()
        self.base = urlsplit(base_url)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        parts = urlsplit(request.url or "")
        request.headers["Host"] = str(parts.netloc)
        request.url = str(urlunsplit((self.base.scheme, self.base.netloc, *parts[2:])))
        return super().send(request, *args, **kwargs)


def routed_session(base_url: str) -> requests.Session:
    session = requests.Session()
    session.mount("https://", RoutingAdapter(base_url))
    return session


def connect(base_url: str, session: requests.Session | None = None, **login: Any) -> Client:
    """Logged in by client credentials unless told otherwise."""
    credentials = login or {"consumer_key": CLIENT_ID, "consumer_secret": CLIENT_SECRET}
    return Salesforce(
        domain=DOMAIN, version=API_VERSION, session=session or routed_session(base_url), **credentials
    )


def content(caught: Any) -> Any:
    """What an org answered, from a caught SalesforceError: parsed JSON, whatever the library's types say."""
    return caught.value.content
