"""Many connections that deliver signed events, one after another."""

from __future__ import annotations

import itertools
import socket
import threading
import time

from order_to_cash.receiver.app import STRIPE_PATH
from tests.receiver.serving import body_of, event, eventually, signed

SENDERS = 16
AFTER_REFUSAL_SECONDS = 0.05


class Senders:
    """Deliver events one after another on several connections, until the receiver is gone or `stop`."""

    def __init__(self, port: int, prefix: str) -> None:
        self.acknowledged: list[str] = []
        self.refused: list[bytes] = []
        self._port = port
        self._prefix = prefix
        self._numbers = itertools.count()
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._send) for _ in range(SENDERS)]
        for thread in self._threads:
            thread.start()

    def wait(self) -> None:
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()

    def wait_for_more(self, count: int) -> None:
        """Until so many more are acknowledged than by now."""
        wanted = len(self.acknowledged) + count
        eventually(lambda: len(self.acknowledged) >= wanted, 60)

    def stop(self) -> None:
        """Deliver no more."""
        self._stopped.set()
        self.wait()

    def _send(self) -> None:
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=15) as connection:
                while not self._stopped.is_set() and self._sent(connection):
                    pass
        except OSError:
            return  # killed

    def _sent(self, connection: socket.socket) -> bool:
        event_id = f"evt_{self._prefix}_{next(self._numbers)}"
        body = body_of(event(event_id))
        head = f"POST {STRIPE_PATH} HTTP/1.1\r\nhost: a\r\ncontent-length: {len(body)}\r\n"
        header = signed(body, at=int(time.time()))
        connection.sendall(f"{head}stripe-signature: {header}\r\n\r\n".encode() + body)
        answer = connection.recv(4096)
        if answer.startswith(b"HTTP/1.1 200 "):
            self.acknowledged.append(event_id)
        elif answer:
            while not answer.endswith(b".\n"):  # the sentence comes in a piece of its own
                answer += connection.recv(4096)
            self.refused.append(answer)
            self._stopped.wait(AFTER_REFUSAL_SECONDS)
        return bool(answer)
