from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from order_to_cash.cli.app import app
from order_to_cash.cli.group import O2CGroup
from order_to_cash.domain.errors import RecordRejected

HEAVY = {"prefect", "great_expectations", "pandas", "stripe", "simple_salesforce", "pycountry", "sqlmodel"}
COMMANDS = """
    demo up emulators init drain bill doctor salesforce catalog quarantine audit config version
"""


def test_help_lists_every_command(o2c: Callable[..., Result]) -> None:
    shown = o2c("--help")
    assert shown.exit_code == 0
    for command in COMMANDS.split():
        assert command in shown.output


@pytest.mark.parametrize("words", [("--help",), ("bill", "--help"), ("salesforce", "deploy", "--help")])
def test_help_imports_nothing_heavy(words: tuple[str, ...]) -> None:
    program = (
        "import sys\nfrom order_to_cash.cli import main\n"
        f"sys.argv = ['o2c', *{words!r}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print('HEAVY', sorted(set(sys.modules) & {HEAVY!r}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("HEAVY []")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("bil",), "No such command"),
        (("bill", "--mode", "maybe"), "--mode"),
        (("audit", "list", "--limit", "0"), "--limit"),
        (("emulators", "--stripe-port", "99999"), "--stripe-port"),
    ],
)
def test_a_wrong_argument_is_said_with_status_2(
    o2c: Callable[..., Result], words: tuple[str, ...], said: str
) -> None:
    done = o2c(*words)
    assert done.exit_code == 2
    assert said in done.output
    assert "Traceback" not in done.output


def failing() -> typer.Typer:
    program = typer.Typer(cls=O2CGroup, pretty_exceptions_enable=False)

    @program.callback()
    def options(debug: bool = False) -> None: ...

    @program.command()
    def fail() -> None:
        raise RecordRejected("The deal has no lines.", code="no_lines", ids={"opportunity": "006A"})

    return program


def test_an_error_of_ours_is_message_record_and_remedy() -> None:
    done = CliRunner().invoke(failing(), ["fail"])
    assert done.exit_code == 1
    assert done.output.splitlines() == [
        "The deal has no lines. [no_lines]",
        "  record: opportunity 006A",
        "  to do:  Correct the record in Salesforce; it is billed on the next look-out.",
    ]


def test_debug_lets_the_traceback_through() -> None:
    done = CliRunner().invoke(failing(), ["--debug", "fail"])
    assert isinstance(done.exception, RecordRejected)


def test_config_show_masks_secrets(o2c: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("O2C_STRIPE_API_KEY", "sk_test_canary5ecret")
    monkeypatch.setenv("O2C_MAX_AMOUNT_PER_RUN", "EUR=1000")
    done = o2c("config", "show")
    assert done.exit_code == 0
    assert "canary5ecret" not in done.output
    rows = {line.split()[0]: line.split(maxsplit=1)[1] for line in done.output.splitlines()}
    assert rows["O2C_STRIPE_API_KEY"] == "(secret, set)"
    assert rows["O2C_LEDGER_URL"] == "(not set)"
    assert rows["O2C_MAX_AMOUNT_PER_RUN"] == "EUR=1000"
    assert rows["O2C_FIELD_NAMES__PRODUCT_PRICE_ID"] == "Stripe_Price_Id__c"


def test_wrong_settings_end_a_command_with_status_1(
    o2c: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("O2C_ENVIRONMENT", "live")
    done = o2c("config", "show")
    assert done.exit_code == 1
    assert "O2C_STRIPE_API_KEY is not set" in done.output
    assert ".env.example" in done.output
    assert "Traceback" not in done.output


def test_version(o2c: Callable[..., Result]) -> None:
    assert o2c("version").output.startswith("o2c ")


def commands(program: Any, prefix: str = "o2c") -> Iterator[str]:
    for name, command in program.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}"


def test_the_readme_names_every_command() -> None:
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    told = readme.replace("audit list\\|seal\\|verify", "audit list o2c audit seal o2c audit verify")
    missing = [command for command in commands(typer.main.get_command(app)) if command not in told]
    assert missing == ["o2c version"]
