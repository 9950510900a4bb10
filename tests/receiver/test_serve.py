"""Connections that do not come to the point, a port in use, and the end."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

import pytest

from order_to_cash.domain.clock import FixedClock
from order_to_cash.domain.errors import ConfigurationError
from order_to_cash.domain.events import StripeEvent
from order_to_cash.ledger.inbox_claims import EventSource
from order_to_cash.ledger.ledger import Ledger
from order_to_cash.receiver.app import STRIPE_PATH
from order_to_cash.receiver.limits import Limits
from order_to_cash.receiver.serve import listen
from tests.receiver.serving import Served, body_of, event, serving, signed

BODY = body_of(event())


def closed(connection: socket.socket, seconds: float = 5.0) -> bool:
    """Whether the other side hangs up in time; what it says before is thrown away."""
    connection.settimeout(seconds)
    try:
        while connection.recv(4096):
            pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize("said", [b"", b"POST", b"POST / HTTP/1.1\r\nhost: a\r\nx: "])
def test_a_head_that_does_not_come_is_not_waited_for(served: Served, said: bytes) -> None:
    with served.connect() as connection:
        connection.sendall(said)
        assert closed(connection)


def test_a_head_that_comes_a_byte_at_a_time_is_not_waited_for(served: Served) -> None:
    began = time.monotonic()
    with served.connect() as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nx: ")
        connection.settimeout(0.05)
        while time.monotonic() - began < 10:
            try:
                connection.sendall(b"x")
                if not connection.recv(4096):
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
    assert time.monotonic() - began < 5


def test_a_head_without_end_is_cut_off(served: Served) -> None:
    with served.connect() as connection:
        with suppress(OSError):  # cut off while sending
            connection.sendall(b"POST / HTTP/1.1\r\n")
            for _ in range(200):
                connection.sendall(b"x: " + b"y" * 1000 + b"\r\n")
        assert closed(connection)
    assert served.get("/healthz").status == 200


def test_a_connection_is_kept_for_the_next_delivery(served: Served) -> None:
    with served.connect() as connection:
        for number in range(3):
            body = body_of(event(f"evt_{number}"))
            head = f"POST {STRIPE_PATH} HTTP/1.1\r\nhost: a\r\ncontent-length: {len(body)}\r\n"
            connection.sendall(f"{head}stripe-signature: {signed(body)}\r\n\r\n".encode() + body)
            assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
            time.sleep(0.4)  # longer than a head may take


def test_too_many_connections_are_told_to_come_again(ledger: Ledger, clock: FixedClock) -> None:
    with serving(ledger, clock, limits=Limits(connections=4)) as served:
        crowd = [served.connect() for _ in range(8)]
        try:
            assert served.event(BODY).status == 503
        finally:
            for connection in crowd:
                connection.close()
        while served.event(BODY).status != 200:
            pass


def test_what_is_in_hand_is_answered_at_the_end(ledger: Ledger, clock: FixedClock) -> None:
    going, begun = threading.Event(), threading.Event()
    answers: list[int] = []
    write = ledger.inbox.store

    def slowly(events: Sequence[StripeEvent], source: EventSource) -> int:
        begun.set()
        assert going.wait(10)
        return write(events, source)

    ledger.inbox.store = slowly  # type: ignore[method-assign]  # a commit that takes its time
    with serving(ledger, clock) as served:
        sender = threading.Thread(target=lambda: answers.append(served.event(BODY).status))
        sender.start()
        assert begun.wait(10)
        threading.Timer(0.3, going.set).start()
    sender.join(10)
    assert answers == [200]
    assert ledger.inbox.get("evt_1") is not None


def test_a_port_in_use_is_told() -> None:
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"Port {port} of 127.0.0.1 is in use") as caught:
            listen("127.0.0.1", port)
    assert "O2C_RECEIVE_PORT" in caught.value.remedy


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
def test_an_address_that_is_not_here_is_told(host: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot listen on"):
        listen(host, 0)
