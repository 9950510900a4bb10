"""A process that has imported the recipes and forks a child for every run: `python -m tests.crash.zygote`.

Importing takes five seconds, a run one to two. It reads one JSON object a line from standard input and answers with
one. Orders name their `work`:

    bill, apply, chase, sweep, o2c
                         run it in a child, and wait  → {"status": negative signal or exit status, "seconds"}
                         with "stay": do not wait     → {"pid"}
    end                  send `pid` a `signal`, wait  → {"status", "seconds"}

It starts no thread and no event loop before it forks. Children that stay end with it.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil

Order = Mapping[str, Any]

COMPANY = "crash"
LONGEST_RUN_SECONDS = 120  # on a busy machine a run takes five
USED = (
    "alembic.config",
    "email_validator",
    "fastapi",
    "prefect.engine",
    "prefect.flow_engine",
    "prefect.task_engine",
    "prefect.telemetry.run_telemetry",
    "prefect.utilities.visualization",
    "psycopg",
    "blocks.registry",
    "flows.apply_stripe_events",
    "flows.bill_won_deals",
    "flows.dunning_ladder",
    "flows.sweep_ladders",
    "order_to_cash.cli.app",
    "order_to_cash.cli.drain",
    "order_to_cash.cli.look_out",
    "order_to_cash.gateways.mail_gateway",
    "order_to_cash.gateways.mail_templates",
    "order_to_cash.gateways.salesforce_gateway",
    "order_to_cash.gateways.slack_gateway",
    "order_to_cash.gateways.stripe_gateway",
    "order_to_cash.ledger.ledger",
    "tests.crash.watching",
)


def main() -> None:
    _import_everything()
    if psutil.Process().num_threads() != 1:
        raise RuntimeError("the zygote has threads; what they hold would stay locked in its children")
    gc.freeze()
    _answer({"ready": True})
    staying: set[int] = set()
    try:
        for line in sys.stdin:
            _answer(_carried_out(json.loads(line), staying))
    finally:
        for pid in staying:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _carried_out(order: Order, staying: set[int]) -> dict[str, Any]:
    began = time.monotonic()
    if order["work"] == "end":
        child = order["pid"]
        staying.discard(child)
        os.kill(child, order["signal"])
    else:
        child = os.fork()
        if child == 0:
            _run(order)
        if order.get("stay"):
            staying.add(child)
            return {"pid": child}
    _, status = os.waitpid(child, 0)
    return {"status": os.waitstatus_to_exitcode(status), "seconds": time.monotonic() - began}


def _import_everything() -> None:
    """Also what is imported and computed on first use; a run then takes one second instead of two and a half."""
    import expectations.runner
    from order_to_cash.domain.countries import country_code

    for name in USED:
        importlib.import_module(name)
    stripe = importlib.import_module("stripe")
    v1 = stripe.StripeClient("sk_test_preloading").v1
    for service in ("accounts", "customers", "events", "invoices", "prices", "subscriptions"):
        getattr(v1, service)
    tqdm = importlib.import_module("tqdm")
    tqdm.tqdm.monitor_interval = 0  # no thread that watches the progress bars of Great Expectations
    expectations.runner.warm()
    expectations.runner.warm("stripe_record")
    country_code("DE")


def _answer(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _run(order: Order) -> None:
    """The child: never returns. One that hangs is ended by SIGALRM, which its status tells."""
    if not order.get("stay"):
        signal.alarm(LONGEST_RUN_SECONDS)
    status = 1
    try:
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for stream in (1, 2):
            os.dup2(log, stream)
        os.environ.update(order["env"])
        status = WORKS[order["work"]](order)
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001 - the log is all that is left of the child
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _o2c(order: Order) -> int:
    """A command line, as typed. `after_error_seconds`: the drain's patience."""
    from order_to_cash.cli import drain, inbox_watch, main

    for module in (drain, inbox_watch):
        vars(module)["AFTER_ERROR_SECONDS"] = order["after_error_seconds"]
    sys.argv = ["o2c", *order["argv"]]
    main()
    return 0


def _watched(order: Order) -> None:
    from tests.crash.points import Points
    from tests.crash.watching import watch

    watch(Points(Path(order["report"]), order["kill_at"]), order["services"])


async def _bill(order: Order) -> int:
    """0 when the run did all it could."""
    from flows.bill_won_deals import Mode, bill_won_deals, summary_of

    _watched(order)
    state = await bill_won_deals(order["ids"], mode=Mode.APPLY, company=COMPANY, return_state=True)
    summary = await summary_of(state)
    sys.stderr.write(f"{state.name}: {state.message}\n")
    for outcome in summary.outcomes if summary else ():
        codes = [problem.code for problem in outcome.problems]
        sys.stderr.write(f"{outcome.opportunity_id} {outcome.status} {codes}\n")
    return 0 if state.is_completed() else 2


async def _apply(order: Order) -> int:
    """0 when the run did all it could."""
    from flows.apply_stripe_events import apply_stripe_events, summary_of

    _watched(order)
    state = await apply_stripe_events(company=COMPANY, return_state=True)
    summary = await summary_of(state)
    sys.stderr.write(f"{state.name}: {state.message}\n")
    for parked in summary.parked if summary else ():
        sys.stderr.write(f"{parked}\n")
    return 0 if state.is_completed() else 2


async def _chase(order: Order) -> int:
    """The ladders that are due. 0 when the run did all it could."""
    from flows.dunning_ladder import dunning_ladder

    _watched(order)
    state = await dunning_ladder(company=COMPANY, return_state=True)
    sys.stderr.write(f"{state.name}: {state.message}\n")
    return 0 if state.is_completed() else 2


async def _sweep(order: Order) -> int:
    """0 when the run did all it could."""
    from flows.sweep_ladders import sweep_ladders
    from tasks import dunning_alarms

    _watched(order)
    # By Prefect's clock the killed run was here a second ago, and by the emulators' a while: nobody sets alarms now.
    dunning_alarms._BEING_SET = timedelta(0)
    state = await sweep_ladders(company=COMPANY, return_state=True)
    sys.stderr.write(f"{state.name}: {state.message}\n")
    return 0 if state.is_completed() else 2


WORKS: Mapping[str, Callable[[Order], int]] = {
    "bill": lambda order: asyncio.run(_bill(order)),
    "apply": lambda order: asyncio.run(_apply(order)),
    "chase": lambda order: asyncio.run(_chase(order)),
    "sweep": lambda order: asyncio.run(_sweep(order)),
    "o2c": _o2c,
}


if __name__ == "__main__":
    main()
