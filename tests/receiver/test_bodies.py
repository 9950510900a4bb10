"""Bodies that are too large, too slow, too many, or never end."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace

from order_to_cash.domain.clock import FixedClock
from order_to_cash.ledger.ledger import Ledger
from order_to_cash.receiver.app import STRIPE_PATH
from tests.receiver.serving import QUICK, Served, body_of, event, eventually, serving, signed, stored

BODY = body_of(event())


def test_the_largest_body_is_taken_and_a_larger_one_is_not(served: Served, ledger: Ledger) -> None:
    room = 2**20 - len(body_of(event(filling="")))
    largest = body_of(event(filling="x" * room))
    assert len(largest) == 2**20
    assert served.event(largest).status == 200
    with served.connect() as connection:
        head = f"POST {STRIPE_PATH} HTTP/1.1\r\nhost: a\r\nstripe-signature: {signed(BODY)}\r\n"
        connection.sendall(f"{head}content-length: {2**20 + 1}\r\n\r\n".encode())
        assert b" 413 " in connection.recv(4096)  # without waiting for the body
    assert stored(ledger) == ["evt_1"]


def test_a_body_that_grows_too_large_is_cut_off(served: Served) -> None:
    with served.connect() as connection:
        head = f"POST {STRIPE_PATH} HTTP/1.1\r\nhost: a\r\nstripe-signature: {signed(BODY)}\r\n"
        connection.sendall(f"{head}transfer-encoding: chunked\r\n\r\n".encode())
        with suppress(OSError):  # cut off while sending, or a little later
            for _ in range(40):
                connection.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        eventually(lambda: served.results() == {"too_large": 1})


def test_bodies_that_are_still_coming_hold_only_so_much_together(ledger: Ledger, clock: FixedClock) -> None:
    head = f"POST {STRIPE_PATH} HTTP/1.1\r\nhost: a\r\nstripe-signature: {signed(BODY)}\r\n"
    unfinished = f"{head}content-length: 90000\r\n\r\n".encode() + b"x" * 50_000
    with serving(ledger, clock, limits=replace(QUICK, reading_bytes=120_000, body_seconds=5)) as served:
        crowd = [served.connect() for _ in range(3)]
        for connection in crowd:
            connection.sendall(unfinished)
        eventually(lambda: served.results() == {"no_room": 1})
        for connection in crowd:
            connection.close()
        eventually(lambda: served.results() == {"no_room": 1, "gone": 2})
        assert served.event(BODY).status == 200


def test_a_slow_body_is_not_waited_for(served: Served) -> None:
    began = time.monotonic()
    with served.connect() as connection:
        head = f"POST {STRIPE_PATH} HTTP/1.1\r\nhost: a\r\nstripe-signature: {signed(BODY)}\r\n"
        connection.sendall(f"{head}transfer-encoding: chunked\r\n\r\n".encode())
        answer = b""
        for _ in range(100):  # a byte at a time: never silent for long
            connection.sendall(b"1\r\n{\r\n")
            connection.settimeout(0.02)
            try:
                answer = connection.recv(4096)
                break
            except TimeoutError:
                continue
    assert b" 408 " in answer
    assert time.monotonic() - began < 5
    assert served.results() == {"too_slow": 1}


def test_a_sender_that_hangs_up_stores_nothing(served: Served, ledger: Ledger) -> None:
    with served.connect() as connection:
        head = f"POST {STRIPE_PATH} HTTP/1.1\r\nhost: a\r\nstripe-signature: {signed(BODY)}\r\n"
        connection.sendall(f"{head}content-length: {len(BODY)}\r\n\r\n".encode() + BODY[:-1])
    assert served.event(BODY).status == 200
    assert served.results() in ({"stored": 1, "gone": 1}, {"stored": 1})
    assert stored(ledger) == ["evt_1"]
