"""`o2c up` whole: with the emulators, everything starts, receives, starts again and ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from emulators.run import make_services, running
from order_to_cash.cli import emulated_webhooks, guardian
from order_to_cash.cli.processes import free_port, is_listening
from order_to_cash.cli.wiring import open_ledger
from order_to_cash.ledger.inbox_claims import EventSource
from order_to_cash.ledger.inbox_search import EventFilter
from order_to_cash.settings import Settings, load_settings
from tests.cli.waiting import until_now

UP = [sys.executable, "-m", "order_to_cash.cli", "up"]
ROOT = Path(__file__).resolve().parents[2]
KEY = ("sk_test_emulator", "")


@pytest.fixture
def vendors(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, str]]:
    with running(*make_services(["stripe", "salesforce", "slack"])) as urls:
        variables = {
            "O2C_HOME": str(tmp_path / "home"),
            "O2C_STRIPE_API_BASE": urls["stripe"],
            "O2C_SALESFORCE_BASE_URL": urls["salesforce"],
            "O2C_SLACK_BASE_URL": urls["slack"],
            "O2C_PREFECT_API_URL": f"http://127.0.0.1:{free_port()}/api",
            "O2C_RECEIVE_PORT": str(free_port()),
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        yield dict(urls)


def endpoints(urls: dict[str, str]) -> list[dict[str, Any]]:
    answer = httpx.get(f"{urls['stripe']}/v1/webhook_endpoints", auth=KEY, trust_env=False)
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


async def test_the_emulators_endpoint_is_made_once_and_anew_when_its_secret_is_lost(
    vendors: dict[str, str],
) -> None:
    settings, url = load_settings(), "http://127.0.0.1:9/stripe/webhook"
    first = await emulated_webhooks.registered(settings, url)
    assert await emulated_webhooks.registered(settings, url) == first
    assert [one["url"] for one in endpoints(vendors)] == [url]
    kept = settings.home / "emulator-webhook.json"
    assert kept.stat().st_mode & 0o777 == 0o600

    kept.unlink()
    again = await emulated_webhooks.registered(settings, url)
    assert again != first
    assert len(endpoints(vendors)) == 1, "nothing is sent with the lost secret"
    assert first.get_secret_value() not in repr(again)


def test_only_the_emulators_are_set_up_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(env_file=None)
    assert emulated_webhooks.needed(settings)
    monkeypatch.setenv("O2C_STRIPE_WEBHOOK_SECRETS", f"whsec_{'a' * 32}")
    assert not emulated_webhooks.needed(load_settings(env_file=None)), "somebody has set one"


def environment() -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return {**ours, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def test_without_the_emulators_nothing_is_started(
    vendors: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("O2C_SLACK_BASE_URL", f"http://127.0.0.1:{free_port()}")
    done = subprocess.run(UP, env=environment(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "the emulators do not run" in done.stdout + done.stderr
    assert "Prefect server" not in done.stdout


def test_a_port_that_is_taken_is_told_before_anything_is_started(vendors: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", load_settings().receive_port)):
        done = subprocess.run(UP, env=environment(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "put another port into O2C_RECEIVE_PORT" in done.stdout + done.stderr
    assert "Prefect server" not in done.stdout


@pytest.mark.prefect
def test_everything_starts_receives_starts_again_and_ends(vendors: dict[str, str], tmp_path: Path) -> None:
    settings = load_settings()
    log = tmp_path / "up.log"
    with log.open("wb") as output:
        up = subprocess.Popen(UP, cwd=tmp_path, env=environment(), stdout=output, stderr=output)
    try:
        until_now(lambda: "Ready." in log.read_text(encoding="utf-8"), 240)
        family = guardian.descendants({up.pid})
        _starts_with_a_line_each(log.read_text(encoding="utf-8"), settings)
        receiver = f"http://127.0.0.1:{settings.receive_port}"
        assert httpx.get(f"{receiver}/readyz", trust_env=False).text == "ready\n"

        _kill(family, "receive")
        until_now(lambda: "receiver runs again" in log.read_text(encoding="utf-8"), 60)
        httpx.post(f"{vendors['stripe']}/v1/customers", data={"name": "Acme"}, auth=KEY, trust_env=False)
        until_now(lambda: _received(settings) == ["customer.created"], 60)
        family |= guardian.descendants({up.pid})
    finally:
        up.send_signal(signal.SIGTERM)
        status = up.wait(60)
    assert status == 0, log.read_text(encoding="utf-8")
    assert log.read_text(encoding="utf-8").endswith("Stopping …\nStopped.\n")
    until_now(lambda: not guardian.alive(family))
    assert not is_listening(settings.receive_port)


def _starts_with_a_line_each(told: str, settings: Settings) -> None:
    lines = told.partition("\n\n")[0].splitlines()
    assert {line[:16].strip() for line in lines} == {
        *("Prefect server", "Ledger", "Receiver", "Blocks", "Alerts", "Deployments", "Drain", "Worker")
    }
    assert f"Receiver        http://127.0.0.1:{settings.receive_port}/stripe/webhook" in lines
    assert f"Prefect server  {settings.prefect_api_url.removesuffix('/api')}" in lines
    assert len(lines) == 8


def _kill(pids: set[int], command: str) -> None:
    for pid in pids:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if command.encode() in words:
            os.kill(pid, signal.SIGKILL)
            return
    raise AssertionError(f"no process {command}")


def _received(settings: Settings) -> list[str]:
    with open_ledger(settings) as ledger:
        return [row.type for row in ledger.inbox.find(EventFilter()) if row.source == EventSource.WEBHOOK]
