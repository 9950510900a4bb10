"""A replay opens events again, gets in what never came, and changes nothing that is right already."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from flows.replay_events import replay_events
from order_to_cash.cli.app import app
from order_to_cash.domain.errors import O2CError, RuleRefused
from order_to_cash.domain.events import EventState
from order_to_cash.ledger.inbox_claims import EventOutcome, EventSource
from tasks.replay import Replayed
from tasks.replay_steps import KEY, replayed_markdown
from tests.flows.running import ledger
from tests.flows.sync_world import Sync
from tests.world import World

HIDDEN = RuleRefused("A field is hidden.", code="INVALID_FIELD", remedy="Assign O2C_Integration.")


@pytest.fixture
def o2c(world: World) -> Callable[..., Result]:
    def run(*words: str) -> Result:
        return CliRunner().invoke(app, list(words))

    return run


def states(sync: Sync) -> dict[str, str]:
    return {row.event_id: row.state for row in sync.rows()}


def park(count: int) -> list[str]:
    """Park the `count` oldest events, finish the others; the parked ones' ids."""
    with ledger() as opened:
        claims = opened.inbox.claim("test")
        parked = [EventOutcome.parked(claimed, HIDDEN) for claimed in claims[:count]]
        opened.inbox.finish([*parked, *map(EventOutcome.done, claims[count:])])
        return [claimed.event.event_id for claimed in claims[:count]]


def test_a_named_event_that_never_came_is_fetched_from_stripe(
    world: World, o2c: Callable[..., Result]
) -> None:
    sync = Sync(world)
    sync.customer()
    event = sync.events()[0]
    dry = o2c("events", "replay", event["id"], "--dry-run")
    assert dry.exit_code == 0, dry.output
    assert "fetched from Stripe" in dry.output
    assert states(sync) == {}
    done = o2c("events", "replay", event["id"])
    assert done.exit_code == 0, done.output
    (row,) = sync.rows()
    assert (row.event_id, row.state, row.source) == (event["id"], EventState.PENDING, EventSource.REPLAY)
    assert o2c("events", "replay", event["id"]).output.endswith(
        "0 events opened again, 1 waiting or being applied already.\n"
    )
    assert world.calls("stripe", "POST", "/v1/events") == [], "only read"


def test_an_event_that_stripe_does_not_know_is_named_with_status_1(
    world: World, o2c: Callable[..., Result]
) -> None:
    done = o2c("events", "replay", "evt_none")
    assert done.exit_code == 1
    assert "evt_none: neither here nor at Stripe, which keeps events for 30 days." in done.output
    assert "Traceback" not in done.output


async def run(**parameters: Any) -> tuple[Any, Replayed]:
    state = await replay_events(return_state=True, **parameters)
    replayed = await state.aresult(raise_on_failure=False)
    assert isinstance(replayed, Replayed), state
    return state, replayed


@pytest.mark.prefect
async def test_the_form_is_a_dry_run_and_opens_parked_ones_when_told(books: World) -> None:
    sync = Sync(books)
    for _ in range(3):
        sync.customer()
    sync.receive()
    parked = park(2)
    before = states(sync)
    state, planned = await run(parked_only=True)
    assert state.is_completed()
    assert planned.in_words == "2 events would be opened again"
    assert states(sync) == before
    assert [row.event_id for row in planned.reopened.events] == parked
    state, replayed = await run(parked_only=True, dry_run=False, cap=1)
    assert replayed.in_words == "1 event opened again, 1 left for another replay"
    assert states(sync) == {**before, parked[0]: EventState.PENDING}
    await assert_shown(replayed)


async def assert_shown(replayed: Replayed) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
    from prefect.client.schemas.sorting import ArtifactSort

    async with get_client() as client:
        (newest,) = await client.read_artifacts(
            artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[KEY])),
            sort=ArtifactSort.CREATED_DESC,
            limit=1,
        )
    assert newest.data == replayed_markdown(replayed)
    assert f"`{replayed.reopened.events[0].event_id}`" in str(newest.data)
    assert "A field is hidden." in str(newest.data)


@pytest.mark.prefect
async def test_what_cannot_be_meant_and_what_is_nowhere_fails_the_run(books: World) -> None:
    for parameters in ({}, {"since": "yesterday"}, {"event_ids": ["in_1"]}):
        state = await replay_events(return_state=True, **parameters)
        error = await state.aresult(raise_on_failure=False)
        assert state.is_failed()
        assert isinstance(error, O2CError)
    state, replayed = await run(event_ids=["evt_none"])
    assert state.is_failed()
    assert replayed.missing == ("evt_none",)
    assert "evt_none" in replayed_markdown(replayed)


@pytest.mark.prefect
async def test_replaying_what_is_done_changes_nothing(books: World) -> None:
    sync = Sync(books)
    customer = sync.customer(card="pm_card_visa")
    invoice = sync.invoice(customer)
    sync.stripe(f"invoices/{invoice}/pay")
    await sync.bring()
    shown = sync.picture()
    assert set(states(sync).values()) <= {EventState.DONE, EventState.IGNORED}
    books.forget_calls()
    _, replayed = await run(types=["invoice.*", "charge.*", "customer.*"], dry_run=False)
    assert replayed.count > 3
    await sync.apply()
    assert sync.picture() == shown
    assert sync.writes() == []
    assert set(states(sync).values()) <= {EventState.DONE, EventState.IGNORED}
