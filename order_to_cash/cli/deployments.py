"""The work pool and the deployments of `prefect.yaml`, registered with the configured Prefect server."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from order_to_cash.cli.processes import killed
from order_to_cash.domain.errors import ConfigurationError

WORK_POOL = "o2c"


def checkout() -> Path:
    """The folder with our `prefect.yaml`: the one that the package is installed from. Raises ConfigurationError."""
    folder = Path(__file__).resolve().parents[2]
    if (folder / "prefect.yaml").is_file():
        return folder
    raise ConfigurationError(
        f"There is no prefect.yaml in {folder}.",
        code="deployments_missing",
        remedy="Install o2c from a checkout (`make install`): runs of deployments start in that folder.",
    )


async def apply_deployments() -> list[str]:
    """Make the work pool and register every deployment; their names. Safe to repeat. Raises ConfigurationError."""
    await _work_pool()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"),
        cwd=checkout(),
        env={**os.environ, "NO_COLOR": "1"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        await killed(process)
        raise
    if process.returncode:
        raise ConfigurationError(
            f"`prefect deploy --all` failed: {output.decode(errors='replace').strip()[-400:]}",
            code="deploy_failed",
            remedy="Correct prefect.yaml, or start the Prefect server.",
        )
    return await _names()


async def _names() -> list[str]:
    """Those that the work pool has by now."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import WorkPoolFilter, WorkPoolFilterName

    ours = WorkPoolFilter(name=WorkPoolFilterName(any_=[WORK_POOL]))
    async with get_client() as client:
        return sorted(one.name for one in await client.read_deployments(work_pool_filter=ours))


async def _work_pool() -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists

    async with get_client() as client:
        try:
            await client.create_work_pool(WorkPoolCreate(name=WORK_POOL, type="process"))
        except ObjectAlreadyExists:
            return
