"""When alerts are raised and cleared: properties over any course of numbers, and what the messages say."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_to_cash.domain.alert_texts import alert_text, in_words
from order_to_cash.domain.alerts import (
    QUIET,
    AlertKind,
    Calls,
    Change,
    Endpoint,
    Parked,
    Reading,
    Standing,
    Thresholds,
    Vitals,
    decide,
    readings,
)

NOW = datetime(2026, 5, 4, 9, 0, tzinfo=UTC)
BEAT = timedelta(seconds=30)


def reading(value: float, *, lasting: bool = False) -> Reading:
    return Reading(AlertKind.PARKED, value, 10, 5, NOW, lasting)


def course(values: list[float], *, lasting: bool = False, beat: timedelta = BEAT) -> list[tuple[int, Change]]:
    """The changes, each with the number of the look, when one value is read at each."""
    standings: dict[AlertKind, Standing] = {}
    over: set[AlertKind] = set()
    told = []
    for number, value in enumerate(values):
        found = [reading(value, lasting=lasting)]
        for change in decide(found, standings, NOW + number * beat, over_before=over):
            standings[change.kind] = change.standing
            told.append((number, change))
        over = {one.kind for one in found if one.over}
    return told


@given(st.lists(st.integers(0, 200), max_size=200), st.booleans())
def test_a_course_of_numbers_never_tires_anyone(values: list[int], lasting: bool) -> None:
    told = course([float(value) for value in values], lasting=lasting)
    state = False
    raised_at: int | None = None
    for number, change in told:
        assert change.raised is not state or change.again, "raised, cleared, raised, cleared"
        state = change.raised
        if change.raised:
            assert values[number] >= 10
            assert raised_at is None or (number - raised_at) * BEAT >= QUIET, "at most once an hour"
            raised_at = number
        else:
            assert values[number] <= 5, "cleared only well below the threshold"
    if told and state:
        after = values[told[-1][0] :]
        assert min(after) > 5, "what is well again has been cleared"


@given(st.integers(10, 99), st.integers(6, 9))
def test_what_hovers_about_the_threshold_is_told_once(high: int, low: int) -> None:
    assert [number for number, _ in course([high, low] * 30)] == [0]


def test_what_lasts_is_told_at_the_second_look_only() -> None:
    assert course([50, 0, 50, 0], lasting=True) == []
    assert [number for number, _ in course([50, 50, 50], lasting=True)] == [1]


def test_what_got_ten_times_worse_is_told_again_and_a_day_later_all_is() -> None:
    hourly = timedelta(hours=1)
    assert [(number, one.again) for number, one in course([20, 150, 250], beat=hourly)] == [
        (0, False),
        (2, True),
    ]
    assert [number for number, _ in course([20] * 50, beat=hourly)] == [0, 24, 48]


def test_the_threshold_zero_switches_off_and_clears() -> None:
    off = Reading(AlertKind.PARKED, 500, 0, 0, NOW)
    assert decide([off], {}, NOW) == []
    standing = Standing(raised=True, since=NOW, told_at=NOW, value=20)
    [change] = decide([off], {AlertKind.PARKED: standing}, NOW)
    assert not change.raised


@given(
    st.builds(Standing, st.booleans(), st.just(NOW) | st.none(), st.just(NOW) | st.none(), st.floats(0, 1e9))
)
def test_a_standing_survives_the_ledger(standing: Standing) -> None:
    assert Standing.from_text(standing.to_text()) == standing


ILL = Vitals(
    at=NOW,
    waiting=412,
    oldest_waiting=NOW - timedelta(minutes=12),
    parked=3,
    first_parked=Parked(NOW - timedelta(hours=2), "FIELD_REFUSED", "Amount__c is <hidden>", "Grant it."),
    tried=200,
    failed=50,
    calls=(Calls("stripe", 100, 1), Calls("salesforce", 10, 8, "401 INVALID_SESSION_ID")),
    missed=7,
    missed_since=NOW - timedelta(hours=1),
    quiet_since=NOW - timedelta(hours=9),
    calls_used=81_000,
    calls_limit=100_000,
    endpoint=Endpoint(exists=True, enabled=True),
    prefect_silent_since=NOW - timedelta(minutes=5),
)
SAID = {
    AlertKind.LAG: "The oldest of 412 events has waited for 12 min.",
    AlertKind.PARKED: "Cannot be applied as they are: 3 events.",
    AlertKind.ERRORS: "50 of 200 events failed within 15 minutes (25 %).",
    AlertKind.CALLS: "8 of 10 calls to Salesforce failed within 5 minutes. The last: 401 INVALID_SESSION_ID.",
    AlertKind.BUDGET: "81,000 of 100,000 calls in 24 hours (81 %)",
    AlertKind.ENDPOINT: "No webhook has arrived for 9 h",
    AlertKind.GAP: "7 events did not arrive by webhook",
    AlertKind.PREFECT: "has not taken the drain's pulse for 5 min",
}


def changes(vitals: Vitals) -> dict[AlertKind, Change]:
    found = decide(readings(vitals, Thresholds()), {}, NOW, over_before=AlertKind)
    return {change.kind: change for change in found}


def test_a_well_company_alerts_nobody() -> None:
    assert changes(Vitals(at=NOW, endpoint=Endpoint(True, True), calls_used=1, calls_limit=100)) == {}


@pytest.mark.parametrize("kind", AlertKind)
def test_each_ill_is_told_with_its_number_and_remedy_and_cleared(kind: AlertKind) -> None:
    change = changes(ILL)[kind]
    text = alert_text(change, ILL, ui_url="http://127.0.0.1:4200")
    assert text.subject.startswith("Alert: ")
    assert SAID[kind] in text.body
    assert "What to do: " in text.body
    assert ("http://127.0.0.1:4200/runs" in text.body) is (kind is not AlertKind.PREFECT)

    well = Vitals(at=NOW + BEAT, endpoint=Endpoint(True, True), calls_used=0, calls_limit=100_000)
    found = decide(readings(well, Thresholds()), {kind: change.standing}, well.at)
    [cleared] = [one for one in found if one.kind is kind]
    assert not cleared.raised
    assert alert_text(cleared, well).subject.startswith("Over: ")


def test_what_waits_is_told_with_the_reason_why_the_oldest_failed() -> None:
    failed = Parked(NOW - timedelta(days=2), "UNABLE_TO_LOCK_ROW", "Salesforce <locks> it.", "Wait.")
    stuck = replace(ILL, oldest_waiting=failed.since, oldest_failed=failed)
    text = alert_text(changes(stuck)[AlertKind.LAG], stuck)
    assert "has waited for 2 days" in text.body
    assert (
        "has failed since 2026-05-02 09:00 UTC: Salesforce ‹locks› it. [UNABLE_TO_LOCK_ROW] Wait."
        in text.body
    )


def test_the_first_reason_is_told_and_nothing_in_it_mentions_anyone() -> None:
    text = alert_text(changes(ILL)[AlertKind.PARKED], ILL)
    assert "The first: Amount__c is ‹hidden› [FIELD_REFUSED] Grant it." in text.body
    assert "Since: 2026-05-04 07:00 UTC" in text.body
    blocks = str(text.message().blocks)
    assert "FIELD_REFUSED" in blocks


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [(Endpoint(True, False), "is disabled"), (Endpoint(False, False), "has no webhook endpoint")],
)
def test_a_disabled_or_absent_endpoint_is_told_at_once(endpoint: Endpoint, said: str) -> None:
    vitals = Vitals(at=NOW, endpoint=endpoint)
    assert said in alert_text(changes(vitals)[AlertKind.ENDPOINT], vitals).body


def test_a_few_failures_are_no_rate() -> None:
    few = Vitals(at=NOW, tried=10, failed=10, calls=(Calls("stripe", 3, 3),))
    assert changes(few) == {}


def test_durations_are_rounded_down() -> None:
    assert [in_words(timedelta(seconds=one)) for one in (-5, 119, 120, 7200, 172_800)] == [
        "0 s",
        "119 s",
        "2 min",
        "2 h",
        "2 days",
    ]
