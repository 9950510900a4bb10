"""`o2c demo`: the whole story against the emulators, with nothing to sign up for."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from order_to_cash.cli import demo_slack, lock
from order_to_cash.cli.demo_company import APPROVAL_LIMIT, BILLED, HELD, STORY, seed, touch, win
from order_to_cash.cli.demo_result import Seen, read_outcomes, show_outcomes
from order_to_cash.cli.processes import Child, answers, free_port, is_listening
from order_to_cash.cli.salesforce import INTEGRATION_SET
from order_to_cash.cli.up import House, stopped_by_signals
from order_to_cash.cli.wiring import make_clock
from order_to_cash.settings import Settings, load_settings

if TYPE_CHECKING:
    from emulators.seeding import Seeder

HOME = Path(".o2c") / "demo"
EMULATOR_PORTS = {"stripe": 12111, "salesforce": 12112, "slack": 12113}
PREFECT_PORT = 4200
PATIENCE_SECONDS = 120.0  # on a busy machine; usually it takes a few seconds


def run(*, exit_when_done: bool) -> None:
    """Tell the story, then stay until Ctrl-C; with `exit_when_done` stop, with status 1 if it went otherwise."""
    held = lock.hold(
        HOME.with_name("demo.lock").absolute(), "`o2c demo`", "Stop it, or start this one in another folder."
    )
    if not asyncio.run(_Demo(held).play(exit_when_done=exit_when_done)):
        raise typer.Exit(1)


class _Demo:
    def __init__(self, held: int) -> None:
        self._held = held
        self._began = time.monotonic()
        self._ports = {name: _port(port) for name, port in EMULATOR_PORTS.items()}
        self._prefect_port = _port(PREFECT_PORT)

    async def play(self, *, exit_when_done: bool) -> bool:
        stop = stopped_by_signals()
        settings = self._settings()
        house = House(settings, self._say, self._held)
        story = asyncio.create_task(self._story(house, settings))
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({story, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not story.done():
                typer.echo("Stopped before the story was over.")
                return False
            as_told = await story
            if not exit_when_done:
                typer.echo("\nEverything keeps running until Ctrl-C.")
                await stopped
            return as_told
        finally:
            typer.echo("Stopping …")
            for task in (story, stopped):
                task.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await task
            await house.stop()

    async def _story(self, house: House, settings: Settings) -> bool:
        from emulators.seeding import Seeder

        await self._start_emulators(house)
        seeder = Seeder(settings.stripe_api_base, settings.salesforce_base_url)
        server = asyncio.create_task(house.start_server())
        try:
            await asyncio.to_thread(self._deploy_package, settings)
            ids = await asyncio.to_thread(self._seed, seeder, settings)
        finally:
            await server
        await house.start_services(wait=True)
        seen = await self._bill(seeder, settings, ids)
        first_run = await _first_run(house.ui)
        sweep, form = await self._sweep_again(seeder, house, ids)
        seen = await asyncio.to_thread(read_outcomes, settings, ids)
        typer.echo("")
        as_told = show_outcomes(seen)
        as_told = _show_slack(settings) and as_told
        pages = {"The run that billed": first_run, "The sweep": sweep, "The form for people": form}
        self._show_next(house, settings, seen, pages)
        if not as_told:
            typer.secho(f"\nThe story went otherwise. Logs: {house.logs}", fg="red")
        return as_told

    def _settings(self) -> Settings:
        """Settings of the demo alone: neither `.env` nor variables of this shell may reach into it."""
        home = HOME.absolute()
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True, mode=0o700)
        for name in [name for name in os.environ if name.startswith(("O2C_", "PREFECT_"))]:
            del os.environ[name]
        values = {
            "O2C_ENVIRONMENT": "emulator",
            "O2C_HOME": str(home),
            "O2C_STRIPE_API_BASE": self._url("stripe"),
            "O2C_SALESFORCE_BASE_URL": self._url("salesforce"),
            "O2C_SLACK_BASE_URL": self._url("slack"),
            "O2C_PREFECT_API_URL": f"http://127.0.0.1:{self._prefect_port}/api",
            "O2C_MULTI_CURRENCY": "true",
            "O2C_APPROVAL_LIMIT": APPROVAL_LIMIT,
            "O2C_POLL_SECONDS": "2",
        }
        file = home / ".env"
        file.write_text("".join(f"{name}='{value}'\n" for name, value in values.items()), encoding="utf-8")
        os.environ |= {
            "O2C_ENV_FILE": str(file),
            "O2C_SECRETS_DIR": str(home / "no-secrets"),
            "NO_PROXY": "127.0.0.1,localhost",
        }
        return load_settings()

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

    async def _bill(self, seeder: Seeder, settings: Settings, ids: dict[str, str]) -> list[Seen]:
        """The deals are won; wait until all has ended as told, or until patience is over."""
        await asyncio.to_thread(win, seeder, ids)
        won_at = time.monotonic()
        self._say(f"Sales           wins {len(STORY)} deals")
        while True:
            seen = await asyncio.to_thread(read_outcomes, settings, ids)
            told = await asyncio.to_thread(_told, settings)
            waited = time.monotonic() - won_at
            if (told and not any(any(one.differences()) for one in seen)) or waited > PATIENCE_SECONDS:
                break
            await asyncio.sleep(0.3)
        billed = sum(bool(one.invoices) for one in seen)
        self._say(
            f"Drain           {billed} invoices sent, {_count(HELD)} deals held, "
            f"Slack told: {waited:.1f} s after the deals were won"
        )
        return seen

    async def _sweep_again(self, seeder: Seeder, house: House, ids: dict[str, str]) -> tuple[str, str]:
        """Touch every deal, and let the worker sweep all of them once more. The run's page, and the form's."""
        await asyncio.to_thread(touch, seeder, ids)
        self._say("Data loader     writes all deals again; the worker runs the hourly sweep now")
        run_id, deployment_id, told = await _sweep(PATIENCE_SECONDS)
        self._say(f"Sweep           {told}")
        return f"{house.ui}/runs/flow-run/{run_id}", f"{house.ui}/deployments/deployment/{deployment_id}/run"

    def _show_next(
        self, house: House, settings: Settings, seen: list[Seen], pages: Mapping[str, str]
    ) -> None:
        large = next(one.opportunity_id for one in seen if one.expected.shows == "needs_approval")
        o2c = Path(sys.executable).with_name("o2c")
        typer.echo(f"\nWhere to look: Prefect UI {house.ui}")
        for name, url in pages.items():
            typer.echo(f"  {name:<20} {url}")
        typer.echo("\nWhat to try in a second terminal:")
        typer.echo(f"  export O2C_ENV_FILE={settings.home / '.env'}")
        typer.echo(f"  {o2c} bill {large}   # Atlas: the plan, nothing is touched")
        typer.echo(f"  {o2c} bill {large} --mode apply --approved-by you")

    def _say(self, text: str) -> None:
        typer.echo(f"{time.monotonic() - self._began:5.1f} s  {text}")

    def _url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._ports[name]}"


def _show_slack(settings: Settings) -> bool:
    """Show the channel; whether each win was posted once and what is held in one message."""
    told = demo_slack.messages(settings)
    typer.echo("\nSlack, the billing channel:")
    for message in told:
        for line in demo_slack.in_short(message):
            typer.echo(f"  {line}")
    wins = sum(demo_slack.is_win_post(message) for message in told)
    right = wins == _count(BILLED) and len(told) == wins + 1 and _told(settings)
    if not right:
        typer.secho(f"Not as told: Slack has {wins} win posts among {len(told)} messages", fg="red")
    return right


def _told(settings: Settings) -> bool:
    """Whether Slack knows of every win, and of all that is held."""
    told = demo_slack.messages(settings)
    wins = sum(demo_slack.is_win_post(message) for message in told)
    return wins >= _count(BILLED) and _count(HELD) in map(demo_slack.held_deals, told)


def _count(ends: str) -> int:
    return sum(each.ends == ends for each in STORY)


async def _sweep(patience_seconds: float) -> tuple[str, str, str]:
    """Run the deployment in apply mode through the worker: the run's id, the deployment's, and how it ended."""
    from prefect.client.orchestration import get_client

    deadline = time.monotonic() + patience_seconds
    async with get_client() as client:
        deployment = await client.read_deployment_by_name("bill-won-deals/won-deals")
        made = await client.create_flow_run_from_deployment(deployment.id, parameters={"mode": "apply"})
        while True:
            state = (await client.read_flow_run(made.id)).state
            if state is not None and (state.is_final() or time.monotonic() > deadline):
                return str(made.id), str(deployment.id), f"{state.name}: {state.message or ''}"
            await asyncio.sleep(0.3)


async def _first_run(ui: str) -> str:
    """The address of the first run: the one that billed."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.sorting import FlowRunSort

    async with get_client() as client:
        runs = await client.read_flow_runs(sort=FlowRunSort.START_TIME_ASC, limit=1)
    return f"{ui}/runs/flow-run/{runs[0].id}" if runs else ui


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
