"""Whatever arrives on the socket: no 5xx, nothing stored, and the receiver lives."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from order_to_cash.domain.clock import FixedClock
from order_to_cash.domain.records import Environment
from order_to_cash.ledger.ledger import Ledger
from order_to_cash.receiver.app import SALESFORCE_PATH, STRIPE_PATH
from tests.receiver.serving import NOW, NUDGE_SECRET, QUICK, Served, body_of, event, serving, signed, stored

EXAMPLES = 120
BODY = body_of(event())
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")


@pytest.fixture(scope="module")
def fuzzed(template: Path) -> Iterator[tuple[Served, Ledger]]:
    clock = FixedClock(NOW)
    url = f"sqlite:///{template.with_name('fuzzed.db')}"
    with Ledger.open(url, clock=clock, environment=Environment.TEST) as ledger:
        ledger.migrate()
        with serving(ledger, clock, limits=QUICK) as served:
            yield served, ledger


def exchanged(served: Served, pieces: list[bytes]) -> bytes:
    """What the receiver says to these pieces until it hangs up or has said enough."""
    said = b""
    with served.connect() as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
            connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65536):
                said += piece
        except OSError:
            pass  # it had hung up already
    return said


def assert_well(said: bytes, served: Served) -> None:
    assert not [status for status in STATUS.findall(said) if status.startswith(b"5")], said
    assert served.get("/healthz").status == 200


LINES = st.sampled_from(
    [
        f"POST {STRIPE_PATH} HTTP/1.1",
        f"POST {SALESFORCE_PATH} HTTP/1.1",
        f"POST {STRIPE_PATH} HTTP/1.0",
        f"POST {STRIPE_PATH}?a=%00%ff HTTP/1.1",
        "GET /readyz HTTP/1.1",
        "HEAD /metrics HTTP/1.1",
        "POST //stripe/webhook HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "CONNECT a:80 HTTP/1.1",
        "PRI * HTTP/2.0",
        "GET /%ff%00 HTTP/1.1",
        "GET http://[::1 HTTP/1.1",
        "BREW / HTTP/9.9",
    ]
).map(str.encode) | st.binary(max_size=40)
HEADERS = st.sampled_from(
    [
        "host: a",
        "host: a\r\nhost: b",
        f"stripe-signature: {signed(BODY)}",
        f"stripe-signature: {signed(b'')}",
        "stripe-signature: t=,v1=",
        f"authorization: Bearer {NUDGE_SECRET}",
        "content-length: 0",
        "content-length: 10",
        "content-length: -1",
        "content-length: 1, 2",
        f"content-length: {'9' * 30}",
        "transfer-encoding: chunked",
        "transfer-encoding: gzip, chunked",
        "content-encoding: gzip",
        "expect: 100-continue",
        "connection: upgrade\r\nupgrade: websocket",
        "connection: upgrade, http2-settings\r\nupgrade: h2c",
        "connection: close",
        "folded: a\r\n b",
        ": nameless",
        "x: \x00",
    ]
).map(str.encode) | st.binary(max_size=40)
BODIES = st.sampled_from(
    [BODY, b"", b"{}", b"5\r\nhello\r\n0\r\n\r\n", b"ffffffffffffffffff\r\n", b"0\r\n\r\n", b"-1\r\n"]
) | st.binary(max_size=100)
REQUESTS = st.builds(
    lambda line, headers, body: b"\r\n".join([line, *headers, b"", body]),
    LINES,
    st.lists(HEADERS, max_size=6),
    BODIES,
)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(REQUESTS | st.binary(max_size=200), min_size=1, max_size=3))
@example([b"GET /\xff HTTP/1.1\r\nhost: a\r\n\r\n"])
@example([b"GET / HTTP/1.1\r\nhost: a\r\n\r\n" * 50])
@example([b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"])  # a TLS client
def test_any_bytes_at_all(fuzzed: tuple[Served, Ledger], pieces: list[bytes]) -> None:
    served, ledger = fuzzed
    assert_well(exchanged(served, pieces), served)
    assert [one for one in stored(ledger) if one != "evt_1"] == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.dictionaries(
    st.sampled_from(
        [
            "id",
            "object",
            "type",
            "created",
            "livemode",
            "account",
            "context",
            "data",
            "api_version",
            "related_object",
        ]
    ),
    JSON | st.sampled_from(["event", "v2.core.event", {"object": {"id": "in_1", "object": "invoice"}}]),
    max_size=4,
)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FIELDS.map(lambda fields: body_of(event() | fields)) | JSON.map(body_of) | st.binary(max_size=200))
def test_any_body_that_is_signed(fuzzed: tuple[Served, Ledger], body: bytes) -> None:
    served, _ = fuzzed
    assert served.event(body).status in {200, 400}
    assert served.get("/healthz").status == 200
