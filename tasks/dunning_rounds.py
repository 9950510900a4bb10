"""Claimed ladders are moved as far as they go now: read, decided, acted on, written down, in rounds.

A ladder that fails stops no other. Every step is begun in the journal before its first effect and done after its last,
so that whoever comes after a kill goes on where it was.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Sequence
from datetime import datetime

from prefect.logging import get_logger

from order_to_cash.domain.dunning.decision import Do, End, Held, Pass, ReadAgain, Rest, Sleep
from order_to_cash.domain.dunning.rounds import decide_together
from order_to_cash.domain.errors import ClaimLost, O2CError, RecordRejected, Unavailable
from order_to_cash.ledger.ladder_records import ClaimedLadder
from tasks.company import Company
from tasks.dunning_acts import end, pass_over, read, take
from tasks.dunning_claims import refreshed
from tasks.dunning_progress import Progress, by_customer
from tasks.dunning_settling import failed, settled
from tasks.here import here
from tasks.retrying import step

LOG = get_logger("o2c.ladders")

# A ladder of 30 steps that are all overdue and none of which waits for another day.
MOST_ROUNDS = 40
# Enough to find one customer in 200 several times over.
MOST_HALVES = 64
OFF = "Dunning is switched off."


async def climb(company: Company, claims: Sequence[ClaimedLadder], run_id: str) -> list[Progress]:
    """Move them, and settle or end each; what became of them.

    Where something unforeseen breaks it the ladders are halved by customer until the one that does so stands alone,
    and is tried again later like any other that fails. Raises what the ledger raises; the claims then stand.
    """
    done: list[Progress] = []
    waiting, halves = [[claim for claim in claims if claim.due or not claim.ladder.failures]], 0
    while waiting:
        progress = [Progress(claim) for claim in waiting.pop()]
        error = await _climbed(company, progress, run_id)
        left = by_customer(one for one in progress if not one.over)
        if error is None or error.retryable or len(left) < 2 or halves >= MOST_HALVES:
            done += await _all_settled(company, progress, error)
            continue
        done += await _all_settled(company, [one for one in progress if one.over], None)
        halves, middle = halves + 1, len(left) // 2
        one_half, other = (
            [one.claim for each in half for one in each] for half in (left[:middle], left[middle:])
        )
        waiting += [await refreshed(company, one_half), await refreshed(company, other)]
    return done


async def _climbed(company: Company, progress: Sequence[Progress], run_id: str) -> O2CError | None:
    """Walk the rounds; the error that broke them off."""
    try:
        for _ in range(MOST_ROUNDS):
            active = [one for one in progress if not one.over]
            if not active:
                return None
            await _round(company, active, run_id)
    except O2CError as error:
        return error
    except Exception as error:  # noqa: BLE001 - a fault of ours in one ladder must not hold up the others
        # Without the error's own words: they may quote what Stripe or Salesforce sent.
        where = "".join(traceback.format_tb(error.__traceback__))
        LOG.error("%s in a round of %d ladders:\n%s", type(error).__name__, len(progress), where)
        return _unforeseen(error)
    return Unavailable("The ladder is not through with its steps in this run.", code="ladder_too_long")


async def _round(company: Company, active: Sequence[Progress], run_id: str) -> None:
    await read(company, active, run_id)
    standing = [one for one in active if not one.over]
    _decide(company, standing, company.clock.now())
    passing = [one for one in standing if isinstance(one.decision, Pass)]
    doing = [one for one in standing if isinstance(one.decision, Do)]
    ending = [one for one in standing if isinstance(one.decision, End)]
    if passing:
        await pass_over(company, passing)
    if ending:
        await here(end)(company, ending, run_id, len(ending))
    if (
        doing and not ending
    ):  # else read once more: clearing away takes a while, and somebody may pay meanwhile
        await here(take)(company, doing, run_id, len(doing))
    _sleep_again(company, standing, company.clock.now())


def _decide(company: Company, standing: Sequence[Progress], now: datetime) -> None:
    """The decision of each. One without facts, or whose policy differs, fails alone."""
    for customer in by_customer(standing):
        known = []
        for one in customer:
            facts = one.facts()
            if facts is None or one.item is None or one.item.policy is None:
                one.error = _without_facts(one)
            else:
                known.append((one, (facts, one.item.policy)))
        decided = decide_together([each for _, each in known], now)
        for (one, _), decision in zip(known, decided, strict=True):
            chased = isinstance(decision, Do | Pass | Sleep | Rest)
            one.decision = Held(None, OFF) if company.dunning is None and chased else decision
            if one.item is not None:
                one.item.decision = one.decision


def _sleep_again(company: Company, standing: Sequence[Progress], now: datetime) -> None:
    """Settle what has nothing more to do now. After a step that is judged by what was just read: if it leads to
    another step, the next round reads again before it.
    """
    for customer in by_customer(standing):
        acted = any(isinstance(one.decision, Do | Pass) for one in customer)
        left = [one for one in customer if not one.over]
        if acted:
            _tell_of_contacts(customer)
            _decide(company, left, now)
            left = [one for one in left if not one.over]
        final = [one for one in left if isinstance(one.decision, Sleep | Held | ReadAgain | Rest)]
        if len(final) < len(left):
            continue  # a contact of one may take the others along
        for one in final:
            assert isinstance(one.decision, Sleep | Held | ReadAgain | Rest)
            one.settled = settled(one, one.decision, now)


def _tell_of_contacts(customer: Sequence[Progress]) -> None:
    """A contact through one ladder is one with the customer."""
    for one in customer:
        for at in [other.claim.last_contact_at for other in customer]:
            if at is not None:
                one.contacted(at)


@step("settle {count} ladders")
async def _settle(company: Company, progress: Sequence[Progress], count: int) -> None:
    """Commit how they sleep. Raises what the ledger raises."""
    del count
    lost = await asyncio.to_thread(
        company.ledger.ladders.settle, [one.settled for one in progress if one.settled is not None]
    )
    for one in progress:
        one.lost = one.lost or one.invoice_id in lost


async def _all_settled(
    company: Company, progress: Sequence[Progress], error: O2CError | None
) -> list[Progress]:
    """Commit how each sleeps; what `error` or its own broke off is tried again later."""
    now = company.clock.now()
    for one in progress:
        if not one.over:
            one.error = error
        if one.error is not None and not one.lost and one.ended is None:
            if isinstance(one.error, ClaimLost):
                one.lost, one.error = True, None
            else:
                one.settled = failed(one, one.error, now)
    sleeping = [one for one in progress if one.settled is not None and not one.lost]
    if sleeping:
        await here(_settle)(company, sleeping, len(sleeping))
    return list(progress)


def _without_facts(one: Progress) -> O2CError:
    return RecordRejected(
        "Nothing was read of this invoice.",
        code="ladder_unread",
        remedy="Report it with the run's log. It is tried again.",
        ids={"invoice": one.invoice_id},
    )


def _unforeseen(error: Exception) -> RecordRejected:
    return RecordRejected(
        f"Moving this ladder broke with {type(error).__name__}.",
        code="ladder_unforeseen",
        remedy="Report it with the run's log. It is tried again.",
    )
