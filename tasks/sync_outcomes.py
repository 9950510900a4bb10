"""What became of each event: remembered in the ledger, told in numbers."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from order_to_cash.domain.errors import (
    ConfigurationError,
    CredentialsRefused,
    O2CError,
    Permanent,
    Refused,
    RowLocked,
)
from order_to_cash.domain.sync.parents import parents_of
from order_to_cash.domain.sync.problems import SyncReason
from order_to_cash.domain.sync.shapes import Applied, ObjectKey
from order_to_cash.ledger.inbox_claims import ClaimedEvent, EventOutcome, EventSource, EventState
from tasks.beside import beside, renewing
from tasks.company import Company
from tasks.retrying import step
from tasks.sync_anew import write_anew
from tasks.sync_batch import Batch
from tasks.sync_calls import naming_field, writing_anew

LEASE_SECONDS = 120.0
_FIRST_RETRY = timedelta(seconds=5)
_LONGEST_RETRY = timedelta(hours=1)
# Not the events' fault: a person corrects the settings, and then all goes on by itself.
_TRIES = 5
_NOT_THEIRS = (ConfigurationError, CredentialsRefused)
_WRONG_SETTINGS_RETRY = timedelta(minutes=5)


@dataclass(frozen=True)
class Parked:
    """One event that waits for a person, without anything personal."""

    event_id: str
    type: str
    object_id: str
    code: str
    reason: str
    remedy: str


@dataclass(frozen=True)
class SyncSummary:
    """What a batch came to. `calls`: of Salesforce, pages of long answers not counted."""

    events: int = 0
    done: int = 0
    retried: int = 0
    parked: tuple[Parked, ...] = ()
    ignored: int = 0
    lost: int = 0
    calls: int = 0
    written: int = 0
    retry_codes: Counter[str] = field(default_factory=Counter)

    @property
    def in_words(self) -> str:
        parts = [f"{self.events} events"]
        for count, word in (
            (self.written, "records written"),
            (self.calls, "calls"),
            (len(self.parked), "parked"),
            (self.retried, "to be tried again"),
            (self.ignored, "ignored"),
            (self.lost, "taken over by another drain"),
        ):
            if count:
                parts.append(f"{count} {word}")
        return ", ".join(parts)

    def __add__(self, other: SyncSummary) -> SyncSummary:
        return SyncSummary(
            self.events + other.events,
            self.done + other.done,
            self.retried + other.retried,
            self.parked + other.parked,
            self.ignored + other.ignored,
            self.lost + other.lost,
            self.calls + other.calls,
            self.written + other.written,
            self.retry_codes + other.retry_codes,
        )


@step("conclude {count} events")
async def conclude(company: Company, batch: Batch, claims: Sequence[ClaimedEvent], count: int) -> SyncSummary:
    """Remember what Salesforce shows now, then end `claims`, all or some of the batch's. What another drain took over
    stays its own.
    """
    del count
    if not batch.settled:
        _answer_for_children(batch)
        await doubt_written(company, batch, batch.failures)
        await _remember(company, batch)
        batch.settled = True
        batch.landed.clear()  # what is remembered is in no doubt when a later step breaks
    ended = await _finish(company, _outcomes(batch, claims), batch.calls, batch.written)
    batch.calls = batch.written = 0
    ids = {claim.event.event_id for claim in claims}
    batch.claims = [claim for claim in batch.claims if claim.event.event_id not in ids]
    return ended


async def _remember(company: Company, batch: Batch) -> None:
    """What another batch wrote too is read again and written once more, until nobody else has meanwhile.

    A parent is not its child's partition: a refund brings its charge along, as it was read then, while the charge's
    own events are applied elsewhere. Whoever writes last may not be who read last.
    """
    overtaken = await _overtaken(company, batch)
    if not overtaken:
        return
    # Two at a time would overtake each other for ever.
    async with writing_anew(company):
        for _ in range(_TRIES):
            doubts = await asyncio.to_thread(company.ledger.applied.get_many, overtaken)
            await write_anew(company, batch, sorted(overtaken))
            batch.known |= doubts
            overtaken = await _overtaken(company, batch)
            if not overtaken:
                return
    raise RowLocked("Other batches keep writing the same objects.", code="objects_contended")


async def _overtaken(company: Company, batch: Batch) -> frozenset[ObjectKey]:
    """Empty once it is remembered what Salesforce shows of the batch."""
    written = {key: known for key, known in batch.known.items() if key in batch.states}
    return await asyncio.to_thread(company.ledger.applied.remember, _shown(batch), written)


async def doubt_written(company: Company, batch: Batch, keys: Collection[ObjectKey]) -> None:
    """Of `keys`, what was written and will not be remembered: another batch may have shown something newer before."""
    await asyncio.to_thread(company.ledger.applied.doubt, batch.landed & set(keys))


async def give_back(company: Company, claims: Sequence[ClaimedEvent], error: O2CError) -> SyncSummary:
    """The batch broke off for a reason that is no event's own: all of it is tried again later."""
    now = company.clock.now()
    outcomes = [EventOutcome.retry(claim, error, _due(claim, error, now)) for claim in claims]
    return await _finish(company, outcomes, 0, 0)


async def park_one(company: Company, claim: ClaimedEvent, error: O2CError) -> SyncSummary:
    """This very event breaks what is done with it."""
    return await _finish(company, [EventOutcome.parked(claim, error)], 0, 0)


async def _finish(
    company: Company, outcomes: Sequence[EventOutcome], calls: int, written: int
) -> SyncSummary:
    taken = await asyncio.to_thread(company.ledger.inbox.finish, outcomes)
    states = Counter(outcome.state for outcome in outcomes)
    return SyncSummary(
        events=len(outcomes),
        done=states[EventState.DONE],
        retried=states[EventState.RETRY],
        parked=tuple(_told(outcome) for outcome in outcomes if outcome.state is EventState.PARKED),
        ignored=states[EventState.IGNORED],
        lost=len(outcomes) - taken,
        calls=calls,
        written=written,
        retry_codes=Counter(one.code for one in outcomes if one.state is EventState.RETRY),
    )


@asynccontextmanager
async def kept_claimed(company: Company, claims: Sequence[ClaimedEvent]) -> AsyncIterator[None]:
    """The claims, renewed as long as the block runs."""
    async with beside(renewing(partial(company.ledger.inbox.renew, claims, LEASE_SECONDS))):
        yield


def _shown(batch: Batch) -> dict[ObjectKey, Applied]:
    shown = {
        state.key: Applied(state.as_of, state.fetched, state.digest)
        for state in batch.standing()
        if state.digest
    }
    return {**shown, **{key: as_of for key, as_of in batch.unchanged.items() if key not in batch.failures}}


# They have no record of their own: what they name shows what they tell, and answers for them.
_WITHOUT_RECORD = frozenset({"payment_intent", "checkout.session", "price"})


def _answer_for_children(batch: Batch) -> None:
    if not batch.failures:
        return
    bare = [state for state in batch.standing() if state.key.type in _WITHOUT_RECORD]
    for _ in range(2):  # a session names an intent, which names a charge
        for state in bare:
            for parent in parents_of(state, batch.links):
                if parent in batch.failures:
                    batch.fail(state.key, batch.failures[parent])


def _outcomes(batch: Batch, claims: Sequence[ClaimedEvent]) -> list[EventOutcome]:
    waits: defaultdict[str, list[O2CError]] = defaultdict(list)
    for key, error in batch.failures.items():
        for event_id in batch.waiting.get(key, ()):
            waits[event_id].append(error)
    for event_id, error in batch.event_failures.items():
        waits[event_id].append(error)
    return [_outcome(batch, claim, waits.get(claim.event.event_id, ())) for claim in claims]


def _outcome(batch: Batch, claim: ClaimedEvent, errors: Sequence[O2CError]) -> EventOutcome:
    if errors:
        again = [error for error in errors if error.retryable or isinstance(error, _NOT_THEIRS)]
        if again:
            return EventOutcome.retry(claim, again[0], _due(claim, again[0], batch.now))
        error = errors[0]
        if claim.source is EventSource.SCAN and error.code == SyncReason.CUSTOMER_UNKNOWN:
            return EventOutcome.ignored(claim)  # history of somebody who is not Salesforce's business
        return EventOutcome.parked(claim, naming_field(error) if isinstance(error, Refused) else error)
    if claim.event.event_id in batch.ignored:
        return EventOutcome.ignored(claim)
    return EventOutcome.done(claim)


def _due(claim: ClaimedEvent, error: O2CError, now: datetime) -> datetime:
    """When it is tried again: 5, 10, 20 … s, an hour at most, each up to a quarter longer so that they spread."""
    if error.retry_after_seconds == 0 and claim.attempts <= 2:
        return now
    if isinstance(error, Permanent):
        return now + _WRONG_SETTINGS_RETRY
    wait = min(_FIRST_RETRY * 2 ** min(claim.attempts - 1, 20), _LONGEST_RETRY)
    if error.retry_after_seconds:
        wait = max(wait, timedelta(seconds=error.retry_after_seconds))
    jitter = random.uniform(1, 1.25)  # noqa: S311 - not a secret
    return now + timedelta(seconds=wait.total_seconds() * jitter)


def _told(outcome: EventOutcome) -> Parked:
    event = outcome.claimed.event
    return Parked(event.event_id, event.type, event.object_id, outcome.code, outcome.reason, outcome.remedy)
