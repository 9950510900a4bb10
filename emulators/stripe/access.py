"""Who may ask, how often, and in which version."""

from __future__ import annotations

import base64
import binascii
import re
import time
from collections import deque

from emulators.engine import Call
from emulators.stripe.errors import StripeError, rate_limited
from emulators.stripe.events import API_VERSION
from emulators.stripe.model import Operation
from emulators.stripe.settings import StripeSettings
from emulators.stripe.world import ACCOUNT_ID

KEY = re.compile(r"(sk|rk)_(test|live)_[A-Za-z0-9_]{3,}")


def mask_key(key: str) -> str:
    return f"{key[:8]}{'*' * max(0, len(key) - 12)}{key[-4:]}"


def api_key(call: Call) -> str:
    """The key of a Bearer or Basic header; raises StripeError 401 without one."""
    scheme, _, value = call.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            value = base64.b64decode(value).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            value = ""
    if not value:
        message = (
            "You did not provide an API key. You need to provide your API key in the Authorization header, "
            "using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
        )
        raise StripeError(message, status=401, validation=True)
    return value.strip()


def authenticate(call: Call, settings: StripeSettings) -> str:
    """A known key; every well-formed secret key is one, restricted keys must be in the settings."""
    key = api_key(call)
    match = KEY.fullmatch(key)
    known = match is not None and key not in settings.revoked_keys
    if known and match is not None and match[1] == "rk":
        known = key in settings.restricted_keys
    if not known:
        raise StripeError(f"Invalid API Key provided: {mask_key(key)}", status=401, validation=True)
    version = call.headers.get("stripe-version", API_VERSION)
    if version != API_VERSION:
        message = f"Invalid Stripe API version: {version}. This emulator speaks {API_VERSION} only."
        raise StripeError(message, validation=True)
    return key


def authorize(key: str, operation: Operation, settings: StripeSettings) -> None:
    """Raises StripeError 403 naming the permission that a restricted key lacks; write includes read."""
    if not key.startswith("rk_"):
        return
    needed = operation.permission
    granted = {name.removeprefix("rak_") for name in settings.restricted_keys[key]}
    sufficient = {needed, needed.removesuffix("_read") + "_write"}
    if sufficient.isdisjoint(granted):
        message = (
            f"The provided key '{mask_key(key)}' does not have the required permissions for this endpoint on "
            f"account '{ACCOUNT_ID}'. Having the 'rak_{needed}' permission would allow this request to "
            "continue."
        )
        raise StripeError(message, status=403, validation=True)


class RateLimiter:
    """A sliding window of one second of real time: the emulator's clock may stand or leap."""

    def __init__(self) -> None:
        self._moments: deque[float] = deque()

    def count(self, limit: float | None) -> None:
        """Raises StripeError 429 when `limit` requests came within the last second."""
        if limit is None:
            return
        now = time.monotonic()
        while self._moments and now - self._moments[0] >= 1.0:
            self._moments.popleft()
        if len(self._moments) >= limit:
            raise rate_limited()
        self._moments.append(now)
