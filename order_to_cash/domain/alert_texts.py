"""What an alert says: what happened, since when, how many, the first reason, what to do, where to look.

The same words go to Slack, to e-mail and to whatever else an operator has Prefect notify: plain text, no markup.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from order_to_cash.domain.alerts import AlertKind, Change, Vitals
from order_to_cash.domain.messages import LONGEST_HEADER, LONGEST_SECTION, Message, escape_slack, one_line

TITLES = {
    AlertKind.LAG: "Events wait too long",
    AlertKind.PARKED: "Events are parked",
    AlertKind.ERRORS: "Many events fail",
    AlertKind.CALLS: "Calls to a vendor fail",
    AlertKind.BUDGET: "Salesforce API calls run short",
    AlertKind.ENDPOINT: "Stripe's webhooks do not arrive",
    AlertKind.GAP: "Webhooks were missed",
    AlertKind.PREFECT: "The Prefect server does not answer",
}
"""In a few words what is wrong."""

_OVER = {
    AlertKind.LAG: "Events no longer wait too long",
    AlertKind.PARKED: "Parked events were taken care of",
    AlertKind.ERRORS: "Events go through again",
    AlertKind.CALLS: "Calls go through again",
    AlertKind.BUDGET: "There are enough Salesforce API calls again",
    AlertKind.ENDPOINT: "Stripe's webhooks arrive again",
    AlertKind.GAP: "No webhooks were missed for two hours",
    AlertKind.PREFECT: "The Prefect server answers again",
}

_REMEDIES = {
    AlertKind.LAG: "See the newest runs of apply-stripe-events, and whether Salesforce answers (`o2c doctor`). "
    "Nothing is lost: what waits is applied as soon as it can be.",
    AlertKind.PARKED: "`o2c events list --parked` shows each with its reason. Correct that, then "
    "`o2c events replay --parked`.",
    AlertKind.ERRORS: "`o2c events list` and the newest runs of apply-stripe-events show the reasons. "
    "What can be tried again is tried again by itself.",
    AlertKind.CALLS: "`o2c doctor` says what key, login or permission is at fault; `o2c audit list` shows the calls. "
    "Deals are not billed and events not applied meanwhile; both are taken up again by themselves.",
    AlertKind.BUDGET: "Find who else calls in Setup → System Overview. o2c gathers events for longer and stops "
    "before the reserve: Salesforce shows changes later, none is lost.",
    AlertKind.ENDPOINT: "Stripe Dashboard → Developers → Webhooks shows why deliveries fail. Put it right, then "
    "`o2c webhooks ensure --url …` switches the endpoint on. Until then the hourly catch-up brings the events.",
    AlertKind.GAP: "They are in Salesforce now: catch-up found them. Stripe Dashboard → Developers → Webhooks shows "
    "why they were not delivered, and whether the receiver could be reached.",
    AlertKind.PREFECT: "Start it, or look at its database. Webhooks are stored meanwhile; deals and events are taken "
    "up where they stand once it answers.",
}


@dataclass(frozen=True, slots=True)
class AlertText:
    """A headline and what stands below it, in lines."""

    subject: str
    body: str

    def message(self) -> Message:
        """As a Slack message of ours."""
        lines = "\n".join(escape_slack(line) for line in self.body.split("\n"))
        header = {"type": "plain_text", "text": self.subject[:LONGEST_HEADER], "emoji": False}
        section = {"type": "mrkdwn", "text": lines[:LONGEST_SECTION]}
        return Message(
            text=escape_slack(self.subject),
            blocks=({"type": "header", "text": header}, {"type": "section", "text": section}),
        )


def alert_text(change: Change, vitals: Vitals, *, ui_url: str = "") -> AlertText:
    """The words for one change; `ui_url` is the Prefect UI's address."""
    since = change.standing.since
    if not change.raised:
        lasted = f" after {in_words(vitals.at - since)}" if since and vitals.at > since else ""
        rest = (
            f" Still parked: {_events(vitals.parked)}."
            if change.kind is AlertKind.PARKED and vitals.parked
            else ""
        )
        return AlertText(f"Over: {_OVER[change.kind]}", f"It is well again{lasted}.{rest}")
    head = "Still" if change.again else "Alert"
    lines = [
        _number(change, vitals),
        f"Since: {_moment(since)}" if since and change.kind in _SINCE_KNOWN else "",
        _reason(change.kind, vitals),
        f"What to do: {_remedy(change.kind, vitals)}",
        f"Prefect: {ui_url}/runs" if ui_url and change.kind is not AlertKind.PREFECT else "",
    ]
    return AlertText(f"{head}: {TITLES[change.kind]}", "\n".join(filter(None, lines)))


_SINCE_KNOWN = {AlertKind.LAG, AlertKind.PARKED, AlertKind.ENDPOINT, AlertKind.GAP, AlertKind.PREFECT}


def _number(change: Change, vitals: Vitals) -> str:
    kind, value = change.kind, change.standing.value
    numbers = {
        AlertKind.LAG: f"The oldest of {_events(vitals.waiting)} has waited for "
        f"{in_words(timedelta(seconds=value))}.",
        AlertKind.PARKED: f"Cannot be applied as they are: {_events(round(value))}.",
        AlertKind.ERRORS: f"{vitals.failed} of {_events(vitals.tried)} failed within 15 minutes ({value:.0f} %).",
        AlertKind.CALLS: _calls(vitals),
        AlertKind.BUDGET: f"The org has used {vitals.calls_used or 0:,} of {vitals.calls_limit or 0:,} calls in "
        f"24 hours ({value:.0f} %).",
        AlertKind.ENDPOINT: _endpoint(vitals, value),
        AlertKind.GAP: f"{_events(round(value))} did not arrive by webhook and had to be fetched.",
        AlertKind.PREFECT: f"It has not taken the drain's pulse for {in_words(timedelta(seconds=value))}: nothing is "
        "billed, and nothing applied.",
    }
    return numbers[kind]


def _calls(vitals: Vitals) -> str:
    worst = max(vitals.calls, key=lambda calls: calls.percent, default=None)
    if worst is None:
        return ""
    last = f" The last: {plain(worst.last_error)}." if worst.last_error else ""
    return f"{worst.failed} of {worst.made} calls to {worst.system.title()} failed within 5 minutes.{last}"


def _endpoint(vitals: Vitals, hours: float) -> str:
    endpoint = vitals.endpoint
    if endpoint is not None and not endpoint.exists:
        return "The Stripe account has no webhook endpoint for our events."
    if endpoint is not None and not endpoint.enabled:
        return "The webhook endpoint is disabled: Stripe sends nothing to it."
    return f"No webhook has arrived for {in_words(timedelta(hours=hours))}, although there were events."


def _reason(kind: AlertKind, vitals: Vitals) -> str:
    parked = vitals.first_parked
    if kind is AlertKind.PARKED and parked is not None:
        return f"The first: {plain(parked.reason)} [{plain(parked.code)}] {plain(parked.remedy)}".rstrip()
    failed = vitals.oldest_failed
    if kind is AlertKind.LAG and failed is not None:
        said = f"{plain(failed.reason)} [{plain(failed.code)}] {plain(failed.remedy)}".rstrip()
        return f"The oldest that was tried has failed since {_moment(failed.since)}: {said}"
    return ""


def _remedy(kind: AlertKind, vitals: Vitals) -> str:
    if kind is AlertKind.ENDPOINT and vitals.endpoint is not None and not vitals.endpoint.exists:
        return (
            "`o2c webhooks ensure --url …` makes it and tells the secret. Until then the hourly catch-up brings "
            "the events."
        )
    return _REMEDIES[kind]


def plain(text: str) -> str:
    """`text` on one line, without what makes a mention or a link of it in Slack, at most 500 characters."""
    return one_line(text).replace("<", "‹").replace(">", "›")[:500]


def in_words(duration: timedelta) -> str:
    """Such as "40 s", "12 min", "5 h", "3 days"; rounded down."""
    seconds = max(0, int(duration.total_seconds()))
    if seconds < 120:
        return f"{seconds} s"
    if seconds < 2 * 3600:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h" if seconds < 48 * 3600 else f"{seconds // 86_400} days"


def _events(count: int) -> str:
    return "1 event" if count == 1 else f"{count:,} events"


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
