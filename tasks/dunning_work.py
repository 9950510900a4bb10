"""The actions of ladders' steps on their way through a run: what each is called, and what came of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from order_to_cash.domain.dunning.decision import Do
from order_to_cash.domain.dunning.policy import DunningPolicy
from order_to_cash.domain.dunning.steps import Action, ActionKind, Step
from order_to_cash.domain.errors import ClaimedElsewhere, O2CError
from order_to_cash.domain.linger import Lane
from order_to_cash.ledger.intents import Operation, OperationState
from tasks.company import Company
from tasks.dunning_items import ActionOutcome, LadderItem
from tasks.sync_batch import Batch

KIND = "ladder"
NO_ACCOUNT = "no_account"


@dataclass(slots=True)
class Work:
    """One action of the step that a ladder takes now. Mutable on purpose.

    `trouble`: a sentence for people about what could not be done, "" while all is well. It says what was meant to be
    done, and reaches Slack. `half`: what came of one half of it, where it has two, such as an alert by mail and Slack.
    """

    item: LadderItem
    policy: DunningPolicy
    step: Step
    action: Action
    key: str
    outcome: ActionOutcome | None = None
    trouble: str = ""
    half: ActionOutcome | None = None

    @property
    def kind(self) -> ActionKind:
        return self.action.kind

    @property
    def account_id(self) -> str:
        return self.item.account.account_id

    def done(self, note: str = "", *, contacted: bool = False, trouble: str = "") -> None:
        """It is over, for better or worse; unless its other half is to be tried again."""
        self.trouble = trouble or self.trouble
        half = self.half
        notes = [half.note if half is not None else "", note]
        self.outcome = ActionOutcome(
            self.action,
            self.key,
            "; ".join(filter(None, notes)),
            error=half.error if half is not None else None,
            contacted=contacted or (half is not None and half.contacted),
        )

    def failed(self, error: O2CError, what: str) -> None:
        """Tried again later where that can help; else the ladder climbs on, and people are told."""
        if error.retryable:
            self.outcome = ActionOutcome(self.action, self.key, error=error)
        else:
            self.done(error.code, trouble=f"{what}: {error.message} {error.remedy}".strip())

    def without_account(self) -> None:
        self.done(
            NO_ACCOUNT,
            trouble="Salesforce has no Account of this customer: nobody was given a Task or Case there.",
        )


class LadderBatch(Batch):
    """What the calls of a run go by. Chasing is live work: it does not wait behind what catches up."""

    @property
    def lane(self) -> Lane:
        return Lane.LIVE


def batch_of(company: Company, run_id: str) -> LadderBatch:
    return LadderBatch(claims=(), run_id=run_id, now=company.clock.now())


def works_of(items: Iterable[LadderItem]) -> list[Work]:
    """The actions of every item whose decision is to do a step, in the policy's order."""
    return [
        Work(item, item.policy, item.decision.step, action, key)
        for item in items
        if item.policy is not None and isinstance(item.decision, Do)
        for action, key in keyed(item.invoice_id, item.decision.step)
    ]


def keyed(invoice_id: str, step: Step) -> list[tuple[Action, str]]:
    """A step's actions with the keys of their effects: `ladder:in_…:step:task`, `…:task:2` for a second Task."""
    counts: Counter[ActionKind] = Counter()
    named = []
    for action in step.actions:
        counts[action.kind] += 1
        number = f":{counts[action.kind]}" if counts[action.kind] > 1 else ""
        named.append((action, f"ladder:{invoice_id}:{step.key}:{action.kind}{number}"))
    return named


def begun_at(work: Work, default: datetime) -> datetime:
    """When the step was begun in the journal, which stays the same however often it is resumed."""
    steps = work.item.claim.ladder.steps
    return next((one.begun_at for one in steps if one.key == work.step.key), default)


async def begin(
    company: Company, keys: Sequence[str], run_id: str, intents: Mapping[str, Mapping[str, Any]] | None = None
) -> tuple[dict[str, Operation], dict[str, Operation], dict[str, O2CError]]:
    """Commit the intents: (to be made, made before, held by another run)."""
    told = {key: (intents or {}).get(key, {}) for key in keys}
    begun = await asyncio.to_thread(company.ledger.effects.begin, KIND, told, run_id=run_id)
    ready: dict[str, Operation] = {}
    done: dict[str, Operation] = {}
    elsewhere: dict[str, O2CError] = {}
    for key, operation in begun.items():
        if isinstance(operation, ClaimedElsewhere):
            elsewhere[key] = operation
        elif operation.state is OperationState.DONE:
            done[key] = operation
        else:
            ready[key] = operation
    return ready, done, elsewhere
