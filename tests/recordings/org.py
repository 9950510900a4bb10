"""An emulated org that recorded requests are sent to again, and the comparison of answers by shape."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import requests

from emulators.salesforce.settings import CLIENT_ID, CLIENT_SECRET
from tests.recordings.wheel import Recorded

VERSION = "v62.0"
_ID = re.compile(r"\b00[136D][A-Za-z0-9]{15}\b")
_ORGANIZATION = "SELECT Id FROM Organization"


class EmulatedOrg:
    """Sends REST requests with a session of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        form = {"grant_type": "client_credentials", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
        token = requests.post(f"{url}/services/oauth2/token", form, timeout=10).json()["access_token"]
        self.headers = {"Authorization": f"Bearer {token}"}
        self._known: dict[str, str] = {}
        deal = {"StageName": "Prospecting", "CloseDate": "2026-12-31"}
        self.stand_ins: dict[str, Callable[[], str]] = {
            "001": lambda: self._seed_one(type="Account", Name="Stand-in"),
            "003": lambda: self._seed_one(type="Contact", LastName="Stand-in"),
            "006": lambda: self._seed_one(type="Opportunity", Name="Stand-in", **deal),
            "00D": lambda: str(self.send("GET", "/query", {"q": _ORGANIZATION}).json()["records"][0]["Id"]),
        }

    def send(self, method: str, path: str, query: dict[str, str] | None = None, body: Any = None) -> Any:
        """The answer as a `requests.Response`."""
        address = f"{self.url}/services/data/{VERSION}{path}"
        return requests.request(method, address, params=query, json=body, headers=self.headers, timeout=10)

    def repeat(self, recorded: Recorded) -> Any:
        """Send a recorded request; a record that it names gets a stand-in here, of the same object."""
        sent = json.dumps(recorded.sent).replace("/data/vxx.0/", f"/data/{VERSION}/")
        body = json.loads(_ID.sub(self._stand_in, sent))
        query = {name: _ID.sub(self._stand_in, value) for name, value in recorded.query.items()}
        path = _ID.sub(self._stand_in, recorded.path)
        return self.send(recorded.method, path, query, body)

    def _stand_in(self, match: re.Match[str]) -> str:
        theirs = match[0]
        if theirs not in self._known:
            self._known[theirs] = self.stand_ins[theirs[:3]]()
        return self._known[theirs]

    def _seed_one(self, **record: Any) -> str:
        return str(self.seed([record])["ids"][0])

    def seed(self, records: list[dict[str, Any]]) -> dict[str, Any]:
        answer = requests.post(f"{self.url}/_emulator/seed", json={"records": records}, timeout=10)
        assert answer.status_code == 200, answer.text
        seeded: dict[str, Any] = answer.json()
        return seeded


def kind(value: Any) -> str:
    """JSON's type of a value; numbers are one type, as JSON has it."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return {str: "string", list: "list", dict: "object", type(None): "null"}[type(value)]


def difference(theirs: Any, ours: Any, where: str = "") -> list[str]:
    """Where the shapes differ: other keys, or other types where neither is null. Lists: by first item."""
    if theirs is None or ours is None:
        return []
    if kind(theirs) != kind(ours):
        return [f"{where}: a real org says {kind(theirs)}, the emulator {kind(ours)}"]
    if isinstance(theirs, dict):
        found = [f"{where}: only a real org has {key}" for key in theirs.keys() - ours.keys()]
        found += [f"{where}: only the emulator has {key}" for key in ours.keys() - theirs.keys()]
        for key in theirs.keys() & ours.keys():
            found += difference(theirs[key], ours[key], f"{where}.{key}")
        return sorted(found)
    if isinstance(theirs, list) and theirs and ours:
        return difference(theirs[0], ours[0], f"{where}[0]")
    return []
