"""How an outside effect is made once: intent committed first, an unknown outcome looked up and never just repeated."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, Protocol, TypeVar

from order_to_cash.domain.errors import IdempotencyMismatch, O2CError, OutcomeUnknown, Permanent, Retryable
from order_to_cash.gateways.stripe_errors import KEY_SPENT
from order_to_cash.ledger.claims import Claim
from order_to_cash.ledger.intents import Operation, OperationState
from order_to_cash.ledger.operations import Operations

T = TypeVar("T")
Outcome = dict[str, Any]

# The clocks of two systems differ: what was made after the intent may carry an earlier `created`.
CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True)
class Effect(Generic[T]):
    """One effect on the far side, and the ways to learn afterwards what became of it.

    `make` does it under the idempotency key it is given. `look_up` asks the far side whether an earlier intent was
    carried out, and answers None when it was not. `record` turns the result into what the ledger keeps (ids, amounts
    and counts, no personal data); `recall` turns that back into the result. `may_renew`: whether a look-up that finds
    nothing is believed already when the key is spent; not at once where the far side lists its events late.
    """

    name: str
    intent: Mapping[str, Any]
    make: Callable[[str], Awaitable[T]]
    look_up: Callable[[Operation], Awaitable[T | None]]
    record: Callable[[T], Outcome]
    recall: Callable[[Outcome], Awaitable[T]]
    point_of_no_return: bool = False
    may_renew: Callable[[Operation], bool] = lambda _operation: True


class Page(Protocol):
    """Where the ledger writes one operation down. Its methods commit before they return."""

    def begin(self) -> Operation: ...
    def renew(self) -> Operation: ...
    def succeed(self, outcome: Outcome) -> None: ...
    def refuse(self, error: O2CError) -> None: ...
    def release(self) -> None: ...


async def once(page: Page, effect: Effect[T]) -> T:
    """The result of `effect`, made now or found to have been made before.

    What was refused earlier is tried again under a new key: the record may have been corrected since, and the far
    side replays a refusal to the old key. So is what a look-up does not find and whose key only replays an error of
    the server. Raises what the effect's functions raise, ClaimLost and ClaimedElsewhere.
    """
    operation = await asyncio.to_thread(page.begin)
    if operation.state is OperationState.DONE:
        return await effect.recall(operation.outcome)
    try:
        result = await _looked_up_or_made(page, effect, operation)
    except Retryable:
        with suppress(O2CError):
            await asyncio.to_thread(page.release)
        raise
    await asyncio.to_thread(page.succeed, effect.record(result))
    return result


async def _looked_up_or_made(page: Page, effect: Effect[T], operation: Operation) -> T:
    if operation.state is OperationState.UNKNOWN:
        found = await effect.look_up(operation)
        if found is not None:
            return found
    if operation.state is OperationState.REFUSED or operation.key_expired:
        operation = await asyncio.to_thread(page.renew)
    try:
        return await _made(page, effect, operation)
    except IdempotencyMismatch:
        # Something was made under this very name: it is looked for again, and never made anew under another.
        raise
    except Permanent as error:
        await asyncio.to_thread(page.refuse, error)
        raise


async def _made(page: Page, effect: Effect[T], operation: Operation) -> T:
    try:
        return await effect.make(operation.idempotency_key)
    except OutcomeUnknown as error:
        if error.code != KEY_SPENT or not effect.may_renew(operation):
            raise
    found = await effect.look_up(operation)
    if found is not None:
        return found
    renewed = await asyncio.to_thread(page.renew)
    return await effect.make(renewed.idempotency_key)


class StepPage:
    """A step towards the claimed obligation."""

    def __init__(self, operations: Operations, claim: Claim, effect: Effect[Any]) -> None:
        self._operations = operations
        self._claim = claim
        self._effect = effect

    def begin(self) -> Operation:
        return self._operations.begin(
            self._claim,
            self._effect.name,
            self._effect.intent,
            point_of_no_return=self._effect.point_of_no_return,
        )

    def renew(self) -> Operation:
        return self._operations.renew_key(self._claim, self._effect.name)

    def succeed(self, outcome: Outcome) -> None:
        self._operations.succeed(self._claim, self._effect.name, outcome)

    def refuse(self, error: O2CError) -> None:
        self._operations.refuse(self._claim, self._effect.name, error)

    def release(self) -> None:
        """Nothing: the step is leased with its obligation."""


class LonePage:
    """An effect that belongs to no single obligation, under the key `effect.name`."""

    def __init__(self, operations: Operations, kind: str, run_id: str, effect: Effect[Any]) -> None:
        self._operations = operations
        self._kind = kind
        self._run_id = run_id
        self._effect = effect
        self._operation: Operation | None = None

    def begin(self) -> Operation:
        self._operation = self._operations.begin_standalone(
            self._effect.name, self._kind, self._effect.intent, run_id=self._run_id
        )
        return self._operation

    def renew(self) -> Operation:
        self._operation = self._operations.renew_standalone(self._begun())
        return self._operation

    def succeed(self, outcome: Outcome) -> None:
        self._operations.succeed_standalone(self._begun(), outcome)

    def refuse(self, error: O2CError) -> None:
        self._operations.refuse_standalone(self._begun(), error)

    def release(self) -> None:
        self._operations.release_standalone(self._begun())

    def _begun(self) -> Operation:
        assert self._operation is not None
        return self._operation
