"""What the tests of alerts share: the channel, and what happens to a company's events."""

from __future__ import annotations

from typing import Any

from prefect.events.schemas.automations import Automation

from order_to_cash.cli.pulse import Pulse
from order_to_cash.domain.errors import FieldRefused
from order_to_cash.ledger.inbox_claims import EventOutcome, EventSource, EventState
from order_to_cash.ledger.inbox_search import EventFilter
from tasks.company import Company
from tests.ledger.support import MovableClock
from tests.ledger.test_vitals import event

HIDDEN = FieldRefused("Amount__c is hidden.", code="INVALID_FIELD", remedy="Grant it.")


class Channel:
    """The billing channel as the Slack emulator has it."""

    def __init__(self, service: Any) -> None:
        self._service = service

    def texts(self) -> list[str]:
        posts = [one for one in self._service.journal.entries if one.path.endswith("chat.postMessage")]
        return [one.body["text"] for one in posts if one.effects]


def clock_of(company: Company) -> MovableClock:
    assert isinstance(company.clock, MovableClock)
    return company.clock


def park(company: Company, number: int) -> None:
    company.ledger.inbox.store([event(number)], EventSource.WEBHOOK)
    [claimed] = company.ledger.inbox.claim("drain")
    company.ledger.inbox.finish([EventOutcome.parked(claimed, HIDDEN)])


def put_right(company: Company) -> None:
    company.ledger.inbox.reopen(EventFilter(states=(EventState.PARKED,)))
    claims = company.ledger.inbox.claim("drain")
    company.ledger.inbox.finish([EventOutcome.done(claimed) for claimed in claims])


async def beats(one: Pulse, company: Company, count: int = 1, **span: float) -> None:
    for _ in range(count):
        clock_of(company).advance(**(span or {"seconds": 30}))
        await one.beat(company)


async def everything() -> list[Automation]:
    from prefect.client.orchestration import get_client

    async with get_client() as client:
        return await client.read_automations()


async def forget(one: Automation) -> None:
    from prefect.client.orchestration import get_client

    async with get_client() as client:
        await client.delete_automation(one.id)
