"""Ladders, facts and policies for the tests."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from hypothesis import strategies as st

from order_to_cash.domain.dunning.calendar import ContactHours, Weekday
from order_to_cash.domain.dunning.default_policy import DEFAULT_POLICY, default_policy
from order_to_cash.domain.dunning.facts import Facts, InvoiceFacts, InvoiceStatus, LadderState
from order_to_cash.domain.dunning.policy import DunningPolicy
from order_to_cash.domain.dunning.reading import read_policy
from order_to_cash.domain.dunning.steps import ActionKind
from order_to_cash.domain.money import Money
from order_to_cash.domain.records import CollectionMethod

START = datetime(2026, 3, 3, 9, 30, tzinfo=UTC)  # a Tuesday
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ZONES = (
    *("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Auckland"),
    *("Australia/Lord_Howe", "America/St_Johns", "Pacific/Apia"),
)
KEYS = tuple(step.key for step in default_policy().charged.steps)


def state(policy: DunningPolicy | None = None, *, sent: bool = False, **other: Any) -> LadderState:
    """A ladder that began at START and did nothing so far."""
    told: dict[str, Any] = {
        "policy_version": (policy or default_policy()).version,
        "collection_method": CollectionMethod.SEND_INVOICE if sent else CollectionMethod.CHARGE_AUTOMATICALLY,
        "opened_at": START,
        "first_failed_at": None if sent else START,
        "journal": {},
    }
    return LadderState(**{**told, **other})


def invoice(**other: Any) -> InvoiceFacts:
    told: dict[str, Any] = {
        "status": InvoiceStatus.OPEN,
        "attempt_count": 1,
        "amount_remaining": Money(120_000, "usd"),
        "subscription_id": "sub_1",
        "subscription_status": "past_due",
        "customer_deleted": False,
    }
    return InvoiceFacts(**{**told, **other})


def facts(ladder: LadderState | None = None, of_invoice: InvoiceFacts | None = None, **other: Any) -> Facts:
    return Facts(invoice=of_invoice or invoice(), ladder=ladder or state(), **other)


def only(when: dict[str, Any], **other: Any) -> DunningPolicy:
    """A policy with one charged step, at once, on these conditions."""
    step = {"key": "one", "anchor": "first_failure", "actions": ["slack"], "when": when, **other}
    return read_policy({**DEFAULT_POLICY, "charged": {**DEFAULT_POLICY["charged"], "steps": [step]}})


def spans(hours: int) -> st.SearchStrategy[timedelta]:
    return st.integers(0, hours * 60).map(lambda minutes: timedelta(minutes=minutes))


@st.composite
def contact_hours(draw: st.DrawFn) -> ContactHours:
    opens = draw(st.integers(0, 22 * 60))
    closes = draw(st.integers(opens + 60, 23 * 60 + 59))
    return ContactHours(
        time_zone=draw(st.sampled_from(ZONES)),
        days=tuple(draw(st.sets(st.sampled_from(Weekday), min_size=1))),
        opens=time(opens // 60, opens % 60),
        closes=time(closes // 60, closes % 60),
        holidays=tuple(draw(st.lists(st.dates(date(2026, 3, 1), date(2026, 4, 15)), max_size=6))),
    )


def conditions() -> st.SearchStrategy[dict[str, Any]]:
    return st.one_of(
        st.just({}),
        st.just({}),
        st.just({"amount_at_least": {"USD": "5000"}}),
        st.just({"segments": ["Enterprise"], "if_unknown": "pass"}),
        st.just({"attempts_at_least": 2}),
        st.just({"declines": ["hard"]}),
        st.just({"billing": "one_off"}),
    )


@st.composite
def policies(draw: st.DrawFn, *, sent: bool | None = None) -> DunningPolicy:
    """Any valid policy, with steps for one kind of invoice; for the other a single one."""
    of_sent = draw(st.booleans()) if sent is None else sent
    window = draw(st.integers(4, 20))
    delays = sorted(draw(st.lists(spans(12 * 24), max_size=5)))
    leads = sorted(draw(st.lists(spans((window - 1) * 24), max_size=2)), reverse=True)
    anchor = "due_date" if of_sent else "first_failure"
    timed: list[dict[str, Any]] = [{"anchor": anchor, "delay": delay} for delay in delays]
    timed += [{"anchor": "stripes_end", "lead": lead} for lead in leads]
    steps = [_step(draw, number, when) for number, when in enumerate(timed)]
    other = {
        "key": "other",
        "anchor": "first_failure" if of_sent else "due_date",
        "actions": ["slack"],
    }
    ladders = [
        {"steps": steps, "days_to_final_action": window},
        {"steps": [other], "days_to_final_action": 14},
    ]
    return DunningPolicy.model_validate(
        {
            "charged": ladders[of_sent],
            "sent": ladders[not of_sent],
            "contact_hours": draw(contact_hours()),
            "quiet_period": draw(spans(48)),
            "retry_margin": draw(spans(12)),
        }
    )


def _step(draw: st.DrawFn, number: int, when: dict[str, Any]) -> dict[str, Any]:
    actions = draw(st.lists(st.sampled_from(ActionKind), min_size=1, max_size=3, unique=True))
    return {
        "key": f"step-{number}",
        **when,
        "actions": [str(kind) for kind in actions],
        "when": draw(conditions()),
        "hours": draw(st.sampled_from(["auto", "auto", "business"])),
    }
