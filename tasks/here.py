"""A task where there is a run that shows it, and the same function where Prefect does not answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from prefect.context import FlowRunContext
from prefect.tasks import Task

P = ParamSpec("P")
R = TypeVar("R")


def in_a_run() -> bool:
    """Whether this is within a flow run."""
    return FlowRunContext.get() is not None


def here(task: Task[P, R]) -> Callable[P, R]:
    """The task within a flow run; elsewhere its function, without retries."""
    return task if in_a_run() else task.fn
