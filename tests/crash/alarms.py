"""The alarms of ladders that the Prefect server of the tests has, over its API."""

from __future__ import annotations

from typing import Any

import httpx


class Alarms:
    """`tag`: what each of them carries."""

    def __init__(self, api_url: str, tag: str) -> None:
        self._url = api_url
        self._tag = tag

    def of(self, invoice_id: str) -> list[str]:
        """Ids of the runs that are still to wake its ladder."""
        runs = self._found(f"invoice:{invoice_id}")
        return [str(run["id"]) for run in runs if run["state_type"] == "SCHEDULED"]

    def forget(self) -> None:
        """Those of ledgers that are gone. A server that is busy keeps them: nothing here hangs on it."""
        for run in self._found(self._tag):
            httpx.delete(f"{self._url}/flow_runs/{run['id']}", timeout=60, trust_env=False)

    def _found(self, tag: str) -> list[dict[str, Any]]:
        asked = {"flow_runs": {"tags": {"all_": [tag]}}}
        answer = httpx.post(f"{self._url}/flow_runs/filter", json=asked, timeout=60, trust_env=False)
        found: list[dict[str, Any]] = answer.raise_for_status().json()
        return found
