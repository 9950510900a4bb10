"""A process that has imported the recipe and forks a child for every run: `python -m tests.crash.zygote`.

Importing takes five seconds, a run one to two. It reads one JSON object a line from standard input (`Order` of
`runs.py`) and answers with one: `{"status": negative signal or exit status, "seconds"}`. It starts no thread and no
event loop before it forks.
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
from pathlib import Path
from typing import Any

import psutil

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
    "flows.bill_won_deals",
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
    for line in sys.stdin:
        order = json.loads(line)
        began = time.monotonic()
        child = os.fork()
        if child == 0:
            _run(order)
        _, status = os.waitpid(child, 0)
        seconds = time.monotonic() - began
        _answer({"status": os.waitstatus_to_exitcode(status), "seconds": seconds})


def _import_everything() -> None:
    """Also what is imported and computed on first use; a run then takes one second instead of two and a half."""
    import expectations.runner
    from order_to_cash.domain.countries import country_code

    for name in USED:
        importlib.import_module(name)
    stripe = importlib.import_module("stripe")
    v1 = stripe.StripeClient("sk_test_preloading").v1
    for service in ("accounts", "customers", "events", "invoices", "prices"):
        getattr(v1, service)
    tqdm = importlib.import_module("tqdm")
    tqdm.tqdm.monitor_interval = 0  # no thread that watches the progress bars of Great Expectations
    expectations.runner.warm()
    country_code("DE")


def _answer(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _run(order: dict[str, Any]) -> None:
    """The child: never returns. One that hangs is ended by SIGALRM, which its status tells."""
    signal.alarm(LONGEST_RUN_SECONDS)
    status = 1
    try:
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for stream in (1, 2):
            os.dup2(log, stream)
        os.environ.update(order["env"])
        status = asyncio.run(_bill(order))
    except BaseException:  # noqa: BLE001 - the log is all that is left of the child
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


async def _bill(order: dict[str, Any]) -> int:
    """0 when the run did all it could."""
    from flows.bill_won_deals import Mode, bill_won_deals, summary_of
    from tests.crash.points import Points
    from tests.crash.watching import watch

    watch(Points(Path(order["report"]), order["kill_at"]), order["services"])
    state = await bill_won_deals(order["ids"], mode=Mode.APPLY, company=COMPANY, return_state=True)
    summary = await summary_of(state)
    sys.stderr.write(f"{state.name}: {state.message}\n")
    for outcome in summary.outcomes if summary else ():
        codes = [problem.code for problem in outcome.problems]
        sys.stderr.write(f"{outcome.opportunity_id} {outcome.status} {codes}\n")
    return 0 if state.is_completed() else 2


if __name__ == "__main__":
    main()
