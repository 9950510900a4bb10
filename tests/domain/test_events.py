"""Stripe's events, sorted by their envelope; what is no event is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_to_cash.domain.errors import RecordRejected
from order_to_cash.domain.events import decode_event

SNAPSHOT: dict[str, Any] = {
    "id": "evt_1",
    "object": "event",
    "api_version": "2026-10-28.endive",
    "created": 1_790_000_000,
    "livemode": False,
    "type": "invoice.paid",
    "data": {"object": {"id": "in_1", "object": "invoice", "customer": "cus_1", "description": "at 10:30"}},
}
THIN: dict[str, Any] = {
    "id": "evt_test_65",
    "object": "v2.core.event",
    "type": "v2.core.account.updated",
    "livemode": True,
    "created": "2026-03-22T15:16:00.123Z",
    "context": "acct_2",
    "related_object": {"id": "acct_1", "type": "v2.core.account", "url": "/v2/core/accounts/acct_1"},
}


def written(document: object, **options: Any) -> bytes:
    return json.dumps(document, **options).encode()


def test_a_snapshot_is_sorted_by_its_customer_and_its_body_stays() -> None:
    body = written(SNAPSHOT, indent=2)
    event = decode_event(body)
    assert (event.event_id, event.type, event.account_id, event.thin) == ("evt_1", "invoice.paid", "", False)
    assert (event.object_type, event.object_id, event.partition) == ("invoice", "in_1", "cus_1")
    assert event.created == datetime.fromtimestamp(1_790_000_000, UTC)
    assert event.body is body


@pytest.mark.parametrize(
    ("about", "partition"),
    [
        ({"id": "cus_9", "object": "customer"}, "cus_9"),
        ({"id": "in_1", "object": "invoice", "customer": {"id": "cus_2", "object": "customer"}}, "cus_2"),
        ({"id": "price_1", "object": "price"}, "price_1"),
        ({"id": "in_1", "object": "invoice", "customer": None}, "in_1"),
        ({"object": "balance"}, "evt_1"),
    ],
)
def test_what_must_not_be_written_twice_at_once(about: dict[str, Any], partition: str) -> None:
    assert decode_event(written(SNAPSHOT | {"data": {"object": about}})).partition == partition


def test_a_thin_event_names_what_it_is_about() -> None:
    event = decode_event(written(THIN))
    assert (event.thin, event.account_id, event.object_id) == (True, "acct_2", "acct_1")
    assert event.created == datetime(2026, 3, 22, 15, 16, 0, 123_000, UTC)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"\xff\xfe",
        b'{"object": "event"',
        b"[" * 100_000,
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        written(SNAPSHOT).replace(b'"created"', b'"livemode": false, "created"'),
        written(SNAPSHOT).replace(b'"customer"', b'"\\u0063ustomer": "cus_2", "customer"'),
        written(SNAPSHOT).replace(b'"customer"', b'"customer": "a\\u003ab", "customer"'),
        written(SNAPSHOT).replace(b"1790000000", b"NaN"),
        written(SNAPSHOT).replace(b"1790000000", b"1e9"),
        written(SNAPSHOT).replace(b"1790000000", b"9" * 400),
        written(SNAPSHOT).replace(b"1790000000", b"9" * 5000),
        written(SNAPSHOT).replace(b"evt_1", b"evt_\\u0000"),
        written(SNAPSHOT).replace(b"evt_1", b"evt_\\ud800"),
        written(SNAPSHOT | {"id": "e" * 256}),
        written(SNAPSHOT | {"id": ""}),
        written(SNAPSHOT | {"id": 1}),
        written(SNAPSHOT | {"created": -1}),
        written(SNAPSHOT | {"created": True}),
        written(SNAPSHOT | {"livemode": "false"}),
        written(SNAPSHOT | {"livemode": None}),
        written(SNAPSHOT | {"object": "invoice"}),
        written(SNAPSHOT | {"data": None}),
        written(SNAPSHOT | {"data": {"object": "in_1"}}),
        written(THIN | {"created": "yesterday"}),
        written(THIN | {"created": "2026-03-22T15:16:00"}),
    ],
    ids=lambda body: repr(body[:24]),
)
def test_what_is_no_event_is_refused_without_a_word_of_it(body: bytes) -> None:
    with pytest.raises(RecordRejected) as caught:
        decode_event(body)
    assert caught.value.code == "event_unreadable"
    assert "evt_" not in str(caught.value)


TEXTS = st.text(alphabet=':"\\{},ab é\u2028', max_size=4)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(PLAIN, st.booleans(), st.sampled_from([None, 2]))
def test_whatever_else_an_event_says_it_is_taken(more: object, ascii_only: bool, indent: int | None) -> None:
    body = written(SNAPSHOT | {"more": more}, ensure_ascii=ascii_only, indent=indent)
    assert decode_event(body).event_id == "evt_1"


@given(
    st.lists(st.tuples(TEXTS, PLAIN), max_size=4),
    st.booleans(),
    st.sampled_from([(",", ":"), (", ", " : "), ("\n,", "\t:\r\n")]),
)
def test_a_key_that_stands_twice_is_found_however_it_is_written(
    pairs: list[tuple[str, object]], ascii_only: bool, separators: tuple[str, str]
) -> None:
    comma, colon = separators

    def text(value: object) -> str:
        return json.dumps(value, ensure_ascii=ascii_only).replace(":", "\\u003a" if ascii_only else ":")

    inner = comma.join(f"{text(key)}{colon}{json.dumps(value)}" for key, value in pairs)
    body = written(SNAPSHOT | {"more": "HERE"}).replace(b'"HERE"', f"{{{inner}}}".encode())
    if len({key for key, _ in pairs}) == len(pairs):
        assert decode_event(body).event_id == "evt_1"
    else:
        with pytest.raises(RecordRejected):
            decode_event(body)
