"""The deployments of prefect.yaml against the flows that they start, and against a Prefect server."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
import yaml

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

ROOT = Path(__file__).resolve().parents[2]
DEPLOYMENTS: list[dict[str, Any]] = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))[
    "deployments"
]


@pytest.fixture(params=DEPLOYMENTS, ids=lambda deployment: deployment["name"])
def deployment(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = request.param
    return found


def test_the_entrypoint_is_an_async_flow_in_a_module(deployment: dict[str, Any]) -> None:
    from prefect import Flow

    module, _, name = deployment["entrypoint"].rpartition(".")
    flow = getattr(import_module(module), name)
    assert isinstance(flow, Flow)
    assert inspect.iscoroutinefunction(flow.fn)


def test_parameters_are_the_flows_own_and_valid(deployment: dict[str, Any]) -> None:
    module, _, name = deployment["entrypoint"].rpartition(".")
    flow = getattr(import_module(module), name)
    given = [deployment["parameters"]]
    given += [
        {**deployment["parameters"], **schedule.get("parameters", {})}
        for schedule in deployment.get("schedules", [])
    ]
    for parameters in given:
        flow.validate_parameters(parameters)


def test_the_form_touches_nothing_unless_told_and_the_sweep_applies() -> None:
    deployment = next(one for one in DEPLOYMENTS if one["name"] == "won-deals")
    assert deployment["parameters"]["mode"] == "plan"
    assert [schedule["parameters"]["mode"] for schedule in deployment.get("schedules", [])] == ["apply"]


def test_runs_queue_behind_each_other_and_schedules_can_be_told_apart(deployment: dict[str, Any]) -> None:
    limits = {
        "dunning-ladder": {"limit": 5, "collision_strategy": "ENQUEUE"},
        "sweep-ladders": {"limit": 1, "collision_strategy": "CANCEL_NEW"},
    }
    queued = {"limit": 1, "collision_strategy": "ENQUEUE"}
    assert deployment["concurrency_limit"] == limits.get(deployment["name"], queued)
    assert all(
        schedule["slug"] and schedule["timezone"] == "UTC" for schedule in deployment.get("schedules", [])
    )
    assert deployment["work_pool"]["name"] == "o2c"


def prefect(*words: str, api_url: str, home: Path) -> str:
    environment = {**os.environ, "PREFECT_API_URL": api_url, "PREFECT_HOME": str(home), "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def schedule_runs(client: PrefectClient, deployment_id: UUID) -> None:
    """What the server's scheduler does every few seconds, asked for now."""
    answer = await client.request("POST", "/deployments/{id}/schedule", path_params={"id": deployment_id})
    assert answer.is_success, answer.text


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_server")
async def test_prefect_takes_the_file(tmp_path: Path) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
    from prefect.settings import PREFECT_API_URL

    api_url = PREFECT_API_URL.value()
    assert api_url
    prefect("work-pool", "create", "o2c", "--type", "process", "--overwrite", api_url=api_url, home=tmp_path)
    prefect("deploy", "--all", api_url=api_url, home=tmp_path)
    async with get_client() as client:
        found = await client.read_deployment_by_name("bill-won-deals/won-deals")
        await schedule_runs(client, found.id)
        scheduled = await client.read_flow_runs(
            deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[found.id])), limit=1
        )
    assert [run.parameters["mode"] for run in scheduled] == ["apply"], "the scheduler makes the hourly runs"
    assert found.concurrency_options is not None
    assert found.concurrency_options.collision_strategy.value == "ENQUEUE"
    assert found.schedules[0].parameters == {"mode": "apply"}
    directory = {"prefect.deployments.steps.set_working_directory": {"directory": str(ROOT)}}
    assert found.pull_steps == [directory], "runs start where .env and .o2c stand"
    assert found.entrypoint == "flows.bill_won_deals.bill_won_deals"
    assert set((found.parameter_openapi_schema or {})["properties"]) == set(found.parameters)
