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
from textwrap import wrap
from typing import TYPE_CHECKING

import typer

from order_to_cash.cli import demo_ladders, demo_payments, demo_runs, demo_slack, lock
from order_to_cash.cli.demo_company import APPROVAL_LIMIT, HELD, STORY, seed, touch, win
from order_to_cash.cli.demo_place import HOME, LOCK, SETTINGS, export
from order_to_cash.cli.demo_result import Seen, read_outcomes, show_outcomes
from order_to_cash.cli.processes import Child, answers, free_port, is_listening
from order_to_cash.cli.salesforce import INTEGRATION_SET
from order_to_cash.cli.stand_ins import EMULATOR_PORTS
from order_to_cash.cli.status import page_url
from order_to_cash.cli.up import House, stopped_by_signals
from order_to_cash.cli.wiring import make_clock
from order_to_cash.domain.dunning.pages import timeline_key
from order_to_cash.settings import Settings, load_settings

if TYPE_CHECKING:
    from emulators.seeding import Seeder

PREFECT_PORT, RECEIVE_PORT = 4200, 8484
WIDTH = 120
PATIENCE_SECONDS = 120.0  # on a busy machine; usually it takes a few seconds


def run(*, exit_when_done: bool) -> None:
    """Tell the story, then stay until Ctrl-C; with `exit_when_done` stop, with status 1 if it went otherwise."""
    held = lock.hold(LOCK.absolute(), "`o2c demo`", "Stop it, or start this one in another folder.")
    if not asyncio.run(_Demo(held).play(exit_when_done=exit_when_done)):
        raise typer.Exit(1)


class _Demo:
    def __init__(self, held: int) -> None:
        self._held = held
        self._began = time.monotonic()
        self._ports = {name: _port(port) for name, port in EMULATOR_PORTS.items()}
        self._prefect_port = _port(PREFECT_PORT)
        self._receive_port = _port(RECEIVE_PORT)

    async def play(self, *, exit_when_done: bool) -> bool:
        stop = stopped_by_signals()
        settings = self._settings()
        house = House(settings, self._say, self._held)
        story = asyncio.create_task(self._story(house, settings, stays=not exit_when_done))
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({story, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not story.done():
                typer.echo("Stopped before the story was over.")
                return False
            as_told = await story
            if exit_when_done:
                typer.echo("\nWithout --exit everything keeps running, and you are told where to look.")
            else:
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

    async def _story(self, house: House, settings: Settings, *, stays: bool) -> bool:
        """Whether all went as told. Addresses are shown where something `stays` to answer at them."""
        from emulators.seeding import Seeder

        await self._start_emulators(house)
        seeder = Seeder(settings.stripe_api_base, settings.salesforce_base_url)
        server = asyncio.create_task(house.start_server())
        try:
            await asyncio.to_thread(self._deploy_package, settings)
            ids = await asyncio.to_thread(self._seed, seeder, settings)
        finally:
            await server
        await house.start_services()
        seen = await self._bill(seeder, settings, ids)
        first_run = await demo_runs.first_run(house.ui)
        sweep, form = await self._sweep_again(seeder, house, ids)
        paid = await self._pay(seeder, settings, seen)
        seen = await asyncio.to_thread(read_outcomes, settings, ids)
        told = await asyncio.to_thread(demo_slack.messages, settings)
        cast, chased = await self._chase(seeder, settings)
        typer.echo("")
        as_told = show_outcomes(seen, addresses=stays)
        typer.echo("")
        as_told = demo_payments.show(paid) and as_told
        as_told = demo_slack.show(told) and as_told
        typer.echo("\nUnpaid invoices, day by day:")
        as_told = demo_ladders.show(chased, cast) and as_told
        if stays:
            pages = {"The run that billed": first_run, "The sweep": sweep, "The form for people": form}
            self._show_next(house, seen, pages | await self._ladder_pages(house, seeder, cast))
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
            "O2C_SMTP_PORT": str(self._ports["smtp"]),
            "O2C_PREFECT_API_URL": f"http://127.0.0.1:{self._prefect_port}/api",
            "O2C_MULTI_CURRENCY": "true",
            "O2C_APPROVAL_LIMIT": APPROVAL_LIMIT,
            "O2C_POLL_SECONDS": "2",
            "O2C_RECEIVE_PORT": str(self._receive_port),
        }
        file = SETTINGS.absolute()
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
        self._say(
            "Emulators       "
            + ", ".join(f"{name} {self._url(name)}" for name in self._ports if name != "smtp")
        )

    def _deploy_package(self, settings: Settings) -> None:
        from order_to_cash.cli.package import SourcePackage
        from order_to_cash.cli.wiring import open_ledger, salesforce_gateway

        _set_up_org(settings)
        with open_ledger(settings) as ledger:
            gateway = salesforce_gateway(settings, ledger.audit, "o2c demo")
            try:
                package = SourcePackage().zip_bytes(multi_currency=settings.multi_currency)
                result = gateway.deploy(package, check_only=False)
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
            told = demo_slack.knows_all(await asyncio.to_thread(demo_slack.messages, settings))
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
        run_id, deployment_id, told = await demo_runs.sweep(PATIENCE_SECONDS)
        self._say(f"Sweep           {told}")
        return f"{house.ui}/runs/flow-run/{run_id}", f"{house.ui}/deployments/deployment/{deployment_id}/run"

    async def _pay(self, seeder: Seeder, settings: Settings, seen: list[Seen]) -> list[demo_payments.Shown]:
        """Customers pay or do not; wait until Salesforce shows it, or until patience is over."""
        accounts = await asyncio.to_thread(demo_payments.play, seeder, settings, seen)
        began = time.monotonic()
        self._say("Customers       three pay, one gets money back, one card is declined")
        while True:
            shown = await asyncio.to_thread(demo_payments.read, settings, accounts)
            told = demo_slack.alerted(await asyncio.to_thread(demo_slack.messages, settings))
            waited = time.monotonic() - began
            if (told and not any(any(one.differences()) for one in shown)) or waited > PATIENCE_SECONDS:
                break
            await asyncio.sleep(0.3)
        self._say(f"Drain           Salesforce shows it {waited:.1f} s later")
        return shown

    async def _chase(
        self, seeder: Seeder, settings: Settings
    ) -> tuple[demo_ladders.Cast, list[demo_ladders.Shown]]:
        """Days pass on the ladders of subscribers that do not pay; each time wait for what the drain does."""
        cast = await asyncio.to_thread(demo_ladders.begin, seeder, settings)
        self._say("Subscribers     four in a trial; their cards will be declined")
        for moment in demo_ladders.MOMENTS:
            await asyncio.to_thread(demo_ladders.go_on, seeder, settings, cast, moment)
            began, waited, right = time.monotonic(), 0.0, False
            while not right and waited <= PATIENCE_SECONDS:
                await asyncio.sleep(0.3)
                shown = await asyncio.to_thread(demo_ladders.read, settings, self._url("mail"), cast)
                waited, right = (
                    time.monotonic() - began,
                    not any(any(one.differences(moment)) for one in shown),
                )
            at = moment.at(cast.failed_at)
            self._say(f"Clock           {at:%a} {at.day} {at:%b}, {moment.name}: done {waited:.1f} s later")
            if not right:
                break
        return cast, shown

    async def _ladder_pages(self, house: House, seeder: Seeder, cast: demo_ladders.Cast) -> dict[str, str]:
        invoices = {
            ref: await asyncio.to_thread(demo_ladders.unpaid, seeder, cast, ref)
            for ref in ("granite", "birch")
        }
        return {
            "A ladder's timeline": f"{house.ui}/artifacts/key/{timeline_key(invoices['granite'])}",
            "One that sleeps": await demo_runs.alarm(house.ui, invoices["birch"]),
            "The mailbox": self._url("mail"),
        }

    def _show_next(self, house: House, seen: list[Seen], pages: Mapping[str, str]) -> None:
        large = next(one.opportunity_id for one in seen if one.expected.shows == "needs_approval")
        o2c = Path(sys.executable).with_name("o2c")
        typer.echo(f"\nWhere to look: Prefect UI {house.ui}")
        for name, url in {"How it stands": page_url(house.ui), **pages}.items():
            typer.echo(f"  {name:<20} {url}")
        typer.echo("\nWhat to try in a second terminal:")
        typer.echo(f"  {export()}   # without it, o2c looks at another ledger")
        typer.echo(f"  {o2c} bill {large}   # Atlas: the plan, nothing is touched")
        typer.echo(f"  {o2c} bill {large} --mode apply --approved-by you")
        typer.echo(
            f"  {o2c} status   # then: held list, ladder list, events list --type invoice.payment_failed, audit list"
        )

    def _say(self, text: str) -> None:
        said = f"{time.monotonic() - self._began:5.1f} s  {text}"
        for line in wrap(said, WIDTH, subsequent_indent=" " * 25, break_on_hyphens=False):
            typer.echo(line)

    def _url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._ports[name]}"


def _count(ends: str) -> int:
    return sum(each.ends == ends for each in STORY)


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
