"""When people are alerted: numbers and thresholds in, what to raise and what to clear out.

An alert is raised once, and cleared once when its number is well below the threshold again. Whatever goes up and down
is raised at most once an hour; what stands is told again only when it is ten times worse, or as a reminder.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

QUIET = timedelta(hours=1)
"""The shortest time between two messages that say the same."""

ERROR_WINDOW = timedelta(minutes=15)
CALL_WINDOW = timedelta(minutes=5)
# Catch-up looks each hour: over two, a gap that goes on stays one alert.
GAP_WINDOW = timedelta(hours=2)
# One failure among three events is no rate.
FEWEST_TRIED = 20
FEWEST_CALLS = 6  # the drain alone looks for deals more often, also after errors
_WORSE = 10.0


class AlertKind(StrEnum):
    """What can be wrong. The value is part of event names and keys: it never changes."""

    LAG = "lag"
    PARKED = "parked"
    ERRORS = "errors"
    CALLS = "calls"
    BUDGET = "budget"
    ENDPOINT = "endpoint"
    GAP = "gap"
    PREFECT = "prefect"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From where on an alert is raised; 0 switches it off."""

    lag_seconds: int = 300
    parked_events: int = 1
    error_percent: int = 20
    call_error_percent: int = 50
    budget_percent: int = 75
    silent_hours: int = 6
    missed_events: int = 1
    pulse_seconds: int = 180
    remind_hours: int = 24


@dataclass(frozen=True, slots=True)
class Parked:
    """Why the event that was parked first was parked; or why the oldest that waits was not applied yet."""

    since: datetime
    code: str
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls to one vendor in the last five minutes, and how the newest that failed did: with a code, no data."""

    system: str
    made: int
    failed: int
    last_error: str = ""

    @property
    def percent(self) -> float:
        return 100 * self.failed / self.made if self.made >= FEWEST_CALLS else 0.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What Stripe says of the webhook endpoint: that it has one, and sends to it."""

    exists: bool
    enabled: bool


@dataclass(frozen=True, slots=True)
class Vitals:
    """What is known at one moment; None for what is not known right now, whose alert then stays as it is.

    `oldest_failed`: of the events that wait, the oldest that was tried in vain. `tried` and `failed` count events of
    the last 15 minutes, `missed` those of the last two hours that webhooks did not bring. `quiet_since`: when the last
    webhook arrived before the newest of these. `webhook_at`: when the last one arrived, of the newest events at least;
    None: none yet.
    """

    at: datetime
    waiting: int = 0
    oldest_waiting: datetime | None = None
    parked: int = 0
    first_parked: Parked | None = None
    oldest_failed: Parked | None = None
    tried: int = 0
    failed: int = 0
    calls: tuple[Calls, ...] = ()
    missed: int = 0
    missed_since: datetime | None = None
    quiet_since: datetime | None = None
    webhook_at: datetime | None = None
    calls_used: int | None = None
    calls_limit: int | None = None
    endpoint: Endpoint | None = None
    prefect_silent_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """One number beside its threshold. `lasting`: it must be over at two looks in a row."""

    kind: AlertKind
    value: float
    limit: float
    clears_at: float
    since: datetime
    lasting: bool = False

    @property
    def over(self) -> bool:
        return 0 < self.limit <= self.value


@dataclass(frozen=True, slots=True)
class Standing:
    """What is remembered of an alert. `told_at`: when it was last raised; `delivered`: its last change was told."""

    raised: bool = False
    since: datetime | None = None
    told_at: datetime | None = None
    value: float = 0.0
    delivered: bool = True

    def to_text(self) -> str:
        """What `from_text` reads."""
        moments = [moment.isoformat() if moment else "" for moment in (self.since, self.told_at)]
        return json.dumps([self.raised, *moments, self.value, self.delivered])

    @classmethod
    def from_text(cls, text: str) -> Standing:
        """Raises ValueError for what is not a standing."""
        raised, since, told_at, value, delivered = json.loads(text)
        return cls(raised is True, _moment(since), _moment(told_at), float(value), delivered is True)


def _moment(text: str) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if text else None


@dataclass(frozen=True, slots=True)
class Change:
    """An alert that is raised (again, when it was before) or cleared, and how it stands from then on."""

    kind: AlertKind
    raised: bool
    again: bool
    standing: Standing


def readings(vitals: Vitals, thresholds: Thresholds) -> list[Reading]:
    """The numbers that are known, each with its threshold."""
    now, found = vitals.at, []
    waited = (now - vitals.oldest_waiting).total_seconds() if vitals.oldest_waiting else 0.0
    lag = thresholds.lag_seconds
    found.append(Reading(AlertKind.LAG, waited, lag, lag / 2, vitals.oldest_waiting or now, lasting=True))
    parked_since = vitals.first_parked.since if vitals.first_parked else now
    parked = thresholds.parked_events
    found.append(Reading(AlertKind.PARKED, vitals.parked, parked, parked // 2, parked_since))
    percent = 100 * vitals.failed / vitals.tried if vitals.tried >= FEWEST_TRIED else 0.0
    limit = thresholds.error_percent
    found.append(Reading(AlertKind.ERRORS, percent, limit, limit / 2, now - ERROR_WINDOW, lasting=True))
    worst = max((calls.percent for calls in vitals.calls), default=0.0)
    limit = thresholds.call_error_percent
    found.append(Reading(AlertKind.CALLS, worst, limit, limit / 2, now - CALL_WINDOW, lasting=True))
    if vitals.calls_used is not None and vitals.calls_limit:
        share = 100 * vitals.calls_used / vitals.calls_limit
        limit = thresholds.budget_percent
        found.append(Reading(AlertKind.BUDGET, share, limit, limit * 0.9, now))
    found.append(
        Reading(AlertKind.GAP, vitals.missed, thresholds.missed_events, 0, vitals.missed_since or now)
    )
    if vitals.endpoint is not None:
        found.append(_endpoint_reading(vitals, vitals.endpoint, thresholds))
    silent = (now - vitals.prefect_silent_since).total_seconds() if vitals.prefect_silent_since else 0.0
    found.append(
        Reading(AlertKind.PREFECT, silent, thresholds.pulse_seconds, 0, vitals.prefect_silent_since or now)
    )
    return found


def _endpoint_reading(vitals: Vitals, endpoint: Endpoint, thresholds: Thresholds) -> Reading:
    """Hours of silence; as many as are needed when Stripe sends nothing at all."""
    limit = thresholds.silent_hours
    if not (endpoint.exists and endpoint.enabled):
        return Reading(AlertKind.ENDPOINT, limit, limit, 0, vitals.quiet_since or vitals.at)
    quiet = vitals.at - vitals.quiet_since if vitals.quiet_since else timedelta()
    hours = quiet.total_seconds() / 3600
    return Reading(AlertKind.ENDPOINT, hours, limit, limit / 2, vitals.quiet_since or vitals.at)


def decide(
    found: Iterable[Reading],
    standings: Mapping[AlertKind, Standing],
    now: datetime,
    *,
    over_before: Iterable[AlertKind] = (),
    remind_hours: int = 24,
) -> list[Change]:
    """What is raised and cleared now. `over_before`: kinds that were over their threshold at the last look."""
    before = set(over_before)
    remind = timedelta(hours=remind_hours) if remind_hours else None
    changes = []
    for reading in found:
        standing = standings.get(reading.kind, Standing())
        if standing.raised:
            changes.append(_still(reading, standing, now, remind))
        elif reading.over and (reading.kind in before or not reading.lasting):
            changes.append(_newly(reading, standing, now))
    return [change for change in changes if change is not None]


def _newly(reading: Reading, standing: Standing, now: datetime) -> Change | None:
    if standing.told_at is not None and now - standing.told_at < QUIET:
        return None
    raised = Standing(True, reading.since, now, reading.value, delivered=False)
    return Change(reading.kind, raised=True, again=False, standing=raised)


def _still(reading: Reading, standing: Standing, now: datetime, remind: timedelta | None) -> Change | None:
    if not reading.limit or reading.value <= reading.clears_at:
        cleared = Standing(False, standing.since, standing.told_at, reading.value, delivered=False)
        return Change(reading.kind, raised=False, again=False, standing=cleared)
    quiet = now - standing.told_at if standing.told_at else QUIET
    worse = quiet >= QUIET and reading.value >= _WORSE * max(standing.value, reading.limit)
    due = remind is not None and quiet >= max(remind, QUIET)
    if reading.over and (worse or due):
        again = Standing(True, standing.since, now, reading.value, delivered=False)
        return Change(reading.kind, raised=True, again=True, standing=again)
    return None
