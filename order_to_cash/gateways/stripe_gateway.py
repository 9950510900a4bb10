"""Stripe, as the recipes use it: records of ours in and out, errors of ours, no object of the SDK."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import stripe
from pydantic import SecretStr

from order_to_cash.domain.audit import AuditSink
from order_to_cash.domain.errors import (
    O2CError,
    OutcomeUnknown,
    PermissionMissing,
    RecordGone,
    Refused,
)
from order_to_cash.domain.records import Environment, StripeCustomer, StripeInvoice, StripePrice
from order_to_cash.gateways import stripe_permissions
from order_to_cash.gateways.calls import CallRecorder
from order_to_cash.gateways.credentials import as_secret
from order_to_cash.gateways.pacing import Pacer
from order_to_cash.gateways.places import require_stripe_place
from order_to_cash.gateways.retry import RetryPolicy
from order_to_cash.gateways.stripe_calls import created_between
from order_to_cash.gateways.stripe_endpoints import StripeEndpoints
from order_to_cash.gateways.stripe_events import StripeEvents
from order_to_cash.gateways.stripe_objects import StripeObjects
from order_to_cash.gateways.stripe_records import (
    customer_from,
    has_more_lines,
    invoice_from,
    latest_customers,
    price_from,
    reference,
)
from order_to_cash.gateways.stripe_wire import StripeWire, shielded
from order_to_cash.gateways.vendor_logs import refuse_stripe_console_log, shut_vendor_logs

# The wire puts the real key on; SDK objects, and what prints them, never hold it.
_PLACEHOLDER_KEY = "sk_test_set_by_the_wire"


class StripeGateway(StripeObjects, StripeEvents, StripeEndpoints):
    """One Stripe account in one environment. Use it on one event loop; `aclose` it there.

    Every POST carries the caller's deterministic idempotency key: 1 to 255 characters that name a business
    fact. Methods raise errors of the domain's tree: RateLimited, Unavailable, RowLocked, OutcomeUnknown (a
    write that may have happened), Refused and its kinds, ConfigurationError (test and live mixed up).
    """

    def __init__(  # noqa: PLR0913 - the account's settings, all by keyword
        self,
        *,
        api_key: str | SecretStr,
        environment: Environment,
        audit: AuditSink,
        api_base: str = "https://api.stripe.com",
        requests_per_second: float = 20.0,
        timeout_seconds: float = 20.0,
        retry: RetryPolicy | None = None,
        actor: str = "",
        rng: random.Random | None = None,
    ) -> None:
        key = as_secret(api_key)
        require_stripe_place(environment, api_base, key.get_secret_value())
        refuse_stripe_console_log(stripe.log)
        shut_vendor_logs()
        # Process-wide: the SDK reads it nowhere else, and it would send timings of other requests.
        stripe.enable_telemetry = False
        self._key_kind = key.get_secret_value().partition("_")[0]
        self.pacer = Pacer(requests_per_second, most_a_second=int(requests_per_second) + 1)
        self._wire = StripeWire(
            key=key,
            environment=environment,
            recorder=CallRecorder(audit, "stripe", actor),
            pacer=self.pacer,
            retry=retry or RetryPolicy(),
            timeout_seconds=timeout_seconds,
            rng=rng or random.Random(),  # noqa: S311 - jitter, not a secret
        )
        client = stripe.StripeClient(
            _PLACEHOLDER_KEY,
            http_client=self._wire,
            base_addresses={"api": api_base.rstrip("/")},
            max_network_retries=0,
        )
        super().__init__(client)
        self._account_id = ""

    async def aclose(self) -> None:
        await self._wire.close_async()

    # Customers

    async def list_customers(
        self, email: str | None = None, created_gte: datetime | None = None
    ) -> list[StripeCustomer]:
        """All customers, newest first; only those with exactly this e-mail, or created since."""
        params = {**({"email": email} if email else {}), **created_between(created_gte)}
        return [customer_from(raw) async for raw in self._pages(self._v1.customers.list_async, params)]

    async def changed_customers(self, since: datetime) -> list[StripeCustomer]:
        """Those updated or deleted since, as they are now; each once. Events tell of 30 days at most."""
        params = {"types": ["customer.updated", "customer.deleted"], **created_between(since)}
        events = [event async for event in self._pages(self._v1.events.list_async, params)]
        known, unsure = latest_customers(events)
        return [*known, *[await self.retrieve_customer(one) for one in unsure]]

    async def retrieve_customer(self, customer_id: str) -> StripeCustomer:
        """Raises RecordGone when it never existed; a deleted one comes back with `deleted`."""
        return customer_from(await self._call(self._v1.customers.retrieve_async, customer_id))

    async def create_customer(self, params: Mapping[str, Any], idempotency_key: str) -> StripeCustomer:
        raw = await self._post(self._v1.customers.create_async, params=params, key=idempotency_key)
        return customer_from(raw)

    async def update_customer(
        self, customer_id: str, params: Mapping[str, Any], idempotency_key: str
    ) -> StripeCustomer:
        update = self._v1.customers.update_async
        return customer_from(await self._post(update, customer_id, params=params, key=idempotency_key))

    async def portal_url(self, customer_id: str, idempotency_key: str) -> str:
        """A page of Stripe's where this customer changes the payment method; who has the address may do so.

        Stripe ends a session that nobody visits soon: one whose link was mailed can be recovered by a code that Stripe
        sends to the customer's address. Raises Refused where the portal was never configured in the dashboard.
        https://docs.stripe.com/api/customer_portal/sessions/create
        """
        params = {
            "customer": customer_id,
            "flow_data": {"type": "payment_method_update"},
            "after_expiration": {"type": "customer_login"},
        }
        create = self._v1.billing_portal.sessions.create_async
        return str((await self._post(create, params=params, key=idempotency_key))["url"])

    # Catalogue

    async def list_prices(self) -> list[StripePrice]:
        """Every price, inactive ones too, with its product and its amounts in all currencies."""
        params = {"expand": ["data.product", "data.currency_options"]}
        return [price_from(raw) async for raw in self._pages(self._v1.prices.list_async, params)]

    # Invoices

    async def list_invoices(
        self, customer_id: str = "", created_gte: datetime | None = None
    ) -> list[StripeInvoice]:
        """Invoices, of one customer or all, newest first. List is consistent where Search lags up to an hour.

        `line_count` counts the lines that an answer shows, at most 10; only `retrieve_invoice` and
        `add_lines` count further, with a call for every 100.
        """
        params = {**({"customer": customer_id} if customer_id else {}), **created_between(created_gte)}
        return [invoice_from(raw) async for raw in self._pages(self._v1.invoices.list_async, params)]

    async def retrieve_invoice(self, invoice_id: str) -> StripeInvoice:
        """Raises RecordGone when it never existed or was a draft that is deleted."""
        raw = await self._call(self._v1.invoices.retrieve_async, invoice_id)
        if raw.get("deleted") is True:
            raise RecordGone(
                "The draft invoice was deleted.", code="invoice_deleted", ids={"stripe_id": invoice_id}
            )
        return await self._invoice(raw)

    async def create_invoice(self, params: Mapping[str, Any], idempotency_key: str) -> StripeInvoice:
        """Create it as a draft: `auto_advance` false, so that nothing happens before it is verified."""
        create = self._v1.invoices.create_async
        return invoice_from(await self._post(create, params=params, key=idempotency_key))

    async def add_lines(
        self, invoice_id: str, lines: Sequence[Mapping[str, Any]], idempotency_key: str
    ) -> StripeInvoice:
        """Add all lines to a draft in one call; the answer has the draft's new totals."""
        params = {"lines": [dict(line) for line in lines]}
        add = self._v1.invoices.add_lines_async
        return await self._invoice(await self._post(add, invoice_id, params=params, key=idempotency_key))

    async def finalize_invoice(self, invoice_id: str, idempotency_key: str) -> StripeInvoice:
        """Finalize with `auto_advance=true`: without it Stripe neither charges nor reminds, ever.

        An invoice that turns out to be final already comes back as it is.
        """
        finalize = self._v1.invoices.finalize_invoice_async
        params = {"auto_advance": True}
        try:
            raw = await self._post(finalize, invoice_id, params=params, key=idempotency_key)
        except (Refused, OutcomeUnknown) as error:
            problem: O2CError = error
        else:
            return invoice_from(raw)
        if type(problem) in {Refused, OutcomeUnknown}:
            invoice = await self._if_readable(invoice_id)
            if invoice is not None and invoice.status in {"open", "paid"}:
                return invoice
        raise problem.with_traceback(None)

    async def send_invoice(self, invoice_id: str, idempotency_key: str) -> StripeInvoice:
        """E-mail a finalized invoice to its customer. Each call without the same key sends it once more."""
        send = self._v1.invoices.send_invoice_async
        return invoice_from(await self._post(send, invoice_id, params={}, key=idempotency_key))

    async def void_invoice(self, invoice_id: str) -> StripeInvoice:
        void = self._v1.invoices.void_invoice_async
        key = f"o2c:void:{invoice_id}"
        return invoice_from(await self._post(void, invoice_id, params={}, key=key))

    async def delete_draft(self, invoice_id: str) -> None:
        """Delete a draft; one that is gone already is fine."""
        try:
            await self._call(self._v1.invoices.delete_async, invoice_id)
        except RecordGone:
            return

    async def invoice_was_sent(self, invoice_id: str, since: datetime) -> bool:
        """Whether an `invoice.sent` event says so; events reach 30 days back."""
        return await self.times_sent(invoice_id, since, enough=1) == 1

    async def times_sent(self, invoice_id: str, since: datetime, enough: int = 100) -> int:
        """How many `invoice.sent` events tell of the invoice, counted up to `enough`."""
        params = {"type": "invoice.sent", **created_between(since)}
        times = 0
        async for event in self._pages(self._v1.events.list_async, params):
            data = event.get("data")
            if isinstance(data, Mapping) and reference(data.get("object")) == invoice_id:
                times += 1
            if times == enough:
                break
        return times

    # The account

    async def account_id(self) -> str:
        """The account that the key belongs to, such as ``acct_…``."""
        if not self._account_id:
            try:
                raw = await self._call(self._v1.accounts.retrieve_current_async)
                self._account_id = str(raw["id"])
            except PermissionMissing as refusal:
                # A restricted key without the right to read accounts is told its account in the refusal.
                if "account" not in refusal.ids:
                    raise
                self._account_id = refusal.ids["account"]
        return self._account_id

    async def missing_permissions(self) -> list[str]:
        """The rights that a restricted key lacks of those needed: Stripe's name where the refusal gives it,
        else such as ``invoices: write``. Costs one call a right; a full secret key has all."""
        if self._key_kind == "sk":
            return []
        return await stripe_permissions.missing(self._client, shielded)

    # Plumbing

    async def _if_readable(self, invoice_id: str) -> StripeInvoice | None:
        """The invoice, or None: a look-up that fails must not hide what it was to explain."""
        try:
            return await self.retrieve_invoice(invoice_id)
        except O2CError:
            return None

    async def _invoice(self, raw: Mapping[str, Any]) -> StripeInvoice:
        if not has_more_lines(raw):
            return invoice_from(raw)
        list_lines = self._v1.invoices.line_items.list_async
        count = 0
        async for _ in self._pages(list_lines, {}, str(raw["id"])):
            count += 1
        return invoice_from(raw, count)
