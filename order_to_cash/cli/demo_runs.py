"""What the demo has run by Prefect, and asks of it."""

from __future__ import annotations

import asyncio
import time


async def sweep(patience_seconds: float) -> tuple[str, str, str]:
    """Run the deployment in apply mode through the worker: the run's id, the deployment's, and how it ended."""
    from prefect.client.orchestration import get_client

    deadline = time.monotonic() + patience_seconds
    async with get_client() as client:
        deployment = await client.read_deployment_by_name("bill-won-deals/won-deals")
        made = await client.create_flow_run_from_deployment(deployment.id, parameters={"mode": "apply"})
        while True:
            state = (await client.read_flow_run(made.id)).state
            if state is not None and (state.is_final() or time.monotonic() > deadline):
                return str(made.id), str(deployment.id), f"{state.name}: {state.message or ''}"
            await asyncio.sleep(0.3)


async def first_run(ui: str) -> str:
    """The address of the first run: the one that billed."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.sorting import FlowRunSort

    async with get_client() as client:
        runs = await client.read_flow_runs(sort=FlowRunSort.START_TIME_ASC, limit=1)
    return f"{ui}/runs/flow-run/{runs[0].id}" if runs else ui


async def alarm(ui: str, invoice_id: str) -> str:
    """The address of the scheduled run that a ladder sleeps for."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
        FlowRunFilterTags,
    )
    from prefect.client.schemas.objects import StateType

    scheduled = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED]))
    wanted = FlowRunFilter(tags=FlowRunFilterTags(all_=[f"invoice:{invoice_id}"]), state=scheduled)
    async with get_client() as client:
        runs = await client.read_flow_runs(flow_run_filter=wanted, limit=1)
    return f"{ui}/runs/flow-run/{runs[0].id}" if runs else f"{ui}/runs"
