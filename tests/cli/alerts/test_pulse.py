"""The drain's pulse without the Prefect server: what is wrong is told once and cleared once, by the drain itself.

Judged by the journal of the Slack emulator.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from uuid import uuid4

import pytest

from order_to_cash.cli import pulse
from order_to_cash.cli.pulse import Pulse, pulsing
from order_to_cash.domain.alerts import Endpoint
from order_to_cash.settings import Settings
from tasks.company import Company
from tests.cli.alerts.company_life import Channel, beats, park, put_right
from tests.cli.waiting import until


@pytest.fixture
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not answer. Waiting for one takes Prefect's client 1.5 s each time."""

    async def refused(*_: object) -> bool:
        return False

    monkeypatch.setattr(pulse, "emitted", refused)


async def test_a_server_that_is_not_there_takes_nothing_and_raises_nothing() -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api"}):
        assert not await pulse.emitted("o2c.drain.pulse", "o2c.drain.o2c", uuid4(), {})


@pytest.mark.usefixtures("no_server")
async def test_without_the_server_the_drain_tells_slack_itself_also_of_the_server(
    company: Company, settings: Settings, channel: Channel
) -> None:
    one = Pulse(settings)
    park(company, 1)
    await beats(one, company, 3)
    assert channel.texts() == ["Alert: Events are parked"]
    loop = asyncio.get_running_loop()
    one._silent_at = loop.time() - 600  # it has not answered for ten minutes
    await beats(one, company, 2)
    assert channel.texts()[1:] == ["Alert: The Prefect server does not answer"]
    put_right(company)
    await beats(one, company, 3)
    assert channel.texts()[2:] == ["Over: Parked events were taken care of"]


@pytest.mark.usefixtures("no_server")
async def test_what_nobody_could_be_told_is_told_later_and_once(
    company: Company, settings: Settings, channel: Channel
) -> None:
    slack, company.slack = company.slack, None
    park(company, 1)
    await beats(Pulse(settings), company, 2)
    company.slack = slack
    assert channel.texts() == []
    again = Pulse(settings)  # another process by now
    again._owner = Pulse(settings)._owner
    await beats(again, company, 3)
    assert channel.texts() == ["Alert: Events are parked"]


@pytest.mark.parametrize("fails", [False, True])
async def test_a_drain_says_that_it_stops_unless_it_fails(
    company: Company, settings: Settings, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    events: list[str] = []

    async def taken(event: str, *_: object) -> bool:
        events.append(event)
        return True

    monkeypatch.setattr(pulse, "emitted", taken)
    with suppress(ZeroDivisionError):
        async with pulsing(company, settings):
            await until(lambda: bool(events))
            assert 1 / (not fails)
    assert events == ["o2c.drain.pulse"] + ["o2c.drain.stopped"] * (not fails)


@pytest.mark.usefixtures("no_server")
async def test_of_several_drains_one_looks(company: Company, settings: Settings, channel: Channel) -> None:
    first, second = Pulse(settings), Pulse(settings)
    second._owner = "another"
    park(company, 1)
    for _ in range(3):
        await beats(first, company)
        await beats(second, company)
    assert channel.texts() == ["Alert: Events are parked"]
    await first.stopped(company)
    put_right(company)
    await beats(second, company)
    assert len(channel.texts()) == 2, "the other one takes over at once"


@pytest.mark.usefixtures("no_server")
async def test_a_disabled_endpoint_is_asked_about_once_an_hour(
    company: Company, settings: Settings, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    from order_to_cash.receiver.app import STRIPE_PATH

    made = await company.stripe.create_webhook_endpoint(f"http://127.0.0.1:9{STRIPE_PATH}", ["invoice.paid"])
    assert await pulse._asked_endpoint(company) == Endpoint(exists=True, enabled=True)
    asked = []

    async def disabled(company: Company) -> Endpoint:
        asked.append(company)
        return replace(await original(company), enabled=False)

    original = pulse._asked_endpoint
    monkeypatch.setattr(pulse, "_asked_endpoint", disabled)
    watching = settings.model_copy(update={"stripe_webhook_secrets": (made.secret,)})
    await beats(Pulse(watching), company, 3)
    assert channel.texts() == ["Alert: Stripe's webhooks do not arrive"]
    assert len(asked) == 1
