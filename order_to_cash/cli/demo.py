"""`o2c demo`: the whole story against the emulators, with nothing to sign up for."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from order_to_cash.cli.demo_company import STORY, seed, win
from order_to_cash.cli.demo_result import Seen, read_outcomes, show_outcomes, told_in_slack
from order_to_cash.cli.processes import Child, answers, free_port, is_listening
from order_to_cash.cli.salesforce import INTEGRATION_SET
from order_to_cash.cli.up import House
from order_to_cash.cli.wiring import make_clock
from order_to_cash.settings import Settings, load_settings

if TYPE_CHECKING:
    from emulators.seeding import Seeder

HOME = Path(".o2c") / "demo"
EMULATOR_PORTS = {"stripe": 12111, "salesforce": 12112, "slack": 12113}
PREFECT_PORT = 4200
PATIENCE_SECONDS = 45.0


def run(*, exit_when_done: bool) -> None:
    """Tell the story, then stay until Ctrl-C; with `exit_when_done` stop, with status 1 if it went otherwise."""
    if not asyncio.run(_Demo().play(exit_when_done=exit_when_done)):
        raise typer.Exit(1)


class _Demo:
    def __init__(self) -> None:
        self._began = time.monotonic()
        self._ports = {name: _port(port) for name, port in EMULATOR_PORTS.items()}
        self._prefect_port = _port(PREFECT_PORT)

    async def play(self, *, exit_when_done: bool) -> bool:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        settings = self._settings()
        house = House(settings, self._say)
        try:
            story = asyncio.create_task(self._story(house, settings))
            stopped = asyncio.create_task(stop.wait())
            await asyncio.wait({story, stopped}, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            if not story.done():
                story.cancel()
                with suppress(asyncio.CancelledError):
                    await story
                return False
            as_told = await story
            if not exit_when_done:
                typer.echo("\nIt keeps running: win, edit or break a deal and watch. Ctrl-C stops it.")
                await stop.wait()
            return as_told
        finally:
            typer.echo("Stopping …")
            await house.stop()

    async def _story(self, house: House, settings: Settings) -> bool:
        from emulators.seeding import Seeder

        await self._start_emulators(house)
        seeder = Seeder(settings.stripe_api_base, settings.salesforce_base_url)
        server = asyncio.create_task(house.start_server())
        await asyncio.to_thread(self._deploy_package, settings)
        ids = await asyncio.to_thread(self._seed, seeder, settings)
        await server
        await house.prepare()
        await asyncio.gather(house.start_drain(), house.start_worker())
        await asyncio.to_thread(win, seeder, ids)
        won_at = time.monotonic()
        self._say(f"Salesforce      the sales rep wins {len(STORY)} deals")
        seen = await self._wait_for_outcomes(settings, ids)
        self._say(
            f"Drain           billed what is fit, {time.monotonic() - won_at:.1f} s after the deals were won"
        )
        typer.echo("")
        as_told = show_outcomes(seen)
        typer.echo(f"\nSlack, as the billing channel sees it:\n{await told_in_slack(settings)}")
        typer.echo(f"Prefect UI      {house.ui}   (every deal and step of the run is a task there)")
        return as_told

    def _settings(self) -> Settings:
        """Settings of the demo alone: neither `.env` nor O2C_… of this shell may reach into it."""
        home = HOME.absolute()
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True, mode=0o700)
        for name in [name for name in os.environ if name.startswith("O2C_")]:
            del os.environ[name]
        os.environ |= {
            "O2C_HOME": str(home),
            "O2C_STRIPE_API_BASE": self._url("stripe"),
            "O2C_SALESFORCE_BASE_URL": self._url("salesforce"),
            "O2C_SLACK_BASE_URL": self._url("slack"),
            "O2C_PREFECT_API_URL": f"http://127.0.0.1:{self._prefect_port}/api",
            "O2C_MULTI_CURRENCY": "true",
            "O2C_POLL_SECONDS": "2",
        }
        os.chdir(home)
        settings = load_settings()
        assert settings.bill_deals_closed_on_or_after is not None
        return settings

    async def _start_emulators(self, house: House) -> None:
        ports = [f"--{name}-port={port}" for name, port in self._ports.items()]
        argv = [sys.executable, "-m", "emulators", *ports]
        ready = answers(f"{self._url('slack')}/_emulator/health")
        await house.supervisor.start(Child("emulators", argv, ready=ready, ready_seconds=30))
        self._say("Emulators       " + ", ".join(f"{name} {self._url(name)}" for name in self._ports))

    def _deploy_package(self, settings: Settings) -> None:
        from order_to_cash.cli.package import SourcePackage
        from order_to_cash.cli.wiring import open_ledger, salesforce_gateway

        _set_up_org(settings)
        with open_ledger(settings) as ledger:
            gateway = salesforce_gateway(settings, ledger.audit, "o2c demo")
            try:
                result = gateway.deploy(SourcePackage().zip_bytes(), check_only=False)
            finally:
                gateway.close()
        if not result.ok:
            raise RuntimeError(f"the emulator refused the package: {result.failures[:3]}")
        _control(settings, "assign", {"permission_set": INTEGRATION_SET})
        self._say("Salesforce      our fields and permission sets deployed")

    def _seed(self, seeder: Seeder, settings: Settings) -> dict[str, str]:
        assert settings.bill_deals_closed_on_or_after is not None
        clock = make_clock(settings)
        ids = seed(seeder, clock.now().date(), settings.bill_deals_closed_on_or_after)
        self._say(f"A small company {len(STORY)} open deals in Salesforce, a catalogue in Stripe")
        return ids

    async def _wait_for_outcomes(self, settings: Settings, ids: Mapping[str, str]) -> list[Seen]:
        """What Salesforce and the ledger say once every deal has ended as told, or when patience is over."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            seen = await asyncio.to_thread(read_outcomes, settings, ids)
            if all(one.ended for one in seen) or time.monotonic() > deadline:
                return seen
            await asyncio.sleep(0.3)

    def _say(self, text: str) -> None:
        typer.echo(f"{time.monotonic() - self._began:5.1f} s  {text}")

    def _url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._ports[name]}"


def _set_up_org(settings: Settings) -> None:
    """An org with several currencies, before anything is in it."""
    _control(settings, "settings", {"multi_currency": True, "currencies": ["USD", "EUR", "JPY"]})
    _control(settings, "reset", {})


def _control(settings: Settings, what: str, body: Mapping[str, object]) -> None:
    import httpx

    url = f"{settings.salesforce_base_url}/_emulator/{what}"
    httpx.post(url, json=body, timeout=30, trust_env=False).raise_for_status()


def _port(wanted: int) -> int:
    """The usual port, or a free one where something else has it."""
    return free_port() if is_listening(wanted) else wanted
