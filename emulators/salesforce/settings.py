"""What can be set on the Salesforce emulator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from emulators.engine.settings import Settings

CLIENT_ID = "emulator-client"
CLIENT_SECRET = "emulator-secret"


CURRENCIES = ("USD", "EUR", "GBP", "JPY", "CHF", "CAD", "AUD", "SEK", "INR", "KWD")


@dataclass
class SalesforceSettings(Settings):
    """`None` means: off. Changing `multi_currency`, `currencies` or `dated_rates` makes a new, empty org.

    currencies: the first is the corporate one.
    dated_rates: advanced currency management is on: with several currencies there is DatedConversionRate.
    daily_api_limit: calls in any 24 hours before 403 REQUEST_LIMIT_EXCEEDED (100,000: Enterprise Edition).
    api_used: calls that others have made today, counted on top of ours.
    session_lifetime_seconds: how long an access token holds, by the emulators' clock.
    per_record_latency_seconds: added to `latency_seconds` for each record that a call writes.
    concurrent_long_requests: how many calls may be in flight for `long_request_seconds` or more before another
        is refused with 403 REQUEST_LIMIT_EXCEEDED (25 in production, 20 s).
    refuse_locked_rows: a row that another call in flight has written is refused with UNABLE_TO_LOCK_ROW.
    client_id, client_secret, public_key: the External Client App; the key (PEM) verifies JWT bearer logins.
    hidden_fields: standard fields the integration user may not see, as `Account.Phone`.
    restricted_user: the integration user has the licence for integrations, which sees no standard object or
        field without a permission set either.
    field_level_security: off shows every field to everyone.
    namespaces: of managed packages whose components a deployment may bring, as installing them would: `SBQQ`.
    deploy_polls: how often a deployment answers InProgress before its result.
    """

    daily_api_limit: int = 100_000
    api_used: int = 0
    session_lifetime_seconds: float = 7200.0
    per_record_latency_seconds: float = 0.0
    concurrent_long_requests: int | None = 25
    long_request_seconds: float = 20.0
    refuse_locked_rows: bool = False
    client_id: str = CLIENT_ID
    client_secret: str = CLIENT_SECRET
    public_key: str | None = None
    my_domain: str = "emulator"
    organization_type: str = "Enterprise Edition"
    multi_currency: bool = False
    dated_rates: bool = False
    currencies: list[str] = field(default_factory=lambda: list(CURRENCIES))
    hidden_fields: list[str] = field(default_factory=list)
    restricted_user: bool = False
    field_level_security: bool = True
    namespaces: list[str] = field(default_factory=list)
    deploy_polls: int = 1

    def __post_init__(self) -> None:
        self._new_org: Callable[[], None] | None = None

    def patch(self, changes: Mapping[str, Any]) -> None:
        super().patch(changes)
        if self._new_org is not None and changes.keys() & {"multi_currency", "currencies", "dated_rates"}:
            self._new_org()

    def when_recast(self, new_org: Callable[[], None]) -> None:
        """Call this when a change needs another org."""
        self._new_org = new_org
