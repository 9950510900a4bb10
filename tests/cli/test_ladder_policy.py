"""`o2c ladder policy`: printed, checked, saved to the block; and a drain that follows the block."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from typer.testing import Result

from order_to_cash.cli.policy_watch import PolicyWatch
from order_to_cash.cli.wiring import open_ledger
from order_to_cash.domain.clock import FixedClock
from order_to_cash.domain.dunning.default_policy import DEFAULT_POLICY, default_policy
from order_to_cash.domain.dunning.reading import read_policy
from order_to_cash.settings import load_settings
from tests.cli.command_clock import commands_ask
from tests.ledger.support import START

Command = Callable[..., Result]


def ours(**other: Any) -> dict[str, Any]:
    return {**deepcopy(DEFAULT_POLICY), "name": "ours", "quiet_period": "30h", **other}


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., str]:
    def write(**other: Any) -> str:
        path = tmp_path / "ours.json"
        path.write_text(json.dumps(ours(**other)), encoding="utf-8")
        return str(path)

    return write


def plain(output: str) -> str:
    return " ".join(output.replace("│", " ").split())


def test_without_a_word_the_default_is_printed(o2c: Command) -> None:
    done = o2c("ladder", "policy")
    assert done.exit_code == 0
    assert json.loads(done.stdout) == DEFAULT_POLICY


def test_a_valid_policy_is_shown_with_its_steps(o2c: Command, written: Callable[..., str]) -> None:
    path = written()
    done = o2c("ladder", "policy", "check", path)
    assert done.exit_code == 0, done.output
    assert f"Policy ours is valid: version {read_policy(ours()).version}." in done.stdout
    shown = plain(done.stdout)
    assert (
        "charged customer-mail Ask for another payment method 24h after the first failure email, case"
        in shown
    )
    assert (
        "sent due-executive Long overdue 7d before Stripe's final action executive alert, account flag"
        in shown
    )
    assert "warning" not in shown
    assert f"o2c ladder policy apply {path}" in done.stdout


def test_what_does_not_go_together_is_warned_of(o2c: Command, written: Callable[..., str]) -> None:
    shown = plain(o2c("ladder", "policy", "check", written(quiet_period="72h")).stdout)
    assert "warning csm-outreach is due 2 d after customer-mail, within the quiet period of 72h" in shown
    assert "warning due-outreach is due 2 d after due-mail" in shown


def test_a_mail_that_could_not_be_written_is_warned_of(o2c: Command, written: Callable[..., str]) -> None:
    data = ours()
    data["charged"]["steps"][1]["actions"][0]["template"] = "pay_now"
    done = o2c("ladder", "policy", "check", written(charged=data["charged"]))
    assert done.exit_code == 0, done.output
    assert "Step customer-mail: there is no mail template pay_now." in plain(done.stderr)


@pytest.mark.parametrize("command", ["check", "apply"])
def test_a_broken_policy_is_told_with_status_2(
    o2c: Command, written: Callable[..., str], command: str
) -> None:
    done = o2c("ladder", "policy", command, written(quiet_period="soon"))
    assert done.exit_code == 2
    assert "Invalid value for FILE: The dunning policy is not valid: quiet_period: 'soon'" in plain(
        done.output
    )
    assert o2c("ladder", "policy", command, "nowhere.json").exit_code == 2


def test_saving_needs_prefect(
    o2c: Command, written: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("O2C_PREFECT_API_URL", "http://127.0.0.1:1/api")
    for words in (("show",), ("apply", written())):
        done = o2c("ladder", "policy", *words)
        assert done.exit_code == 1
        assert "prefect_unavailable" in done.output


@pytest.fixture
async def prefect(prefect_server: None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """The server, where the commands find it, with the block as it was saved first."""
    from prefect.settings import PREFECT_API_URL

    from blocks.dunning_policy import DunningPolicyBlock
    from blocks.registry import BLOCK_NAME

    monkeypatch.setenv("O2C_PREFECT_API_URL", str(PREFECT_API_URL.value()))
    monkeypatch.setenv("PREFECT_API_URL", str(PREFECT_API_URL.value()))
    commands_ask(monkeypatch, FixedClock(START))
    await DunningPolicyBlock().asave(BLOCK_NAME, overwrite=True)
    yield
    await DunningPolicyBlock().asave(BLOCK_NAME, overwrite=True)


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect")
async def test_a_policy_is_saved_shown_and_followed_by_a_running_drain(
    o2c: Command, written: Callable[..., str], clean_place: Path
) -> None:
    from blocks.dunning_policy import DunningPolicyBlock
    from blocks.registry import BLOCK_NAME

    company: Any = SimpleNamespace(name=BLOCK_NAME, dunning=default_policy())
    done = await asyncio.to_thread(o2c, "ladder", "policy", "apply", written())
    assert done.exit_code == 0, done.output
    mine, before = read_policy(ours()), default_policy().version
    assert f"Saved: policy ours, version {mine.version}; before: {before}." in done.output
    again = await asyncio.to_thread(o2c, "ladder", "policy", "apply", written())
    assert again.output == f"Unchanged: policy ours, version {mine.version}.\n"
    shown = await asyncio.to_thread(o2c, "ladder", "policy", "show")
    assert json.loads(shown.stdout) == ours()
    with open_ledger(load_settings(), FixedClock(START)) as ledger:
        kept = ledger.ladders.policy(mine.version)
    assert read_policy(kept) == mine, "a ladder that names it can be read from a restored ledger"
    watch = PolicyWatch()
    await watch.renew(company)
    assert company.dunning == mine
    block = cast("DunningPolicyBlock", await DunningPolicyBlock.aload(BLOCK_NAME))
    block.enabled = False
    await block.asave(BLOCK_NAME, overwrite=True)
    await watch.renew(company)
    assert company.dunning is None
    off = await asyncio.to_thread(o2c, "ladder", "policy", "apply", written())
    assert "Ladders are off" in off.stderr


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect")
async def test_a_block_that_is_no_policy_leaves_the_one_before_in_force(
    caplog: pytest.LogCaptureFixture,
) -> None:
    from blocks.dunning_policy import DunningPolicyBlock
    from blocks.registry import BLOCK_NAME

    company: Any = SimpleNamespace(name=BLOCK_NAME, dunning=default_policy())
    await DunningPolicyBlock(policy={"charged": "nonsense"}).asave(BLOCK_NAME, overwrite=True)
    watch = PolicyWatch()
    for _ in range(3):
        await watch.renew(company)
    assert company.dunning == default_policy()
    assert len([record for record in caplog.records if "is left aside" in record.message]) == 1
    await PolicyWatch().renew(SimpleNamespace(name="nobody", dunning=company.dunning))  # type: ignore[arg-type]  # all that it reads
