"""Load for a receiver, in a process of its own: `python -m bench.acknowledge_load` reads its order from stdin.

Plain sockets with keep-alive on one selector: each connection sends a signed event of its own and waits for the
answer. About 20 µs of processor time an event, HMAC included, so that it is the receiver that is measured.
"""

from __future__ import annotations

import hmac
import json
import selectors
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ID_MARK = b"evt_BENCH_EVENT_ID"
SECRET = "whsec_of_the_benchmark"


@dataclass
class _Connection:
    socket: socket.socket
    sent_at: float = 0.0


class Load:
    """Sends until the time is over. `event` is a body that holds ID_MARK where each one's own id goes."""

    def __init__(self, order: Mapping[str, Any]) -> None:
        self._address = ("127.0.0.1", int(order["port"]))
        self._secret = SECRET.encode()
        self._prefix = str(order["prefix"])
        before, _, after = str(order["event"]).encode().partition(ID_MARK)
        self._before, self._after = before, after
        self._seconds = float(order["seconds"])
        self._warm_seconds = float(order["warm_seconds"])
        self._connections = int(order["connections"])
        self._sent = 0
        self._stamp = str(int(time.time())).encode()

    def run(self) -> dict[str, Any]:
        """Answers a second, latencies in milliseconds, and how many were not 2xx."""
        selector = selectors.DefaultSelector()
        for _ in range(self._connections):
            self._connect(selector)
        began = time.perf_counter()
        measured_from, until = began + self._warm_seconds, began + self._warm_seconds + self._seconds
        latencies: list[float] = []
        refused = 0
        now = began
        while now < until:
            ready = selector.select(1.0)
            for key, _ in ready:
                mine = key.data
                answer = mine.socket.recv(4096)
                now = time.perf_counter()
                if answer[9:10] != b"2":
                    refused += 1
                elif now >= measured_from:
                    latencies.append(now - mine.sent_at)
                if answer:
                    self._send(mine)
                else:
                    selector.unregister(mine.socket)
                    mine.socket.close()
                    self._connect(selector)
            now = time.perf_counter()
        latencies.sort()
        return {
            "a_second": len(latencies) / self._seconds,
            "p50_ms": _percentile(latencies, 50),
            "p99_ms": _percentile(latencies, 99),
            "refused": refused,
            "cpu_us": time.process_time() / max(1, self._sent) * 1e6,
        }

    def _connect(self, selector: selectors.BaseSelector) -> None:
        mine = _Connection(socket.create_connection(self._address, timeout=30))
        mine.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(mine.socket, selectors.EVENT_READ, mine)
        self._send(mine)

    def _send(self, mine: _Connection) -> None:
        self._sent += 1
        body = self._before + f"evt_{self._prefix}{self._sent}".encode() + self._after
        signature = hmac.digest(self._secret, self._stamp + b"." + body, "sha256").hex()
        head = (
            "POST /stripe/webhook HTTP/1.1\r\nhost: receiver\r\ncontent-type: application/json; charset=utf-8\r\n"
            f"content-length: {len(body)}\r\nuser-agent: Stripe/1.0 (+https://stripe.com/docs/webhooks)\r\n"
            f"stripe-signature: t={self._stamp.decode()},v1={signature}\r\n\r\n"
        )
        mine.sent_at = time.perf_counter()
        mine.socket.sendall(head.encode() + body)


def _percentile(ordered: list[float], share: int) -> float:
    return ordered[min(len(ordered) - 1, len(ordered) * share // 100)] * 1000 if ordered else float("nan")


if __name__ == "__main__":
    json.dump(Load(json.load(sys.stdin)).run(), sys.stdout)
