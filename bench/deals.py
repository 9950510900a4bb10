"""One deal, and two hundred: how long, and with how many calls."""

from __future__ import annotations

import random
import re
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from bench.house import LINES, SANDBOX_REQUESTS_A_SECOND, Emulators, House
from bench.journal import Journal, Seen, first_update
from bench.table import Row

SLOW = "100 ms a Stripe call, 300 ms a Salesforce call"
BATCH = 200
SINGLE = 5
_PATIENCE_SECONDS = 150.0
_SEED = 20
_ID = re.compile(r"\b(?:in|cus)_\w+")


def one_deal(house: House, poll_seconds: int) -> list[Row]:
    """Deals won one after another at random moments of the drain's look-out."""
    world, rng = house.world, random.Random(_SEED)
    deals = world.open_deals(SINGLE)
    once_seen, in_flow, in_all = [], [], []
    for deal in deals:
        time.sleep(rng.uniform(0, poll_seconds))
        seq = world.salesforce.next()
        won_at = world.win([deal])
        entries = world.salesforce.wait_for_updates(seq, [deal], _PATIENCE_SECONDS)
        written = first_update(entries, deal).ended
        seen = next(entry for entry in entries if entry.is_look and deal in str(entry.response))
        once_seen.append((written - seen.ended).total_seconds())
        in_flow.append((written - house.flow_started()).total_seconds())
        in_all.append((written - won_at).total_seconds())
        time.sleep(1)  # Slack and closing, before the next
    tasks = house.task_runs()
    how = f"{SINGLE} deals of {LINES} lines, one by one, `o2c up`; {SLOW}"
    return [
        Row(
            f"one deal, once seen (poll {poll_seconds} s)",
            f"{_middle(once_seen)} (worst {max(once_seen):.1f} s)",
            "≤ 4 s",
            f"answer of the look that shows the deal → answer of the write-back; {how}; {tasks} task runs a deal",
        ),
        Row(
            f"of that, in the flow (poll {poll_seconds} s)",
            f"{_middle(in_flow)}",
            "",
            "start of the flow run, by the Prefect server → answer of the write-back",
        ),
        Row(
            f"one deal, Closed Won → written back (poll {poll_seconds} s)",
            f"{_middle(in_all)} (worst {max(in_all):.1f} s)",
            "",
            "won at random moments; by the Salesforce emulator's journal",
        ),
    ]


def batch(house: House) -> list[Row]:
    """Two hundred deals won together, in one run: with their events applied meanwhile, then without."""
    beside = _won_together(house)
    house.world.stop_events()
    _quiet(house.world.stripe, house.world.stripe.next(), but="/v1/events")
    alone = _won_together(house)
    return [
        *_pace(alone),
        *_calls(house.world, alone),
        Row(
            "processor time a deal",
            ", ".join(f"{role} {alone.cost[role] / BATCH * 1000:.0f} ms" for role in ("drain", "server")),
            "",
            "user and system time of the processes, from winning to the last Slack message",
        ),
        _beside_events(beside),
    ]


@dataclass(frozen=True)
class _Run:
    """What was seen of one batch. `cost`: processor time in seconds, by role."""

    stripe: Sequence[Seen]
    salesforce: Sequence[Seen]
    slack: Sequence[Seen]
    started: datetime
    seconds: float
    tasks: int
    cost: Mapping[str, float]

    @property
    def deals_a_second(self) -> float:
        return BATCH / self.seconds

    @property
    def refused(self) -> int:
        return Counter(entry.status for entry in self.stripe)[429]


def _won_together(house: House) -> _Run:
    world = house.world
    deals = world.open_deals(BATCH)
    time.sleep(2)
    before = {name: journal.next() for name, journal in _journals(world).items()}
    used = house.cpu_seconds()
    world.win(deals)
    salesforce = world.salesforce.wait_for_updates(before["salesforce"], deals, _PATIENCE_SECONDS)
    started = house.flow_started()
    slack = _quiet(world.slack, before["slack"])
    stripe = world.stripe.since(before["stripe"])
    kinds = Counter(f"{entry.method} {_ID.sub('*', entry.path)} {entry.status}" for entry in stripe)
    print(f"Stripe calls: {dict(kinds)}", file=sys.stderr)
    seen = next(entry for entry in salesforce if entry.is_look and deals[-1] in str(entry.response))
    return _Run(
        stripe=stripe,
        salesforce=[entry for entry in salesforce if entry.seq > seen.seq and not entry.is_look],
        slack=slack,
        started=started,
        seconds=(max(first_update(salesforce, deal).ended for deal in deals) - started).total_seconds(),
        tasks=house.task_runs(),
        cost={role: after - used.get(role, 0) for role, after in house.cpu_seconds().items()},
    )


def _pace(run: _Run) -> list[Row]:
    own = [entry for entry in run.stripe if entry.status == 200 and not _shared(entry)]
    a_deal = len(own) / BATCH
    first, last = ((edge.at - run.started).total_seconds() for edge in (own[0], own[-1]))
    how = f"{BATCH} deals of {LINES} lines won together, one run of `o2c up`'s drain; {SLOW}; Stripe sends no event"
    return [
        Row(
            "Stripe calls a deal",
            f"{a_deal:.2f} (+ {len(run.stripe) - len(own) - run.refused} a run)",
            "≤ 6",
            f"the journal's requests with status 200; prices, new and changed "
            f"customers, and whether invoices are mailed are read once a run; {how}",
        ),
        Row(
            "deals a second",
            _share(run, SANDBOX_REQUESTS_A_SECOND / a_deal),
            "≥ 90 %",
            f"{BATCH} deals / {run.seconds:.1f} s, start of the flow run → last write-back; "
            f"the deals' calls from {first:.1f} s to {last:.1f} s; the limit is enforced",
        ),
        Row("429 answers of Stripe", str(run.refused), "about 0", "the Stripe emulator's journal"),
    ]


def _beside_events(run: _Run) -> Row:
    return Row(
        "the same, their events applied meanwhile",
        f"{_share(run, SANDBOX_REQUESTS_A_SECOND / 6)}; {run.refused} answers 429",
        "",
        f"200 other deals; what Stripe tells of their customers and invoices is applied by the same drain: "
        f"{len(run.stripe)} Stripe and {len(run.salesforce)} Salesforce calls in all until Slack was quiet",
    )


def _share(run: _Run, allowed: float) -> str:
    share = run.deals_a_second / allowed
    return f"{run.deals_a_second:.2f} = {share:.0%} of what {SANDBOX_REQUESTS_A_SECOND} requests/s allow"


def _calls(world: Emulators, run: _Run) -> list[Row]:
    login = [entry for entry in world.salesforce.since(0) if entry.path.endswith("/oauth2/token")]
    org = [entry for entry in world.salesforce.since(0) if "Organization" in str(entry.query.get("q", ""))]
    # Once for each start of the process; a run of its own would have to make them.
    start = min(len(login), 1) + min(len(org), 1)
    posts = [entry for entry in run.slack if entry.path.endswith("chat.postMessage") and entry.effects]
    last = max(entry.ended for entry in run.slack) - run.salesforce[-1].ended if run.slack else None
    return [
        Row(
            "Salesforce calls in all",
            f"{len(run.salesforce) + start + 1} (look 1, login and org {start}, run {len(run.salesforce)})",
            "≤ 12",
            "the Salesforce emulator's journal",
        ),
        Row(
            "Slack messages",
            f"{len(posts)}" + (f", last {last.total_seconds():.0f} s after the write-back" if last else ""),
            "",
            "posts that the Slack emulator took",
        ),
        Row("task runs", f"{run.tasks} ({run.tasks / BATCH:.1f} a deal)", "", "by the Prefect server"),
    ]


def _journals(world: Emulators) -> dict[str, Journal]:
    return {"stripe": world.stripe, "salesforce": world.salesforce, "slack": world.slack}


def _shared(entry: Seen) -> bool:
    """A reading that serves all deals of the run: prices, new and changed customers, whether invoices are mailed."""
    by_deal = {"email", "customer"} & entry.query.keys()
    shared = {"/v1/prices", "/v1/customers", "/v1/events", "/v1/account"}
    return entry.method == "GET" and not by_deal and entry.path in shared


def _quiet(journal: Journal, seq: int, but: str = "nothing") -> list[Seen]:
    """Its requests from `seq` on once none came for 5 s, of `but` aside, or after a minute and a half."""
    deadline = time.monotonic() + 90
    count, since = -1, time.monotonic()
    while time.monotonic() < deadline and time.monotonic() - since < 5:
        found = [entry for entry in journal.since(seq) if entry.path != but]
        if len(found) != count:
            count, since = len(found), time.monotonic()
        time.sleep(0.5)
    return journal.since(seq)


def _middle(seconds: Sequence[float]) -> str:
    return f"{median(seconds):.1f} s"
