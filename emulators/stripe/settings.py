"""What can be set on the Stripe emulator."""

from __future__ import annotations

from dataclasses import dataclass, field

from emulators.engine import Settings


@dataclass
class StripeSettings(Settings):
    """See `Settings` for latency_seconds and rate_limit_per_second (Stripe: 25 in a sandbox, 100 live).

    idempotency: False makes every POST a new request, whatever its key.
    search_rate_limit_per_second: 20 by docs.stripe.com/rate-limits.
    search_lag_seconds: how long a write stays invisible to search (about a minute at Stripe).
    restricted_keys: permissions by `rk_…` key: `{"rk_test_x": ["customer_write", "invoice_read"]}`.
    revoked_keys: keys that answer 401.
    lock_objects: a write to an object (or for a customer or invoice) that another write in flight holds
    answers 429 lock_timeout; needs latency_seconds to show.
    tax_rates: percent by customer country for automatic_tax: `{"DE": "19"}`; other countries: 0.
    default_currency, account_country: of the account.
    auto_finalize_seconds: how long a draft with auto_advance waits (about an hour at Stripe).
    email_finalized_invoices: send `send_invoice` invoices when finalized with auto_advance (a dashboard
    setting at Stripe).
    payment_retry_seconds: waits between automatic attempts on a failed payment; after the last, none follows.
    after_last_retry: what the subscription of an invoice becomes then: past_due (stays), unpaid or canceled.
    will_be_due_days: so many days before its due date a sent invoice emits `invoice.will_be_due` (0: never;
    an automation in the dashboard at Stripe).
    portal_configured: whether the customer portal's settings were ever saved in the dashboard.
    events_api_version: what version List and Retrieve of events show, the account's default at Stripe (None:
    the emulator's own).
    thin_snapshots: whether a thin event names its snapshot event.
    delivery_connections: deliveries at one time. webhook_timeout_seconds: how long an answer may take.
    lose_deliveries: types (or patterns, `invoice.*`) that are never delivered, only listed.
    hold_deliveries: keep deliveries back until POST /_emulator/deliveries/release.
    duplicate_deliveries: how many times more each event is delivered.
    disable_endpoint_after: so many failed deliveries in a row disable an endpoint (days of them at Stripe).
    """

    idempotency: bool = True
    search_rate_limit_per_second: float | None = 20
    search_lag_seconds: float = 60.0
    restricted_keys: dict[str, list[str]] = field(default_factory=dict)
    revoked_keys: list[str] = field(default_factory=list)
    lock_objects: bool = False
    tax_rates: dict[str, str] = field(default_factory=dict)
    default_currency: str = "usd"
    account_country: str = "US"
    auto_finalize_seconds: float = 3600.0
    email_finalized_invoices: bool = False
    payment_retry_seconds: list[int] = field(default_factory=lambda: [259200, 432000, 604800])
    after_last_retry: str = "past_due"
    will_be_due_days: int = 0
    portal_configured: bool = True
    events_api_version: str | None = None
    thin_snapshots: bool = True
    delivery_connections: int = 16
    webhook_timeout_seconds: float = 20.0
    lose_deliveries: list[str] = field(default_factory=list)
    hold_deliveries: bool = False
    duplicate_deliveries: int = 0
    disable_endpoint_after: int | None = None
