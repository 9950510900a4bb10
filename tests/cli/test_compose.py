"""compose.yaml and the Dockerfile against the code that they start. No container is built here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import typer
import yaml

from order_to_cash.cli.app import app
from order_to_cash.cli.deployments import WORK_POOL
from order_to_cash.settings import unknown_variables

ROOT = Path(__file__).resolve().parents[2]
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))[
    "services"
]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}


def test_every_variable_means_something() -> None:
    given = {
        name: str(value) for service in SERVICES.values() for name, value in service["environment"].items()
    }
    assert unknown_variables(given) == []


def test_every_command_of_ours_exists() -> None:
    commands = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]  # a group, whose type hides it
    started = {
        word
        for service in OURS.values()
        for word in re.findall(r"'o2c', '(\w+)'|o2c (init)", str(service["command"]))
        for word in word
        if word
    }
    assert started == {"init", "receive", "drain"}
    assert started <= commands
    assert SERVICES["worker"]["command"][3:5] == ["--pool", WORK_POOL]


def test_the_server_has_no_key_of_an_account_and_is_not_open_to_the_network() -> None:
    assert SERVICES["server"]["env_file"] == []
    assert [port for service in SERVICES.values() for port in service.get("ports", [])] == [
        "127.0.0.1:4200:4200",
        "127.0.0.1:8484:8484",
    ]


def test_the_receiver_has_what_every_service_of_ours_has() -> None:
    receiver, drain = SERVICES["receiver"]["environment"], SERVICES["drain"]["environment"]
    assert {name: receiver[name] for name in drain} == drain
    assert SERVICES["receiver"]["healthcheck"]["test"][3].count(f":{receiver['O2C_RECEIVE_PORT']}/healthz")


def test_the_image_holds_every_package_and_no_secret() -> None:
    copied = set(
        re.findall(r"^COPY (\w+) \w+$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    )
    packages = re.search(
        r"^packages = (\[.*\])$", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert packages is not None
    assert copied == set(yaml.safe_load(packages[1]))
    assert ".env" in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()


def test_prefect_knows_its_variables() -> None:
    from prefect.settings import Settings

    # The server reads its key from the environment alone: prefect.server.utilities.encryption.
    known = f"{Settings.model_json_schema()} PREFECT_SERVER_ENCRYPTION_KEY"
    names = {
        name
        for service in SERVICES.values()
        for name in service["environment"]
        if name.startswith("PREFECT_")
    }
    assert [name for name in sorted(names) if name not in known] == []
