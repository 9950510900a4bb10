"""The alerts as Prefect automations: made, brought up to date and removed by `o2c init`, and touched by nobody else.

Ours are those whose name begins with "o2c: ". One that an operator switched off stays off.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from blocks.alert_thresholds import AlertThresholds
from blocks.registry import BLOCK_NAME, BlockReport, BlockState
from order_to_cash.cli.deployments import WORK_POOL
from order_to_cash.cli.pulse import PULSE, STOPPED
from order_to_cash.domain.alert_texts import TITLES
from order_to_cash.domain.alerts import AlertKind
from order_to_cash.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from prefect.blocks.notifications import CustomWebhookNotificationBlock
    from prefect.client.orchestration import PrefectClient
    from prefect.events.schemas.automations import Automation, AutomationCore, EventTrigger

    from order_to_cash.settings import Settings

PREFIX = "o2c: "
CHANNEL = "o2c-alerts"
TAGS = ["o2c"]
# A pool is called not ready when it has had no heartbeat for 90 s, so never sooner after it was ready. Within a longer
# time Prefect 3.8.8 does not notice that a pool which came back is gone again (tried with two minutes).
NO_WORKER_AFTER = timedelta(seconds=80)
SUBJECT, BODY = "{{ event.payload.subject }}", "{{ event.payload.body }}"
_PAGE = 200
_COMPARED = ("description", "tags", "trigger", "actions")
_SHORTEST_SECONDS = 10  # Prefect takes no shorter time for an event that is missed


@dataclass(frozen=True)
class _Alert:
    """One automation: its name without prefix, what it waits for, and what it says."""

    name: str
    description: str
    trigger: EventTrigger
    subject: str
    body: str

    def as_automation(self, channel_id: UUID) -> AutomationCore:
        from prefect.events.actions import SendNotification
        from prefect.events.schemas.automations import AutomationCore

        action = SendNotification(block_document_id=channel_id, subject=self.subject, body=self.body)
        return AutomationCore(
            name=f"{PREFIX}{self.name}",
            description=self.description,
            tags=TAGS,
            trigger=self.trigger,
            actions=[action],
        )


async def apply(settings: Settings, company: str = BLOCK_NAME) -> list[BlockReport]:
    """Make the channel and the automations as they should be; what is so already stays untouched. Safe to repeat.

    `AlertThresholds` is there already. Raises ConfigurationError when it names a block that Prefect does not have.
    """
    from prefect.client.orchestration import get_client

    thresholds: AlertThresholds = await AlertThresholds.aload(company)
    async with get_client() as client:
        channel_id, channel = await _channel(client, settings, thresholds)
        reports = [channel] if channel else []
        existing = await _ours(client)
        wanted = [one.as_automation(channel_id) for one in _alerts(company, thresholds)] if channel_id else []
        reports += [await _made(client, core, existing.pop(core.name, [])) for core in wanted]
        for left in (one for several in existing.values() for one in several):
            await client.delete_automation(left.id)
            reports.append(BlockReport(left.name, BlockState.REMOVED))
    return reports


async def missing(settings: Settings, company: str = BLOCK_NAME) -> list[str] | None:
    """Names of the automations that `apply` would make; None where alerts are off. Touches nothing."""
    from prefect.client.orchestration import get_client

    try:
        thresholds: AlertThresholds = await AlertThresholds.aload(company)
    except ValueError:  # Prefect's answer for a block that it does not have
        thresholds = AlertThresholds()
    if not (settings.slack_enabled or thresholds.notification_block):
        return None
    async with get_client() as client:
        existing = await _ours(client)
    return [name for one in _alerts(company, thresholds) if (name := PREFIX + one.name) not in existing]


async def _made(client: PrefectClient, core: AutomationCore, existing: list[Automation]) -> BlockReport:
    """The first of that name is kept; there is a second only where somebody copied it."""
    if not existing:
        await client.create_automation(core)
        return BlockReport(core.name, BlockState.CREATED)
    kept, *copies = existing
    for copy in copies:
        await client.delete_automation(copy.id)
    fields = tuple(name for name in _COMPARED if getattr(core, name) != getattr(kept, name))
    if not fields:
        return BlockReport(core.name, BlockState.UPDATED if copies else BlockState.UNCHANGED)
    await client.update_automation(kept.id, core.model_copy(update={"enabled": kept.enabled}))
    return BlockReport(core.name, BlockState.UPDATED, fields)


async def _ours(client: PrefectClient) -> dict[str, list[Automation]]:
    """By name."""
    found: dict[str, list[Automation]] = {}
    async for one in _all_automations(client):
        if one.name.startswith(PREFIX):
            found.setdefault(one.name, []).append(one)
    return found


async def _all_automations(client: PrefectClient) -> AsyncIterator[Automation]:
    offset = 0
    while page := await client.read_automations(limit=_PAGE, offset=offset):
        for one in page:
            yield one
        offset += len(page)


async def _channel(
    client: PrefectClient, settings: Settings, thresholds: AlertThresholds
) -> tuple[UUID | None, BlockReport | None]:
    """The notification block to use: the operator's, or one of ours that posts to the Slack channel of the settings.

    Ours is of a type that Prefect itself has: the server loads it without our code, and so without a worker.
    """
    from prefect.exceptions import ObjectNotFound

    if thresholds.notification_block:
        slug, _, name = thresholds.notification_block.partition("/")
        try:
            return (await client.read_block_document_by_name(name, slug)).id, None
        except ObjectNotFound:
            raise ConfigurationError(
                f"Prefect has no block {thresholds.notification_block}, which the alert thresholds name.",
                code="block_missing",
                remedy="Make it in the Prefect UI under Blocks, or correct Alert Thresholds.",
            ) from None
    if not settings.slack_enabled:
        return None, None
    block = slack_channel(settings)
    known = await _known_channel()
    if known is not None and _values(known) == _values(block) and known._block_document_id:
        return known._block_document_id, BlockReport(CHANNEL, BlockState.UNCHANGED)
    state = BlockState.CREATED if known is None else BlockState.UPDATED
    return await block.asave(CHANNEL, overwrite=True), BlockReport(CHANNEL, state)


def slack_channel(settings: Settings) -> CustomWebhookNotificationBlock:
    """Slack's chat.postMessage as a webhook. Its token is stored as a secret."""
    from prefect.blocks.fields import SecretDict
    from prefect.blocks.notifications import CustomWebhookNotificationBlock

    base_url = settings.slack_base_url or "https://slack.com"
    return CustomWebhookNotificationBlock(
        name=CHANNEL,
        url=f"{base_url.rstrip('/')}/api/chat.postMessage",
        json_data={
            "channel": settings.slack_channel,
            "text": "*{{subject}}*\n{{body}}",
            "unfurl_links": False,
        },
        headers={"authorization": "Bearer {{token}}"},
        secrets=SecretDict({"token": settings.slack_bot_token.get_secret_value()}),
    )


async def _known_channel() -> CustomWebhookNotificationBlock | None:
    from prefect.blocks.notifications import CustomWebhookNotificationBlock

    try:
        known: CustomWebhookNotificationBlock = await CustomWebhookNotificationBlock.aload(CHANNEL)
    except (ValueError, RuntimeError):  # Prefect's answers for none, and for one of another version
        return None
    return known


def _values(block: CustomWebhookNotificationBlock) -> Mapping[str, Any]:
    return {
        "url": block.url,
        "json_data": block.json_data,
        "headers": block.headers,
        "secrets": block.secrets.get_secret_value(),
    }


def _alerts(company: str, thresholds: AlertThresholds) -> Iterator[_Alert]:
    for kind in AlertKind:
        events = {f"o2c.alert.{kind}.raised", f"o2c.alert.{kind}.cleared"}
        trigger = _on(events, {"prefect.resource.id": f"o2c.alert.{kind}.{company}"})
        described = "Raised and cleared by the drain; its threshold stands in the block Alert Thresholds."
        yield _Alert(TITLES[kind], described, trigger, SUBJECT, BODY)
    if thresholds.pulse_seconds:
        yield _drain_is_silent(company, thresholds.pulse_seconds)
    yield _no_worker()
    yield _run_crashed()


def _drain_is_silent(company: str, seconds: int) -> _Alert:
    from prefect.events.schemas.automations import EventTrigger, Posture

    trigger = EventTrigger(
        match={"prefect.resource.id": f"o2c.drain.{company}"},
        for_each={"prefect.resource.id"},
        after={PULSE},
        expect={PULSE, STOPPED},
        posture=Posture.Proactive,
        threshold=1,
        within=timedelta(seconds=max(seconds, _SHORTEST_SECONDS)),
    )
    body = (
        "Nothing is billed and no event is applied. Its last sign of life: "
        "{{ event.occurred.strftime('%Y-%m-%d %H:%M') }} UTC.\n"
        "What to do: see its log (`o2c up` writes logs/drain.log in O2C_HOME) and start `o2c drain`. Webhooks are "
        "stored meanwhile; it goes on where it stood. Where the Prefect server was down itself, it may be well."
    )
    described = "Told by the Prefect server itself, without a worker; the seconds stand in Alert Thresholds."
    return _Alert("The drain is silent", described, trigger, "Alert: The drain is silent", body)


def _no_worker() -> _Alert:
    """The server notices a worker's silence after about a minute."""
    from prefect.events.schemas.automations import EventTrigger, Posture

    trigger = EventTrigger(
        match={"prefect.resource.id": "prefect.work-pool.*", "prefect.resource.name": WORK_POOL},
        for_each={"prefect.resource.id"},
        after={"prefect.work-pool.not-ready"},
        expect={"prefect.work-pool.ready"},
        posture=Posture.Proactive,
        threshold=1,
        within=NO_WORKER_AFTER,
    )
    body = (
        f"No worker has asked the work pool {WORK_POOL} for work since "
        "{{ event.occurred.strftime('%Y-%m-%d %H:%M') }} UTC: sweeps, replays and runs from forms wait. The drain "
        "goes on.\nWhat to do: see the worker's log and start it again; the runs that wait are then taken up."
    )
    described = "The work pool has had no worker for some minutes."
    return _Alert("No worker takes runs", described, trigger, "Alert: No worker takes runs", body)


def _run_crashed() -> _Alert:
    trigger = _on(
        {"prefect.flow-run.Crashed"},
        {"prefect.resource.id": "prefect.flow-run.*"},
        related={"prefect.resource.role": "work-pool", "prefect.resource.name": WORK_POOL},
    )
    body = (
        "The run {{ flow_run.name }} of {{ flow.name }} ended without a word: {{ flow_run.state.message }}\n"
        "What to do: see its log and the worker's. The next run goes on from where it stood.\n"
        "{{ flow_run|ui_url }}"
    )
    described = "A crash ends a run before it can tell anyone."
    return _Alert("A run crashed", described, trigger, "Alert: A run crashed", body)


def _on(
    events: set[str], resource: Mapping[str, str], related: Mapping[str, str] | None = None
) -> EventTrigger:
    """Each of these events, at once."""
    from prefect.events.schemas.automations import EventTrigger, Posture

    return EventTrigger(
        match=dict(resource),
        match_related=dict(related or {}),
        expect=events,
        posture=Posture.Reactive,
        threshold=1,
        within=timedelta(0),
    )
