from __future__ import annotations

import re
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
    demo up emulators init drain bill doctor salesforce catalog events ladder held audit config version
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
        (("bill", "006000000000001AAA", "--approved-by", " "), "--approved-by"),
        (("bill", "006A"), "006A: A Salesforce record id has 15 letters"),
        (("audit", "verify", "--head", "latest"), "--head"),
        (("audit", "list", "--limit", "0"), "'--limit': 0 is too small: at least 1."),
        (("emulators", "--stripe-port", "99999"), "99999 is too large: at most 65535."),
    ],
)
def test_a_wrong_argument_is_said_with_status_2(
    o2c: Callable[..., Result], words: tuple[str, ...], said: str
) -> None:
    done = o2c(*words)
    assert done.exit_code == 2
    assert said in done.output
    assert "Traceback" not in done.output
    assert "Value error" not in done.output
    assert "Input should" not in done.output


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


@pytest.mark.parametrize(
    "command", ["up", "bill", "drain --once", "catalog match", "salesforce deploy", "doctor"]
)
def test_without_the_emulators_a_command_says_how_to_start_them(
    o2c: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    for name in ("STRIPE_API_BASE", "SALESFORCE_BASE_URL", "SLACK_BASE_URL"):
        monkeypatch.setenv(f"O2C_{name}", "http://127.0.0.1:1")
    monkeypatch.setenv("O2C_PREFECT_API_URL", "http://127.0.0.1:1/api")
    done = o2c(*command.split())
    assert done.exit_code == 1
    assert "the emulators do not run" in done.output
    assert "Start them with `o2c emulators`" in done.output


def test_version(o2c: Callable[..., Result]) -> None:
    assert o2c("version").output.startswith("o2c ")


def commands(program: Any, prefix: str = "o2c") -> Iterator[tuple[str, set[str]]]:
    """Each command that help lists, with its options."""
    for name, command in program.commands.items():
        if command.hidden:
            continue
        if hasattr(command, "commands"):
            yield from commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", {option for each in command.params for option in each.opts}


def table_rows(readme: str) -> Iterator[tuple[str, set[str]]]:
    """Each command of the table, `a|b` as two, with the options that its row names."""
    for shown in re.findall(r"^\| `(o2c [^`]+)` \|", readme.replace("\\|", "¦"), re.MULTILINE):
        *group, last = re.split(r" [\[<A-Z-]", shown)[0].split()
        for name in last.split("¦"):
            yield " ".join([*group, name]), set(re.findall(r"--[a-z-]+", shown))


def test_the_readmes_table_is_what_the_commands_are() -> None:
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    known, told = dict(commands(typer.main.get_command(app))), dict(table_rows(readme))
    assert sorted(told) == sorted(known)
    assert {name: options - known[name] for name, options in told.items() if options - known[name]} == {}
