"""What can be set on the Salesforce emulator."""

from __future__ import annotations

from dataclasses import dataclass, field

from emulators.engine.settings import Settings

CLIENT_ID = "emulator-client"
CLIENT_SECRET = "emulator-secret"


@dataclass
class SalesforceSettings(Settings):
    """`None` means: off. `multi_currency` and `currencies` take effect with the next reset.

    daily_api_limit: calls in any 24 hours before 403 REQUEST_LIMIT_EXCEEDED (100,000: Enterprise Edition).
    api_used: calls that others have made today, counted on top of ours.
    session_lifetime_seconds: how long an access token holds, by the emulators' clock.
    per_record_latency_seconds: added to `latency_seconds` for each record that a call writes.
    client_id, client_secret, public_key: the External Client App; the key (PEM) verifies JWT bearer logins.
    hidden_fields: standard fields the integration user may not see, as `Account.Phone`.
    field_level_security: off shows every field to everyone.
    deploy_polls: how often a deployment answers InProgress before its result.
    """

    daily_api_limit: int = 100_000
    api_used: int = 0
    session_lifetime_seconds: float = 7200.0
    per_record_latency_seconds: float = 0.0
    client_id: str = CLIENT_ID
    client_secret: str = CLIENT_SECRET
    public_key: str | None = None
    my_domain: str = "emulator"
    organization_type: str = "Enterprise Edition"
    multi_currency: bool = False
    currencies: list[str] = field(default_factory=lambda: ["USD", "EUR", "GBP"])
    hidden_fields: list[str] = field(default_factory=list)
    field_level_security: bool = True
    deploy_polls: int = 1
