"""The vendors' own wire logs, kept shut.

At DEBUG and INFO `stripe` writes request and response bodies, `httpx` and `urllib3` write URLs with e-mail
addresses in the query, `slack_sdk` writes message texts: all unredacted. The audit log has every call.
"""

from __future__ import annotations

import logging
import os

from order_to_cash.domain.errors import ConfigurationError
from order_to_cash.domain.redaction import redact

_LOGGERS = (
    "stripe",
    "httpx",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.http2",
    "httpcore.proxy",
    "urllib3.connectionpool",
    "urllib3.connection",
    "urllib3.util.retry",
    "simple_salesforce.api",
    "simple_salesforce.login",
    "slack_sdk.web.base_client",
    "slack_sdk.web.client",
)


class _Shut(logging.Filter):
    """Drops what is below WARNING, redacts the rest."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return False
        record.msg, record.args = str(redact(record.getMessage())), ()
        record.exc_info = record.exc_text = None
        return True


_SHUT = _Shut()


def shut_vendor_logs() -> None:
    """Filter the vendors' loggers; doing it again changes nothing."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if _SHUT not in logger.filters:
            logger.addFilter(_SHUT)


def refuse_stripe_console_log(setting: str | None) -> None:
    """STRIPE_LOG and `stripe.log` make the SDK print bodies to stderr, past every filter: refuse to start."""
    if setting in {"debug", "info"} or os.environ.get("STRIPE_LOG") in {"debug", "info"}:
        raise ConfigurationError(
            "STRIPE_LOG is set: the Stripe SDK would print customers' data to the terminal.",
            code="stripe_log",
            remedy="Unset STRIPE_LOG; the audit log has every call, redacted.",
        )
