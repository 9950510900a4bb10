"""Alerts by way of the Prefect server: automations that are made once and tell each thing once.

Judged by the journal of the Slack emulator and by what the server holds.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

from blocks.alert_thresholds import AlertThresholds
from blocks.registry import BLOCK_NAME, BlockReport, BlockState, save
from order_to_cash.cli import automations, pulse
from order_to_cash.cli.deployments import WORK_POOL
from order_to_cash.cli.pulse import Pulse, pulsing
from order_to_cash.domain.alerts import AlertKind, Standing, Thresholds
from order_to_cash.domain.errors import ConfigurationError
from order_to_cash.ledger.inbox_claims import EventSource
from order_to_cash.settings import Settings
from tasks.company import Company
from tests.cli.alerts.company_life import Channel, beats, everything, park, put_right
from tests.cli.waiting import until
from tests.ledger.test_vitals import event


def states(reports: list[BlockReport]) -> set[BlockState]:
    return {report.state for report in reports}


@pytest.mark.prefect
@pytest.mark.usefixtures("server")
async def test_an_automation_tells_what_the_drain_raises_and_clears_each_once(
    company: Company, settings: Settings, channel: Channel
) -> None:
    await automations.apply(settings)
    one = Pulse(settings)
    park(company, 1)
    await beats(one, company, 4)
    await until(lambda: len(channel.texts()) == 1)
    put_right(company)
    await beats(one, company, 3)
    await until(lambda: len(channel.texts()) == 2)
    raised, cleared = channel.texts()
    assert raised.startswith("*Alert: Events are parked*\nCannot be applied as they are: 1 event.\nSince: ")
    assert "The first: Amount__c is hidden. [INVALID_FIELD] Grant it." in raised
    assert "What to do: " in raised
    assert cleared.startswith("*Over: Parked events were taken care of*\nIt is well again after ")


@pytest.mark.prefect
@pytest.mark.usefixtures("server")
async def test_an_event_that_is_handed_over_twice_is_told_once(
    company: Company, settings: Settings, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    await automations.apply(settings)
    remember = pulse._remember
    kept: list[Standing] = []

    def killed_before_it_is_noted(company: Company, kind: AlertKind, standing: Standing) -> None:
        if not standing.delivered or len(kept) > 1:
            remember(company, kind, standing)
        kept.append(standing)

    monkeypatch.setattr(pulse, "_remember", killed_before_it_is_noted)
    park(company, 1)
    await beats(Pulse(settings), company, 3)
    park(company, 2)
    await until(lambda: len(channel.texts()) >= 1)
    company.ledger.watermarks.reset("alert:lag")
    company.ledger.inbox.store([event(7)], EventSource.WEBHOOK)
    await beats(Pulse(settings), company, 3, minutes=10)
    await until(lambda: len(channel.texts()) >= 2)
    assert [text.splitlines()[0] for text in channel.texts()] == [
        "*Alert: Events are parked*",
        "*Alert: Events wait too long*",
    ]


@pytest.mark.prefect
@pytest.mark.usefixtures("server")
async def test_the_server_alone_tells_of_a_silent_drain_and_of_a_pool_without_worker(
    company: Company, settings: Settings, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    await AlertThresholds(pulse_seconds=10).asave(BLOCK_NAME, overwrite=True)
    monkeypatch.setattr(automations, "NO_WORKER_AFTER", timedelta(seconds=10))
    await automations.apply(settings)
    async with pulsing(company, settings):
        await asyncio.sleep(0.5)
    await Pulse(settings).beat(replace_name(company, "other"))
    await of_pool("not-ready", "theirs")
    await of_pool("not-ready", WORK_POOL)
    await of_pool("ready", WORK_POOL)
    await asyncio.sleep(12)
    assert channel.texts() == [], "one stopped, one came back, and what nobody watches"
    await Pulse(settings).beat(company)
    await of_pool("not-ready", WORK_POOL)
    await until(lambda: len(channel.texts()) == 2, 40)
    drain, worker = sorted(channel.texts(), key=lambda text: "worker" in text)
    assert drain.startswith("*Alert: The drain is silent*\nNothing is billed")
    assert "Its last sign of life: 20" in drain
    assert worker.startswith(
        "*Alert: No worker takes runs*\nNo worker has asked the work pool o2c for work since 20"
    )


async def of_pool(state: str, name: str) -> None:
    """What the server says itself of a work pool."""
    from prefect.client.orchestration import get_client
    from prefect.events import Event, Resource

    about = Resource({"prefect.resource.id": f"prefect.work-pool.{name}", "prefect.resource.name": name})
    event = Event(event=f"prefect.work-pool.{state}", resource=about)
    async with get_client() as client:
        await client.request("POST", "/events", json=[event.model_dump(mode="json")])


def replace_name(company: Company, name: str) -> Company:
    other = object.__new__(Company)
    other.__dict__.update({**company.__dict__, "name": name})
    return other


@pytest.mark.prefect
@pytest.mark.usefixtures("server")
async def test_applying_repeats_harmlessly_and_touches_ours_alone(settings: Settings) -> None:
    from prefect.client.orchestration import get_client

    assert await automations.missing(settings)
    assert states(await automations.apply(settings)) >= {BlockState.CREATED}
    made = {one.name: one for one in await everything()}
    assert {name.startswith(automations.PREFIX) for name in made} == {True}
    assert states(await automations.apply(settings)) == {BlockState.UNCHANGED}
    assert await automations.missing(settings) == []

    theirs = AutomationCore(
        name="Somebody's own",
        trigger=EventTrigger(expect={"x"}, posture=Posture.Reactive, threshold=1, within=timedelta(0)),
        actions=[],
    )
    parked, lag = made["o2c: Events are parked"], made["o2c: Events wait too long"]
    async with get_client() as client:
        await client.create_automation(theirs)
        await client.create_automation(AutomationCore(**parked.model_dump(exclude={"id"})))
        await client.create_automation(theirs.model_copy(update={"name": "o2c: of an older version"}))
        changed = lag.model_copy(update={"enabled": False, "actions": []})
        await client.update_automation(
            lag.id, AutomationCore(**changed.model_dump(exclude={"id", "owner_resource"}))
        )
    reports = {one.slug: one for one in await automations.apply(settings)}
    assert reports["o2c: Events wait too long"].fields == ("actions",)
    assert reports["o2c: of an older version"].state is BlockState.REMOVED
    after = await everything()
    assert sorted(one.name for one in after) == sorted([*made, "Somebody's own"])
    kept = next(one for one in after if one.id == lag.id)
    assert not kept.enabled, "an operator switched it off"
    assert kept.actions == lag.actions


@pytest.mark.prefect
@pytest.mark.usefixtures("server")
async def test_thresholds_of_an_operator_stay_and_may_name_another_block(settings: Settings) -> None:
    from prefect.blocks.notifications import CustomWebhookNotificationBlock

    own = AlertThresholds(parked_events=50, pulse_seconds=0, notification_block="custom-webhook/theirs")
    await own.asave(BLOCK_NAME, overwrite=True)
    assert {one.slug: one.state for one in await save(settings)}["alert-thresholds"] is BlockState.UNCHANGED
    kept: AlertThresholds = await AlertThresholds.aload(BLOCK_NAME)
    assert kept.thresholds() == Thresholds(parked_events=50, pulse_seconds=0)

    with pytest.raises(ConfigurationError, match="custom-webhook/theirs"):
        await automations.apply(settings)
    theirs = await CustomWebhookNotificationBlock(name="theirs", url="http://127.0.0.1:1").asave("theirs")
    await automations.apply(settings)
    found = await everything()
    assert {one.actions[0].model_dump()["block_document_id"] for one in found} == {theirs}
    assert "o2c: The drain is silent" not in {one.name for one in found}
    await CustomWebhookNotificationBlock.adelete("theirs")
