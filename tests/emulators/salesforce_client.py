"""The real simple-salesforce, routed to an emulator by a requests adapter."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
from requests.adapters import HTTPAdapter
from simple_salesforce.api import Salesforce

from emulators.salesforce.settings import CLIENT_ID, CLIENT_SECRET

DOMAIN = "emulator.my"
API_VERSION = "66.0"


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


def connect(base_url: str, session: requests.Session | None = None, **login: Any) -> Salesforce:
    """Logged in by client credentials unless told otherwise."""
    credentials = login or {"consumer_key": CLIENT_ID, "consumer_secret": CLIENT_SECRET}
    return Salesforce(
        domain=DOMAIN, version=API_VERSION, session=session or routed_session(base_url), **credentials
    )
