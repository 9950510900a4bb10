"""How the work does, on one page: what waits, what a person must do, how the vendors answer (R83)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from order_to_cash.domain.alerts import AlertKind, Standing, Vitals

StatusRow = tuple[str, str, str]
"""Subject, how it stands, what to do (empty: nothing)."""

_NAMES = {
    AlertKind.LAG: "events wait too long",
    AlertKind.PARKED: "events are parked",
    AlertKind.ERRORS: "many events fail",
    AlertKind.CALLS: "calls to a vendor fail",
    AlertKind.BUDGET: "Salesforce API calls run short",
    AlertKind.ENDPOINT: "Stripe's webhooks do not arrive",
    AlertKind.GAP: "webhooks were missed",
    AlertKind.PREFECT: "the Prefect server does not answer",
}


LATE = timedelta(minutes=10)
"""A ladder that is due for so long was not taken up: the sweep comes every five minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderCounts:
    """How many open ladders wait for a step, are held, have taken all steps; are late, since when; failed last.

    `first_reason`: of one that failed.
    """

    waiting: int = 0
    held: int = 0
    resting: int = 0
    late: int = 0
    late_since: datetime | None = None
    failing: int = 0
    first_reason: str = ""


def status_rows(
    vitals: Vitals,
    *,
    held: int,
    unfinished: int,
    standings: Mapping[AlertKind, Standing],
    ladders: LadderCounts = LadderCounts(),
) -> list[StatusRow]:
    """`held`, `unfinished`: how many deals."""
    return [
        ("Deals", f"{unfinished} under way, {held} held", "o2c held list" if held else ""),
        _ladders(ladders, vitals.at),
        ("Stripe events", _waiting(vitals), ""),
        (
            "Parked events",
            f"{vitals.parked}"
            + (f", the first: {vitals.first_parked.reason}" if vitals.first_parked else ""),
            "o2c events list --parked" if vitals.parked else "",
        ),
        ("Applied in 15 min", f"{vitals.tried - vitals.failed} done, {vitals.failed} failed", ""),
        ("Webhooks", _webhooks(vitals), "o2c webhooks show" if _lacks_webhooks(vitals) else ""),
        *_calls(vitals),
        ("Salesforce API calls", _budget(vitals), ""),
        ("Alerts standing", _standing(standings), ""),
    ]


def status_markdown(rows: Sequence[StatusRow], at: datetime) -> str:
    """The page as a Markdown table."""
    lines = [
        f"As of {at:%Y-%m-%d %H:%M} UTC. Renewed every minute by the drain.",
        "",
        "| | | what to do |",
        "| --- | --- | --- |",
        *(
            f"| **{subject}** | {_cell(state)} | {f'`{remedy}`' if remedy else ''} |"
            for subject, state, remedy in rows
        ),
    ]
    return "\n".join(lines)


def _ladders(ladders: LadderCounts, at: datetime) -> StatusRow:
    open_ones = (
        (ladders.waiting, "waiting for their next step"),
        (ladders.held, "held"),
        (ladders.resting, "with all steps taken"),
    )
    said = [", ".join(f"{number} {words}" for number, words in open_ones if number) or "none is open"]
    if ladders.late:
        since = f" by up to {_span(at - ladders.late_since)}" if ladders.late_since else ""
        said.append(f"{ladders.late} late{since}")
    if ladders.failing:
        said.append(f"{ladders.failing} failed at their last try, one of them: {ladders.first_reason}")
    remedy = (
        "o2c ladder list --failing"
        if ladders.failing
        else "o2c ladder list --overdue"
        if ladders.late
        else ""
    )
    return "Dunning ladders", "; ".join(said), remedy


def _waiting(vitals: Vitals) -> str:
    if not vitals.waiting:
        return "none waits"
    since = f", the oldest for {_span(vitals.at - vitals.oldest_waiting)}" if vitals.oldest_waiting else ""
    why = f", tried in vain: {vitals.oldest_failed.reason}" if vitals.oldest_failed else ""
    return f"{vitals.waiting} wait{since}{why}"


def _webhooks(vitals: Vitals) -> str:
    if _off(vitals):
        return "the endpoint at Stripe is disabled or gone"
    if vitals.quiet_since:
        return f"silent for {_span(vitals.at - vitals.quiet_since)} although there were events"
    if vitals.webhook_at is None:
        return "none arrived yet"
    missed = f"; {vitals.missed} events came by catch-up alone in 2 h" if vitals.missed else ""
    return f"arrive, the last {_span(vitals.at - vitals.webhook_at)} ago{missed}"


def _lacks_webhooks(vitals: Vitals) -> bool:
    return vitals.webhook_at is None or vitals.quiet_since is not None or _off(vitals)


def _off(vitals: Vitals) -> bool:
    return vitals.endpoint is not None and not (vitals.endpoint.exists and vitals.endpoint.enabled)


def _calls(vitals: Vitals) -> Iterable[StatusRow]:
    for calls in vitals.calls:
        last = f", the last: {calls.last_error}" if calls.failed and calls.last_error else ""
        yield (
            f"{calls.system.capitalize()} calls in 5 min",
            f"{calls.made}, {calls.failed} failed{last}",
            f"o2c audit list --system {calls.system}" if calls.failed else "",
        )


def _budget(vitals: Vitals) -> str:
    if vitals.calls_used is None or not vitals.calls_limit:
        return "not known before the drain has made one"
    share = 100 * vitals.calls_used / vitals.calls_limit
    return f"{vitals.calls_used:,} of {vitals.calls_limit:,} in 24 h ({share:.0f} %), by the whole org"


def _standing(standings: Mapping[AlertKind, Standing]) -> str:
    raised = [_NAMES[kind] for kind, standing in standings.items() if standing.raised]
    return "; ".join(raised) or "none"


def _span(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
