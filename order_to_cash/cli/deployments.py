"""The work pool and the deployments of `prefect.yaml`, registered with the configured Prefect server."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from order_to_cash.domain.errors import ConfigurationError

WORK_POOL = "o2c"


def checkout() -> Path:
    """The folder with `prefect.yaml`: this one, or the one that the package is installed from."""
    for folder in (Path.cwd(), Path(__file__).resolve().parents[2]):
        if (folder / "prefect.yaml").is_file():
            return folder
    raise ConfigurationError(
        "There is no prefect.yaml here.",
        code="deployments_missing",
        remedy="Run the command in the checkout of o2c.",
    )


async def apply_deployments() -> None:
    """Make the work pool and register every deployment. Safe to repeat. Raises ConfigurationError."""
    await _work_pool()
    folder = checkout()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"),
        cwd=folder,
        env={**os.environ, "O2C_CHECKOUT": str(Path.cwd())},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise ConfigurationError(
            f"`prefect deploy --all` failed: {output.decode(errors='replace').strip()[-400:]}",
            code="deploy_failed",
            remedy="Correct prefect.yaml, or start the Prefect server.",
        )


async def _work_pool() -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists

    async with get_client() as client:
        try:
            await client.create_work_pool(WorkPoolCreate(name=WORK_POOL, type="process"))
        except ObjectAlreadyExists:
            return
