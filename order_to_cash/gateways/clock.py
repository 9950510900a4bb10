"""The only places that ask what time it is: the machine's clock, and the emulators' movable one."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from order_to_cash.domain.clock import Clock
from order_to_cash.domain.errors import Unavailable
from order_to_cash.domain.records import Environment

_FRESH_SECONDS = 1.0
_TIMEOUT_SECONDS = 5.0
_PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody: the emulators speak plain HTTP


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class EmulatorClock:
    """The emulators' clock, read over HTTP from `/_emulator/clock`.

    Its distance from the machine's clock is kept for at most a second, so that `now()` is cheap and runs on
    between two readings. Safe to share between threads. Raises Unavailable when the emulators do not answer.
    """

    def __init__(self, control_url: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._url = control_url.rstrip("/") + "/_emulator/clock"
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._offset = timedelta(0)
        self._read_at = float("-inf")

    def now(self) -> datetime:
        with self._lock:
            if self._monotonic() - self._read_at >= _FRESH_SECONDS:
                self._offset = self._read() - datetime.now(UTC)
                self._read_at = self._monotonic()
            return datetime.now(UTC) + self._offset

    def _read(self) -> datetime:
        import httpx

        try:
            # Loading certificates for an address of this machine took 30 ms each second.
            answer = httpx.get(self._url, timeout=_TIMEOUT_SECONDS, trust_env=False, verify=_PLAIN)
            answer.raise_for_status()
            at = datetime.fromisoformat(answer.json()["now"])
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as problem:
            raise Unavailable(
                f"The emulators' clock at {self._url} cannot be read ({type(problem).__name__}).",
                code="emulator_clock",
                remedy="Start the emulators with `o2c emulators`, or correct their address in the settings.",
            ) from None
        if at.tzinfo is None:
            raise Unavailable(
                f"The emulators' clock at {self._url} answers a time without zone.", code="emulator_clock"
            )
        return at.astimezone(UTC)


def clock_for(environment: Environment, control_url: str) -> Clock:
    """The machine's clock; with the emulators theirs, which can be moved."""
    return EmulatorClock(control_url) if environment is Environment.EMULATOR else SystemClock()
