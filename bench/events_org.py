"""A lean Salesforce for the benchmark of events: `python -m bench.events_org` prints its address.

It answers logins, queries and writes of the REST API with the same delays as the emulator, keeps what was written as
far as queries ask for it, and a journal of rows and moments. No schema, no rights, no rules: those cost the emulator
processor time that is wanted by what is measured. All contenders call this one.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import orjson

from emulators.engine.server import address, listen

CALL_SECONDS, RECORD_SECONDS, AT_ONCE = 0.2, 0.005, 25
DAILY_CALLS = 10_000_000  # the day's share is another figure: `python -m bench budget`
CUSTOMER = "cus_bench{:06d}"
_SELECT = re.compile(r"SELECT (?P<names>.+?) FROM (?P<object>\w+)(?: WHERE (?P<where>.*))?", re.DOTALL)
_TEXTS = re.compile(r"'([^']*)'")
_OPEN = {"Stripe_Invoice__c": ("open", "uncollectible"), "Stripe_Payment__c": ("succeeded",)}
Record = dict[str, Any]
Answer = tuple[int, Any]


def account_id(customer: str) -> str:
    """The Account of one of the benchmark's customers."""
    return f"001{int(customer[-6:]):015d}"


class Org:
    """Records by object and External ID, and the journal. `synced` of a row: what its `Stripe_Synced_At__c` says."""

    def __init__(self) -> None:
        self._records: defaultdict[str, dict[str, Record]] = defaultdict(dict)
        self._below: defaultdict[str, defaultdict[str, dict[str, Record]]] = defaultdict(
            lambda: defaultdict(dict)
        )
        self.clear()

    def clear(self) -> None:
        """Empty the journal; records stay."""
        self.kinds: Counter[str] = Counter()
        self.rows: list[tuple[str, str, str, float]] = []  # object, External ID or Id, synced, answered

    def write(self, sobject: str, external_id: str, records: Iterable[Record]) -> list[Record]:
        """Upsert, or update by `id`, or insert where neither is given; one result a record."""
        now = time.time()
        results = []
        held = self._records[sobject]
        for record in records:
            value = str(record.get(external_id) or record.get("id") or f"new{len(held)}")
            known = held.get(value)
            if known is None:
                known = held[value] = {"Id": value if "id" in record else f"a0{len(held):016d}"}
            known.update(record)
            if account := record.get("Account__c"):
                self._below[account][sobject][value] = known
            self.rows.append((sobject, value, str(record.get("Stripe_Synced_At__c", "")), now))
            results.append({"id": known["Id"], "success": True, "created": False, "errors": []})
        return results

    def query(self, soql: str) -> list[Record]:
        """The records that the product and its rivals ask for; nothing for anything else."""
        found = _SELECT.match(soql)
        if found is None:
            return []
        names, sobject, where = found["names"].split(", "), found["object"], found["where"] or ""
        field, _, values = where.partition(" ")
        wanted = _TEXTS.findall(values.partition(") AND ")[0])
        rows = self._rows(sobject, field, wanted)
        if "GROUP BY Account__c" in soql:
            return [{"Account__c": row["Account__c"], "last": row.get("Paid_At__c")} for row in rows]
        return [_shown(row, names) for row in rows]

    def _rows(self, sobject: str, field: str, wanted: list[str]) -> list[Record]:
        if sobject == "Organization":
            return [{"Id": "00D000000000001AAA"}]
        if sobject == "Account" and field in {"Id", "Stripe_Customer_Id__c"}:
            ids = [value if field == "Id" else account_id(value) for value in wanted]
            return [self._account(each) for each in ids]
        if sobject == "Product2":
            return [{"Id": f"01t{7:015d}", field: value} for value in wanted]
        if field == "Account__c":
            states = _OPEN.get(sobject)
            below = [row for each in wanted for row in self._below[each][sobject].values()]
            return [row for row in below if states is None or row.get("Status__c") in states]
        return [self._records[sobject][value] for value in wanted if value in self._records[sobject]]

    def _account(self, record_id: str) -> Record:
        number = int(record_id[3:])
        own = {"Id": record_id, "Name": f"Company {number}", "Stripe_Customer_Id__c": CUSTOMER.format(number)}
        owner = {"OwnerId": "005000000000001AAA", "Owner": {"Name": "Ada Owner", "IsActive": True}}
        return {**own, **owner, **self._records["Account"].get(record_id, {})}


def _shown(row: Record, names: Iterable[str]) -> Record:
    shown: Record = {}
    for name in names:
        top, _, inner = name.partition(".")
        if inner:
            parent = row.get(top)
            shown[top] = {**(shown.get(top) or {}), inner: parent.get(inner)} if parent else None
        else:
            shown[name] = row.get(name)
    return shown


class Desk:
    """Takes requests, lets as many as are allowed in, and answers after their delay."""

    def __init__(self, org: Org) -> None:
        self.org = org
        self._inside = 0
        self._queue: deque[tuple[float, Callable[[], None]]] = deque()

    def admit(self, delay: float, answer: Callable[[], None]) -> None:
        if self._inside >= AT_ONCE:
            self._queue.append((delay, answer))
            return
        self._inside += 1
        asyncio.get_running_loop().call_later(delay, self._leave, answer)

    def _leave(self, answer: Callable[[], None]) -> None:
        answer()
        self._inside -= 1
        if self._queue:
            self.admit(*self._queue.popleft())


class Connection(asyncio.Protocol):
    """HTTP/1.1 as the contenders' clients speak it: a body has its length, one request at a time."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._read = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, end, rest = self._read.partition(b"\r\n\r\n")
        if not end:
            return
        size = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        length = int(size[1]) if size else 0
        if len(rest) < length:
            return
        self._read = b""
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        self._handle(method, target, rest[:length])

    def _handle(self, method: str, target: str, body: bytes) -> None:
        parts = urlsplit(target)
        path = unquote(parts.path)
        org = self._desk.org
        if path.endswith("/oauth2/token"):
            here = {"access_token": "00D!bench", "instance_url": sys.argv[-1], "token_type": "Bearer"}
            self._answer(200, {**here, "issued_at": str(int(time.time() * 1000))})
        elif path == "/_bench/journal":
            said = {"kinds": org.kinds, "rows": org.rows, "cpu": time.process_time()}
            self._answer(200, said)
            if method == "POST":
                org.clear()
        else:
            records, act = _asked(org, method, path.split("/", 4)[-1], parts.query, body)
            self._desk.admit(CALL_SECONDS + RECORD_SECONDS * records, lambda: self._answer(*act()))

    def _answer(self, status: int, body: Any) -> None:
        content = orjson.dumps(body)
        used = self._desk.org.kinds.total()
        head = (
            f"HTTP/1.1 {status} OK\r\ncontent-type: application/json;charset=UTF-8\r\n"
            f"content-length: {len(content)}\r\nsforce-limit-info: api-usage={used}/{DAILY_CALLS}\r\n\r\n"
        )
        if self._transport is not None:
            self._transport.write(head.encode() + content)


def _page(rows: list[Record]) -> Record:
    return {"httpStatusCode": 200, "body": {"totalSize": len(rows), "done": True, "records": rows}}


def _asked(org: Org, method: str, path: str, query: str, body: bytes) -> tuple[int, Callable[[], Answer]]:
    """How many records a request writes, and what answers it. `path` is below `/services/data/vNN.0/`."""
    if method == "GET":
        soql = parse_qs(query).get("q", [""])[0]
        found = _SELECT.match(soql)
        org.kinds[f"query {found['object']}" if found else f"GET {path}"] += 1

        def read() -> Answer:
            rows = org.query(soql)
            return 200, {"totalSize": len(rows), "done": True, "records": rows}

        return 0, read
    said = orjson.loads(body)
    if path == "composite":
        if said["compositeRequest"][0]["method"] == "PATCH":
            return _written_together(org, said["compositeRequest"])
        texts = [parse_qs(urlsplit(one["url"]).query)["q"][0] for one in said["compositeRequest"]]
        org.kinds[f"query {len(texts)} together"] += 1
        return 0, lambda: (200, {"compositeResponse": [_page(org.query(text)) for text in texts]})
    words = path.split("/")
    if words[0] == "sobjects":  # sobjects/X/External_Id__c/value
        org.kinds[f"write {words[1]}"] += 1
        one = {**said, words[2]: words[3]}
        return 1, lambda: (200, org.write(words[1], words[2], [one])[0])
    records = said["records"]
    sobject = words[2] if len(words) > 2 else records[0]["attributes"]["type"]
    org.kinds[f"write {sobject}"] += 1
    return len(records), lambda: (200, org.write(sobject, words[3] if len(words) > 3 else "", records))


def _written_together(org: Org, asked: list[Record]) -> tuple[int, Callable[[], Answer]]:
    org.kinds[f"write {len(asked)} together"] += 1

    def act() -> Answer:
        answers = []
        for one in asked:
            *_, sobject, external_id = one["url"].split("/")
            records = one["body"]["records"]
            if external_id == "sobjects":  # by Id, their object in each
                sobject, external_id = records[0]["attributes"]["type"], ""
            body = org.write(sobject, external_id, records)
            answers.append({"httpStatusCode": 200, "body": body})
        return 200, {"compositeResponse": answers}

    return sum(len(one["body"]["records"]) for one in asked), act


async def main() -> None:
    """Serve until the process is ended."""
    listener = listen("127.0.0.1", 0)
    url = address(listener)
    sys.argv.append(url)
    desk = Desk(Org())
    server = await asyncio.get_running_loop().create_server(lambda: Connection(desk), sock=listener)
    print(url, flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
