"""What all tasks of this product have in common: when they are retried, and that Prefect takes their inputs whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task, exponential_backoff
from prefect.utilities.annotations import opaque

from order_to_cash.domain.errors import ClaimedElsewhere, Retryable

P = ParamSpec("P")
R = TypeVar("R")

# The gateways retry within seconds by themselves; these wait out a longer outage: about 2, 4 and 8 s more.
RETRIES = 3
RETRY_DELAY = exponential_backoff(backoff_factor=2)
RETRY_JITTER_FACTOR = 0.5


async def another_try_can_help(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether the failure is of the retryable half of the error tree. A record held by another run is its business."""
    error = await state.result(raise_on_failure=False)  # type: ignore[misc]  # typed as a plain value, is awaitable in async code
    return isinstance(error, Retryable) and not isinstance(error, ClaimedElsewhere)


class Step(Task[P, R]):
    """A task whose inputs are not searched for other tasks' results: only an input that is one counts as such.

    Prefect looks through every field of every record otherwise, three times a call: a quarter of the time that the
    process spent on a deal, and more with a large catalogue.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return super().__call__(
            *(_whole(value) for value in args), **{name: _whole(value) for name, value in kwargs.items()}
        )


def step(run_name: str) -> Callable[[Callable[P, R]], Task[P, R]]:
    """A task that touches the outside: never cached (the ledger knows what was done), retried when that can help."""

    def decorate(function: Callable[P, R]) -> Task[P, R]:
        return Step(
            function,
            task_run_name=run_name,
            retries=RETRIES,
            retry_delay_seconds=RETRY_DELAY,
            retry_jitter_factor=RETRY_JITTER_FACTOR,
            retry_condition_fn=another_try_can_help,
            cache_policy=NO_CACHE,
            persist_result=False,
        )

    return decorate


def _whole(value: Any) -> Any:
    return value if isinstance(value, str | int) else opaque(value)
