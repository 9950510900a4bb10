"""What a round does with ladders: read their facts, pass steps over, take steps, end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from order_to_cash.domain.dunning.decision import Do, End, Pass
from order_to_cash.domain.dunning.facts import StepState
from order_to_cash.domain.errors import ClaimLost, O2CError, OutcomeUnknown
from order_to_cash.ledger.ladder_records import LadderStep, StepOutcome
from tasks.company import Company
from tasks.dunning_endings import end_ladders
from tasks.dunning_facts import read_ladders
from tasks.dunning_items import ActionOutcome, LadderItem
from tasks.dunning_progress import Progress
from tasks.dunning_steps import take_steps
from tasks.here import here
from tasks.retrying import step


async def read(company: Company, active: Sequence[Progress], run_id: str) -> None:
    """The facts of each, as Stripe and Salesforce have them now; what cannot be read of one is its own error."""
    items = await here(read_ladders)(company, [one.claim for one in active], run_id)
    found = {item.invoice_id: item for item in items}
    for one in active:
        one.item = found.get(one.invoice_id)
        if one.item is not None:
            one.error = one.item.error


async def pass_over(company: Company, passing: Sequence[Progress]) -> None:
    """Write down which steps are not for their invoices, and why. Raises what the ledger raises."""
    decided = [(one, one.decision) for one in passing if isinstance(one.decision, Pass)]
    outcomes = [
        StepOutcome(claim=one.claim, key=pass_.step.key, state=StepState.PASSED, note=pass_.why)
        for one, pass_ in decided
    ]
    lost = await asyncio.to_thread(company.ledger.ladders.finish_steps, outcomes)
    now = company.clock.now()
    for one, pass_ in decided:
        if _is_lost(one, lost):
            continue
        key = pass_.step.key
        one.passed.append(key)
        begun_at = one.begun_at(key, now)
        one.record(
            LadderStep(key=key, state=StepState.PASSED, begun_at=begun_at, decided_at=now, note=pass_.why)
        )


@step("take {count} steps")
async def take(company: Company, doing: Sequence[Progress], run_id: str, count: int) -> None:
    """Begin each step in the journal, do it, and write down what came of it.

    A step of which anything has to be tried again stays begun. Raises what the ledger raises; begun before is then
    resumed.
    """
    del count
    steps = [(one, one.decision.step.key) for one in doing if isinstance(one.decision, Do)]
    await _begin(company, steps, run_id)
    mine = [(one, key) for one, key in steps if not one.lost]
    items = [one.item for one, _ in mine if one.item is not None]
    outcomes = await take_steps(company, items, run_id) if items else {}
    await _finish(company, mine, outcomes, run_id)


async def _begin(company: Company, steps: Sequence[tuple[Progress, str]], run_id: str) -> None:
    lost = await asyncio.to_thread(
        company.ledger.ladders.begin_steps, [(one.claim, key) for one, key in steps], run_id
    )
    now = company.clock.now()
    for one, key in steps:
        if not _is_lost(one, lost):
            begun = LadderStep(key=key, state=StepState.BEGUN, begun_at=one.begun_at(key, now), run_id=run_id)
            one.record(begun)
        if one.item is not None:
            one.item.claim = one.claim


async def _finish(
    company: Company,
    steps: Sequence[tuple[Progress, str]],
    outcomes: Mapping[str, Sequence[ActionOutcome]],
    run_id: str,
) -> None:
    now = company.clock.now()
    done: list[tuple[Progress, StepOutcome]] = []
    reached: list[StepOutcome] = []
    for one, key in steps:
        actions = outcomes.get(one.invoice_id)
        one.error = _why_not(one, actions)
        if one.error is not None and any(action.contacted for action in actions or ()):
            reached.append(StepOutcome(claim=one.claim, key=key, state=StepState.BEGUN, contacted_at=now))
            one.contacted(now)
        if one.error is None and actions is not None:
            outcome = StepOutcome(
                claim=one.claim,
                key=key,
                state=StepState.DONE,
                note=_note(one.item, key, actions),
                contacted_at=now if any(action.contacted for action in actions) else None,
            )
            done.append((one, outcome))
    outcomes_of_all = [*(outcome for _, outcome in done), *reached]
    lost = await asyncio.to_thread(company.ledger.ladders.finish_steps, outcomes_of_all)
    for one, outcome in done:
        if _is_lost(one, lost):
            continue
        one.taken.append(outcome.key)
        if outcome.contacted_at is not None:
            one.contacted(outcome.contacted_at)
        one.record(
            LadderStep(
                key=outcome.key,
                state=StepState.DONE,
                begun_at=one.begun_at(outcome.key, now),
                decided_at=now,
                contacted_at=outcome.contacted_at,
                run_id=run_id,
                note=outcome.note,
            )
        )


def _why_not(one: Progress, actions: Sequence[ActionOutcome] | None) -> O2CError | None:
    """What keeps the step from being done."""
    if one.item is not None and one.item.error is not None:
        return one.item.error
    if actions is None:
        return OutcomeUnknown("Nothing was told of this step.", ids={"invoice": one.invoice_id})
    again = (action.error for action in actions if action.error is not None)
    return next(again, None)


def _note(item: LadderItem | None, key: str, actions: Sequence[ActionOutcome]) -> str:
    notes = [action.note for action in actions if action.note]
    if item is not None and item.notes.get(key):
        notes.append(item.notes[key])
    return "; ".join(dict.fromkeys(notes))


@step("end {count} ladders")
async def end(company: Company, ending: Sequence[Progress], run_id: str, count: int) -> None:
    """Clear away what they left behind, then end them. What could not be cleared away is tried again later."""
    del count
    ends = [(one, one.decision.reason) for one in ending if isinstance(one.decision, End)]
    items = [one.item for one, _ in ends if one.item is not None]
    errors = await end_ladders(company, items, run_id)
    for one, _ in ends:
        one.error = errors.get(one.invoice_id)
    cleared = [(one, reason) for one, reason in ends if one.error is None]
    lost = await asyncio.to_thread(
        company.ledger.ladders.end, [(one.claim, reason) for one, reason in cleared]
    )
    for one, reason in cleared:
        if not _is_lost(one, lost):
            one.ended = reason


def _is_lost(one: Progress, lost: Mapping[str, ClaimLost]) -> bool:
    one.lost = one.lost or one.invoice_id in lost
    return one.lost
