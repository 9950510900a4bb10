"""Sends signed events at the moments when they are due, over keep-alive connections on one selector."""

from __future__ import annotations

import hmac
import selectors
import socket
import time
from collections import deque
from collections.abc import Sequence

from bench.events_made import Made

SECRET = "whsec_of_the_benchmark"


class Sender:
    """To one handler. What finds no free connection waits: the handler is then too slow for the rate."""

    def __init__(self, port: int, connections: int) -> None:
        self._port = port
        self._connections = connections
        self.sent: dict[str, float] = {}  # event → when it left
        self.answered: dict[str, float] = {}
        self.refused = 0

    def send(self, events: Sequence[Made], until: float = float("inf")) -> None:
        """All of them, or what can be sent within `until` seconds; every answer to what was sent is awaited."""
        selector = selectors.DefaultSelector()
        free: list[socket.socket] = []  # the last used first: handlers close what rests for long
        waiting = deque(events)
        busy: dict[socket.socket, str] = {}
        began = time.monotonic()
        while waiting or busy:
            now = time.monotonic() - began
            if now > until:
                waiting.clear()
            while waiting and len(busy) < self._connections and waiting[0].due <= now:
                event, mine = waiting.popleft(), free.pop() if free else self._connected()
                busy[mine] = event.event_id
                selector.register(mine, selectors.EVENT_READ)
                self.sent[event.event_id] = time.time()
                mine.sendall(_request(event.body))
            pause = (
                min(1.0, max(0.0, waiting[0].due - now)) if waiting and len(busy) < self._connections else 1.0
            )
            for key, _ in selector.select(pause if busy or waiting else 0):
                assert isinstance(key.fileobj, socket.socket)
                mine = key.fileobj
                answer = mine.recv(65_536)
                self.refused += answer[9:10] != b"2"
                self.answered[busy.pop(mine)] = time.time()
                selector.unregister(mine)
                free.append(mine)
        for each in free:
            each.close()

    def _connected(self) -> socket.socket:
        made = socket.create_connection(("127.0.0.1", self._port), timeout=60)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made


def _request(body: bytes) -> bytes:
    stamp = str(int(time.time()))
    signature = hmac.digest(SECRET.encode(), stamp.encode() + b"." + body, "sha256").hex()
    head = (
        "POST /stripe/webhook HTTP/1.1\r\nhost: receiver\r\ncontent-type: application/json; charset=utf-8\r\n"
        f"content-length: {len(body)}\r\nuser-agent: Stripe/1.0 (+https://stripe.com/docs/webhooks)\r\n"
        f"stripe-signature: t={stamp},v1={signature}\r\n\r\n"
    )
    return head.encode() + body
