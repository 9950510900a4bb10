"""The database goes away and comes back while deliveries arrive: 503 meanwhile, nothing acknowledged is lost."""

from __future__ import annotations

import socket
import threading
from contextlib import closing, suppress

import pytest
from sqlalchemy.engine import make_url

from order_to_cash.domain.clock import FixedClock
from order_to_cash.domain.records import Environment
from order_to_cash.ledger.ledger import Ledger
from tests.receiver.serving import QUICK, body_of, event, eventually, serving, stored


class Cable:
    """A TCP way to a server that can be cut and mended."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._whole = True
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self._whole = False
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self._whole = True

    def close(self) -> None:
        self.cut()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for each in (self._listener, *self._sockets):
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if not self._whole:
                    near.close()
                    continue
                far = socket.create_connection(self._to)
                self._sockets += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    @staticmethod
    def _carry(one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while piece := one.recv(65536):
                other.sendall(piece)
        for each in (one, other):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@pytest.mark.postgres
def test_a_server_that_is_away_and_back(postgresql_url: str, clock: FixedClock) -> None:
    real = make_url(postgresql_url)
    with closing(Cable(real.host or "127.0.0.1", real.port or 5432)) as cable:
        url = real.set(host="127.0.0.1", port=cable.port).render_as_string(hide_password=False)
        with (
            Ledger.open(url, clock=clock, environment=Environment.TEST) as ledger,
            serving(ledger, clock, limits=QUICK) as served,
        ):
            assert served.event(body_of(event("evt_1"))).status == 200
            cable.cut()
            away = [served.event(body_of(event(f"evt_{number}"))) for number in (2, 3)]
            assert [(each.status, each.headers["retry-after"]) for each in away] == [(503, "10")] * 2
            eventually(lambda: served.get("/readyz").status == 503)
            assert served.get("/healthz").status == 200
            cable.mend()
            eventually(lambda: served.event(body_of(event("evt_2"))).status == 200)
            eventually(lambda: served.get("/readyz").status == 200)
            assert stored(ledger) == ["evt_1", "evt_2"]


def test_a_file_that_another_process_holds(ledger: Ledger, clock: FixedClock) -> None:
    with serving(ledger, clock, limits=QUICK) as served:
        assert served.event(body_of(event("evt_1"))).status == 200
        other = Ledger.open(ledger.database.url.render_as_string(), clock=clock, environment=Environment.TEST)
        with other, other.database.write():
            late = served.event(body_of(event("evt_2")))
            assert (late.status, late.headers["retry-after"]) == (503, "10")
        eventually(lambda: served.event(body_of(event("evt_3"))).status == 200)
    # Nobody was told that the second is stored; that it is does no harm, as it comes again.
    assert stored(ledger) == ["evt_1", "evt_2", "evt_3"]
