"""Alarm clocks: for the next step of each sleeping ladder one scheduled run in Prefect, where people see it.

The ledger is the truth. A missing alarm costs lateness, a stale one finds nothing to do. So Prefect being away stops
nothing here: what could not be set is set by the sweep.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound
from prefect.logging import get_logger
from prefect.states import Cancelling, Scheduled

from order_to_cash.gateways.clock import SystemClock
from order_to_cash.ledger.ladder_records import Alarm, Ladder
from tasks.company import Company

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun, State

LOG = get_logger("o2c.ladders")

DEPLOYMENT = "dunning-ladder/dunning-ladder"
TAG = "ladder-alarm"
MOST_AT_ONCE = 500
CROWD = 5
"""More ladders than these due at about the same time are done in one process: a run of a worker starts one each."""
CROWD_WINDOW = timedelta(minutes=10)
# What is due sooner is taken up by the drain as soon as a worker would.
SHORTEST = timedelta(seconds=30)

# On SQLite Prefect's server refuses (503) what meets another of its transactions, and its client then waits up to 62 s.
# Of 60 runs made one at a time none was refused (18/s at load 12); two at a time, 32 answers of 60 were 503; with eight
# at a time a hundred took three minutes (Prefect 3.8.8).
_AT_ONCE = 1
_PAGE = 200
# A run younger than this may belong to a ladder whose ledger row is written next.
_BEING_SET = timedelta(minutes=2)
_TO_RING = (StateType.SCHEDULED, StateType.PENDING)
_ALIVE = (*_TO_RING, StateType.RUNNING)


async def arm(company: Company, limit: int = MOST_AT_ONCE) -> int:
    """Set the alarms that ladders lack, and take back those of ladders that moved on; how many were set.

    Raises what the ledger raises; Prefect's troubles are only logged.
    """
    ladders = company.ledger.ladders
    after = company.clock.now() + (CROWD_WINDOW if await is_crowd(company) else SHORTEST)
    wanted = await asyncio.to_thread(ladders.alarms_wanted, limit, after)
    stale = await asyncio.to_thread(ladders.alarms_stale, limit)
    if not wanted and not stale:
        return 0
    made: list[tuple[Alarm, str]] = []
    async with _prefect("Alarms were not set") as client:
        made = await _made(client, company, wanted)
    late = await asyncio.to_thread(
        ladders.alarms_set, [(alarm.invoice_id, alarm.generation, run_id) for alarm, run_id in made]
    )
    replaced = {alarm.stale_run_id for alarm, run_id in made if run_id not in late} - {""}
    await take_back(company, {*late, *replaced, *stale})
    return len(made) - len(late)


async def take_back(company: Company, run_ids: Collection[str]) -> int:
    """Cancel runs that are still to start, and forget all of these; how many were cancelled.

    Cancelling, not Cancelled: a worker fetches runs ahead, and starts one that was set to Cancelled meanwhile.
    """
    cancelled = 0
    ids = sorted(run_ids)
    for start in range(0, len(ids), _PAGE):
        page = ids[start : start + _PAGE]
        async with _prefect("Alarms were not taken back") as client:
            wanted = FlowRunFilter(
                id=FlowRunFilterId(any_=[UUID(run_id) for run_id in page]), state=_in_state(_TO_RING)
            )
            runs = await client.read_flow_runs(flow_run_filter=wanted, limit=_PAGE)
            for first in range(0, len(runs), _AT_ONCE):
                some = runs[first : first + _AT_ONCE]
                await asyncio.gather(*(client.set_flow_run_state(run.id, _moved_on()) for run in some))
                cancelled += len(some)
            await asyncio.to_thread(company.ledger.ladders.alarms_gone, page)
    return cancelled


async def is_crowd(company: Company) -> bool:
    """Whether more ladders than `CROWD` fall due within the next minutes."""
    soon = company.clock.now() + CROWD_WINDOW
    return (await asyncio.to_thread(company.ledger.ladders.due, soon)).count > CROWD


async def relieve_crowd(company: Company) -> int:
    """Take back the alarms of a crowd that is about to fall due; how many. They are then due without an alarm."""
    if not await is_crowd(company):
        return 0
    soon = company.clock.now() + CROWD_WINDOW
    armed = await asyncio.to_thread(company.ledger.ladders.alarms_current, soon)
    return await take_back(company, armed) if armed else 0


async def check(company: Company) -> tuple[int, int]:
    """Compare all alarms with the runs that Prefect has: how many were missing there, and how many nobody waits for.

    Missing ones, as after Prefect's database was restored, are forgotten here and set by the next `arm`.
    """
    missing: set[str] = set()
    orphans: set[str] = set()
    async with _prefect("Alarms were not compared with Prefect's runs") as client:
        runs = [one for one in await _alarm_runs(client) if one.parameters.get("company") == company.name]
        current = await asyncio.to_thread(company.ledger.ladders.alarms_current)
        missing = current.keys() - {str(run.id) for run in runs}
        settled = SystemClock().now() - _BEING_SET
        orphans = {str(run.id) for run in runs if _is_old(run, settled)} - current.keys()
    await asyncio.to_thread(company.ledger.ladders.alarms_gone, sorted(missing))
    return len(missing), await take_back(company, orphans) if orphans else 0


async def rename_run(run_id: str, name: str) -> None:
    """Say in a run's name what came of it."""
    async with _prefect("The run was not renamed") as client:
        await client.update_flow_run(UUID(run_id), name=name)


def ladder_name(alarm: Alarm | Ladder) -> str:
    """Such as "Acme Ltd · INV-0007 · customer mail": what people look for in the list of runs."""
    about = alarm.subject
    following = alarm.next_step.replace("-", " ") or "first look"
    return " · ".join(
        [about.account_name[:60] or alarm.customer_id, about.invoice_number or alarm.invoice_id, following]
    )


async def _made(client: PrefectClient, company: Company, wanted: Sequence[Alarm]) -> list[tuple[Alarm, str]]:
    """A scheduled run for each; what could not be made is left out. Without the deployment there are none."""
    if not wanted:
        return []
    try:
        deployment = await client.read_deployment_by_name(DEPLOYMENT)
    except ObjectNotFound:
        LOG.warning(
            "Prefect has no deployment %s: ladders have no alarms, the drain looks itself.", DEPLOYMENT
        )
        return []
    places = asyncio.Semaphore(_AT_ONCE)
    ahead = SystemClock().now() - company.clock.now()

    async def one(alarm: Alarm) -> tuple[Alarm, str]:
        async with places:
            run = await _scheduled(client, deployment.id, company.name, alarm, alarm.due_at + ahead)
            return alarm, str(run.id)

    made = await asyncio.gather(*map(one, wanted), return_exceptions=True)
    failed = [result for result in made if isinstance(result, BaseException)]
    if failed:
        LOG.warning("%d of %d alarms were not set: %s", len(failed), len(wanted), type(failed[0]).__name__)
    return [result for result in made if not isinstance(result, BaseException)]


async def _scheduled(
    client: PrefectClient, deployment_id: UUID, company: str, alarm: Alarm, at: datetime
) -> FlowRun:
    """The run, made now or before. One that ended, as somebody cancelled it, has a successor."""
    key = f"{alarm.invoice_id}:{alarm.generation}"
    while True:
        run = await client.create_flow_run_from_deployment(
            deployment_id,
            parameters={"invoice": alarm.invoice_id, "generation": alarm.generation, "company": company},
            name=ladder_name(alarm),
            tags=["dunning", TAG, f"invoice:{alarm.invoice_id}"],
            idempotency_key=key,
            state=Scheduled(scheduled_time=at),
        )
        if run.state is None or run.state.type in _ALIVE:
            return run
        key = f"{alarm.invoice_id}:{alarm.generation}:{str(run.id)[:8]}"


async def _alarm_runs(client: PrefectClient) -> list[FlowRun]:
    """Every alarm that is set or rings."""
    wanted = FlowRunFilter(tags=FlowRunFilterTags(all_=[TAG]), state=_in_state(_ALIVE))
    found: list[FlowRun] = []
    while True:
        page = await client.read_flow_runs(
            flow_run_filter=wanted, sort=FlowRunSort.ID_DESC, limit=_PAGE, offset=len(found)
        )
        found += page
        if len(page) < _PAGE:
            return found


def _is_old(run: FlowRun, before: datetime) -> bool:
    to_ring = run.state is not None and run.state.type in _TO_RING
    return to_ring and run.created is not None and run.created < before


def _moved_on() -> State[Any]:
    return Cancelling(message="The ladder has moved on.")


def _in_state(types: Sequence[StateType]) -> FlowRunFilterState:
    return FlowRunFilterState(type=FlowRunFilterStateType(any_=list(types)))


class _Nobody:
    """In place of a client that could not be made, such as when no server of Prefect's own would start."""

    def __init__(self, why: Exception) -> None:
        self._why = why

    def __getattr__(self, name: str) -> Any:
        raise self._why


@asynccontextmanager
async def _prefect(trouble: str) -> AsyncIterator[PrefectClient]:
    """A client. Whatever it raises within the block, such as when nothing answers, is logged and ends the block."""
    from order_to_cash.domain.errors import O2CError

    try:
        async with AsyncExitStack() as stack:
            try:
                client = await stack.enter_async_context(get_client())
            except Exception as error:  # noqa: BLE001 - the block's first question meets it
                client = cast(PrefectClient, _Nobody(error))
            yield client
    except O2CError:
        raise
    except Exception as error:  # noqa: BLE001 - nothing that Prefect does wrong stops a ladder
        LOG.warning("%s: %s.", trouble, type(error).__name__)
