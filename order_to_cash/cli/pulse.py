"""The drain's pulse: it looks at how the work does, has Prefect tell what people must know, and shows that it lives.

Numbers become alerts in `domain.alerts`. What is raised or cleared goes to the Prefect server as an event, which an
automation turns into a message (`cli.automations`); where the server does not take it, the drain tells Slack itself.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

from order_to_cash.cli.policy_watch import PolicyWatch
from order_to_cash.cli.status import StatusPage, mark_of, remember_usage
from order_to_cash.cli.status import standings as standings_of
from order_to_cash.domain.alert_texts import AlertText, alert_text
from order_to_cash.domain.alerts import (
    AlertKind,
    Change,
    Endpoint,
    Standing,
    Thresholds,
    Vitals,
    decide,
    readings,
)
from order_to_cash.domain.errors import ClaimedElsewhere, O2CError
from order_to_cash.ledger.leases import Lease
from order_to_cash.ledger.vitals import ledger_vitals
from order_to_cash.settings import Settings
from tasks.beside import beside
from tasks.company import Company

LOG = logging.getLogger("o2c.pulse")
BEAT_SECONDS = 30.0
ENDPOINT_SECONDS = 3600.0
PAGE_SECONDS = 60.0
# A server that is busy answers late; the next beat comes in time all the same.
EVENT_TIMEOUT_SECONDS = 10.0
LEASE = "o2c:alerts"
PULSE, STOPPED = "o2c.drain.pulse", "o2c.drain.stopped"


@asynccontextmanager
async def pulsing(company: Company, settings: Settings) -> AsyncIterator[None]:
    """Beat every 30 s as long as the block runs, whatever else the process is busy with, and say when it ends.

    A block that fails ends without that: the drain is then not there although it should be.
    """
    pulse = Pulse(settings)
    async with beside(_beating(pulse, company)):
        yield
    await pulse.stopped(company)


async def _beating(pulse: Pulse, company: Company) -> None:
    policies = PolicyWatch()
    while True:
        await pulse.beat(company)
        await policies.renew(company)
        await asyncio.sleep(BEAT_SECONDS)


class Pulse:
    """One drain's. Several drains share what was raised: one of them looks, and each shows that it lives."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lease: Lease | None = None
        self._owner = f"{socket.gethostname()}:{os.getpid()}"
        self._over: set[AlertKind] = set()
        self._thresholds = Thresholds()
        self._endpoint: Endpoint | None = None
        self._endpoint_at = float("-inf")
        self._silent_at: float | None = None
        self._page = StatusPage()
        self._page_at = float("-inf")

    async def beat(self, company: Company) -> None:
        """Show that the drain lives; raise and clear what is to be. No outage ends it: the next beat tries again."""
        await self._show(company, PULSE)
        try:
            self._lease = await asyncio.to_thread(company.ledger.leases.take, LEASE, self._owner)
            await self._look(company)
        except ClaimedElsewhere:
            return  # another drain looks
        except O2CError as error:
            LOG.error("The look at alerts failed: %s", error)
        except Exception as error:
            LOG.error("The look at alerts failed with %s.", type(error).__name__, exc_info=error)

    async def stopped(self, company: Company) -> None:
        """Say that the drain ends because it was asked to: its silence is no alert."""
        await self._show(company, STOPPED)
        if self._lease is not None:
            with suppress(O2CError):
                await asyncio.to_thread(company.ledger.leases.give_back, self._lease)

    async def _show(self, company: Company, event: str) -> None:
        taken = await emitted(event, f"o2c.drain.{company.name}", uuid4(), {"drain": self._owner})
        if taken:
            self._silent_at = None
        elif self._silent_at is None:
            self._silent_at = asyncio.get_running_loop().time()

    async def _look(self, company: Company) -> None:
        thresholds = await self._current_thresholds(company)
        vitals = await self._vitals(company)
        standings = await asyncio.to_thread(standings_of, company.ledger)
        for kind, standing in standings.items():
            if not standing.delivered:
                change = Change(kind, raised=standing.raised, again=False, standing=standing)
                await self._tell(company, change, vitals)
        await asyncio.to_thread(remember_usage, company.ledger, vitals)
        await self._show_page(company, vitals)
        found = readings(vitals, thresholds)
        changes = decide(
            found, standings, vitals.at, over_before=self._over, remind_hours=thresholds.remind_hours
        )
        self._over = {reading.kind for reading in found if reading.over}
        for change in changes:
            # Before it is told: a drain that is killed in between tells it again, and Prefect knows it by its id.
            await asyncio.to_thread(_remember, company, change.kind, change.standing)
            await self._tell(company, change, vitals)

    async def _show_page(self, company: Company, vitals: Vitals) -> None:
        """The page in the Prefect UI, every minute. It is worth no alert when the server does not take it."""
        now = asyncio.get_running_loop().time()
        if self._silent_at is not None or now - self._page_at < PAGE_SECONDS:
            return
        self._page_at = now
        try:
            async with asyncio.timeout(EVENT_TIMEOUT_SECONDS):
                await self._page.renew(company.ledger, vitals)
        except Exception as error:
            LOG.warning("The page o2c-status was not renewed: %s", type(error).__name__, exc_info=error)

    async def _tell(self, company: Company, change: Change, vitals: Vitals) -> None:
        text = alert_text(change, vitals, ui_url=_ui_url())
        LOG.log(logging.WARNING if change.raised else logging.INFO, "%s: %s", text.subject, text.body)
        # A server that did not take the pulse is not asked again at this look: that would only take time.
        if await delivered(company, change, text, server=self._silent_at is None):
            standing = replace(change.standing, delivered=True)
            await asyncio.to_thread(_remember, company, change.kind, standing)

    async def _current_thresholds(self, company: Company) -> Thresholds:
        """As the operator has them now; as they were where Prefect does not answer or has no such block."""
        from blocks.alert_thresholds import AlertThresholds

        if self._silent_at is not None:
            return self._thresholds
        with suppress(Exception):
            async with asyncio.timeout(EVENT_TIMEOUT_SECONDS):
                block: AlertThresholds = await AlertThresholds.aload(company.name)
                self._thresholds = block.thresholds()
        return self._thresholds

    async def _vitals(self, company: Company) -> Vitals:
        now = company.clock.now()
        vitals = await asyncio.to_thread(ledger_vitals, company.ledger.database, now)
        usage = company.salesforce.api_usage
        silent_at, elapsed = self._silent_at, asyncio.get_running_loop().time
        return replace(
            vitals,
            calls_used=usage.used if usage else None,
            calls_limit=usage.limit if usage else None,
            endpoint=await self._current_endpoint(company),
            prefect_silent_since=now - timedelta(seconds=elapsed() - silent_at)
            if silent_at is not None
            else None,
        )

    async def _current_endpoint(self, company: Company) -> Endpoint | None:
        """As Stripe said within the last hour; None where nobody waits for webhooks, or Stripe does not say."""
        if not self._settings.stripe_webhook_secrets:
            return None
        now = asyncio.get_running_loop().time()
        if now - self._endpoint_at >= ENDPOINT_SECONDS:
            self._endpoint_at = now
            try:
                self._endpoint = await _asked_endpoint(company)
            except O2CError as error:
                self._endpoint = None
                LOG.warning("Stripe does not say how the webhook endpoint is: %s", error)
        return self._endpoint


async def _asked_endpoint(company: Company) -> Endpoint:
    """Ours is known by its path: the address before it is whatever the proxy in front of the receiver has."""
    from order_to_cash.receiver.app import STRIPE_PATH

    ours = [one for one in await company.stripe.webhook_endpoints() if one.url.endswith(STRIPE_PATH)]
    return Endpoint(exists=bool(ours), enabled=any(one.enabled for one in ours))


async def delivered(company: Company, change: Change, text: AlertText, *, server: bool = True) -> bool:
    """Whether the Prefect server (asked where `server`) has taken the change, or Slack been told of it."""
    told_at = change.standing.told_at
    name = (
        f"{change.kind}:{'raised' if change.raised else 'cleared'}:{told_at.isoformat() if told_at else ''}"
    )
    payload = {"subject": text.subject, "body": text.body, "company": company.name}
    event = f"o2c.alert.{change.kind}.{'raised' if change.raised else 'cleared'}"
    resource = f"o2c.alert.{change.kind}.{company.name}"
    event_id = uuid5(NAMESPACE_URL, f"o2c:{company.name}:{name}")
    if server and await emitted(event, resource, event_id, payload):
        return True
    from tasks.announcements import tell

    if company.slack is None:
        return False
    return bool(await tell(company, f"o2c:alert:{name}", text.message(), LEASE, kind="alert"))


async def emitted(event: str, resource: str, event_id: UUID, payload: dict[str, Any]) -> bool:
    """Whether the server has taken the event. Unlike Prefect's own `emit_event`, which answers nothing."""
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.events import Event, Resource

    about = Resource({"prefect.resource.id": resource, "prefect.resource.name": resource})
    made = Event(event=event, resource=about, payload=payload, id=event_id)
    try:
        async with asyncio.timeout(EVENT_TIMEOUT_SECONDS), get_client() as client:
            answer = await client.request("POST", "/events", json=[made.model_dump(mode="json")])
    except (httpx.HTTPError, OSError, RuntimeError) as error:  # a time-out is an OSError
        LOG.warning("The Prefect server did not take %s: %s", event, type(error).__name__)
        return False
    return bool(answer.is_success)


def _remember(company: Company, kind: AlertKind, standing: Standing) -> None:
    """A watermark only moves forward: each change is a little later than the one before."""
    marks = company.ledger.watermarks
    before = marks.get(mark_of(kind))
    moment = company.clock.now()
    if before is not None:
        moment = max(moment, before.modstamp + timedelta(microseconds=1))
    marks.set(mark_of(kind), moment, standing.to_text())


def _ui_url() -> str:
    from prefect.settings import get_current_settings

    return (get_current_settings().ui_url or "").rstrip("/")
