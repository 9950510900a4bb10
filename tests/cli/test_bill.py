from __future__ import annotations

import pytest

from order_to_cash.cli import bill
from order_to_cash.settings import Settings, load_settings

LEVEL = "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"


def nothing(settings: Settings) -> None:
    """Emulators and Prefect are taken to be there."""


async def billed(opportunity_ids: list[str], mode: str, approved_by: str) -> bool:
    return True


@pytest.mark.parametrize("verbose", [False, True])
def test_the_terminal_shows_the_runs_log_lines_only_when_asked_for(
    monkeypatch: pytest.MonkeyPatch, verbose: bool
) -> None:
    from prefect.logging.configuration import DEFAULT_LOGGING_SETTINGS_PATH, load_logging_config

    for name in ("require_emulators", "require_prefect", "use_prefect"):
        monkeypatch.setattr(bill, name, nothing)
    monkeypatch.setattr(bill, "_bill", billed)
    monkeypatch.setenv(LEVEL, "")  # so that it is put back afterwards
    monkeypatch.delenv(LEVEL)
    bill.run(load_settings(), [], mode="plan", verbose=verbose)
    handlers = load_logging_config(DEFAULT_LOGGING_SETTINGS_PATH)["handlers"]
    assert (handlers["console"]["level"] == "WARNING") is not verbose
    assert handlers["api"]["level"] == 0, "the run's page keeps every line"
