"""`o2c events`: what people see of the inbox, and what a replay opens again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from typer.testing import Result

from order_to_cash.cli import wiring
from order_to_cash.domain.clock import FixedClock
from order_to_cash.domain.errors import RuleRefused, Unavailable
from order_to_cash.domain.events import EventState
from order_to_cash.ledger.inbox_claims import EventOutcome
from order_to_cash.ledger.inbox_search import EventFilter
from order_to_cash.ledger.ledger import Ledger
from order_to_cash.settings import load_settings
from tests.cli.command_clock import commands_ask
from tests.ledger.events import event, stored
from tests.ledger.support import START

Command = Callable[..., Result]
HIDDEN = RuleRefused("Stripe_MRR__c is hidden.", code="INVALID_FIELD", remedy="Assign O2C_Integration.")
DOWN = Unavailable("Salesforce did not answer.", code="salesforce_down", remedy="Wait.")


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    commands_ask(monkeypatch, FixedClock(START + timedelta(minutes=1)))
    with wiring.open_ledger(load_settings()) as opened:
        yield opened


@pytest.fixture
def mixed(ledger: Ledger) -> Ledger:
    """evt_0 done, evt_1 and evt_2 parked, evt_3 to be tried again, evt_4 pending."""
    kinds = ["invoice.paid", "invoice.paid", "charge.failed", "invoice.voided", "customer.updated"]
    stored(ledger, *(event(number, kind=kind) for number, kind in enumerate(kinds)))
    claims = ledger.inbox.claim("host:1", 4)
    again = EventOutcome.retry(claims[3], DOWN, START + timedelta(minutes=5))
    parked = [EventOutcome.parked(claimed, HIDDEN) for claimed in claims[1:3]]
    ledger.inbox.finish([EventOutcome.done(claims[0]), *parked, again])
    return ledger


def states(ledger: Ledger) -> dict[str, str]:
    return {row.event_id: row.state for row in ledger.inbox.find(EventFilter())}


def listed(done: Result) -> list[str]:
    assert done.exit_code == 0, done.output
    return [line.split()[2] for line in done.output.splitlines() if line.startswith("2026")]


def test_an_empty_inbox_says_so(ledger: Ledger, o2c: Command) -> None:
    assert o2c("events", "list").stdout == "No event came yet.\n\nIn all: nothing waits.\n"
    assert o2c("events", "list", "--parked").stdout.startswith("No event matches.")


def test_events_are_listed_with_reason_and_remedy(mixed: Ledger, o2c: Command) -> None:
    shown = o2c("events", "list").output
    lines = shown.splitlines()
    assert lines[0].split() == ["created", "(UTC)", "event", "type", "object", "state", "why"]
    assert lines[2].split() == ["2026-03-02", "09:30:00", "evt_0", "invoice.paid", "in_0", "done"]
    assert "evt_1  invoice.paid      in_1    parked   Stripe_MRR__c is hidden." in shown
    assert "retry    Salesforce did not answer. Again at 2026-03-02 09:35:00." in shown
    assert "  Assign O2C_Integration.\n    evt_1, evt_2\n" in shown
    assert "o2c events replay --parked" in shown
    assert lines[-1] == "In all: 1 pending, 1 retry, 2 parked."


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ("", "01234"),
        ("--parked", "12"),
        ("--state done --state pending", "04"),
        ("--type invoice.*", "013"),
        ("--type charge.failed --type customer.updated", "24"),
        ("--since 2026-03-02T09:30:02 --until 2026-03-02T09:30:04", "23"),
        ("--since 58s --until 1m", None),
        ("--object in_2", "2"),
        ("--parked --type invoice.*", "1"),
        ("--limit 2", "34"),
    ],
)
def test_filters_narrow_the_list(mixed: Ledger, o2c: Command, options: str, found: str | None) -> None:
    done = o2c("events", "list", *options.split())
    if found is None:
        assert done.exit_code == 2
    else:
        assert listed(done) == [f"evt_{number}" for number in found]
        assert ("--limit shows more" in done.output) == ("--limit" in options)


def test_one_event_is_shown_without_what_stripe_sent(mixed: Ledger, o2c: Command) -> None:
    shown = o2c("events", "show", "evt_1").output
    for words in (
        "event        evt_1",
        "object       invoice in_1",
        "belongs to   cus_1",
        "received     2026-03-02 09:31:00 (webhook)",
        "account      own, test mode",
        "state        parked",
        "why          Stripe_MRR__c is hidden. [INVALID_FIELD]",
        "to do        Assign O2C_Integration.",
        "2026-03-02 09:31:00  received  webhook\n  2026-03-02 09:31:00  parked  INVALID_FIELD",
    ):
        assert words in shown
    assert "Zo" not in shown


def test_the_body_comes_with_a_warning_and_inert(mixed: Ledger, o2c: Command) -> None:
    done = o2c("events", "show", "evt_1", "--body")
    assert "Personal data follows" in done.stderr
    assert '"name": "Zo\\u00eb"' in done.stdout
    mixed.inbox.finish([EventOutcome.done(claimed) for claimed in mixed.inbox.claim("host:1")])
    assert mixed.inbox.prune(days=-1) == 2
    assert "Its content is forgotten" in o2c("events", "show", "evt_0", "--body").output


def test_an_event_that_never_came_is_told_how_to_get_in(ledger: Ledger, o2c: Command) -> None:
    done = o2c("events", "show", "evt_9")
    assert done.exit_code == 1
    assert "never came in" in done.output
    assert "o2c events replay evt_9" in done.output


def test_a_replay_opens_what_matches(mixed: Ledger, o2c: Command) -> None:
    before = states(mixed)
    dry = o2c("events", "replay", "--parked", "--dry-run")
    assert dry.exit_code == 0
    assert "2 events would be opened again." in dry.output
    assert "A dry run: nothing was changed." in dry.output
    assert states(mixed) == before
    done = o2c("events", "replay", "--parked")
    assert "2 events opened again." in done.output
    assert states(mixed) == {**before, "evt_1": EventState.PENDING, "evt_2": EventState.PENDING}
    assert "0 events opened again." in o2c("events", "replay", "--parked").output


def test_a_replay_says_how_many_are_left(mixed: Ledger, o2c: Command) -> None:
    done = o2c("events", "replay", "--since", "2026-03-02", "--limit", "1")
    assert (
        "1 event opened again, 2 left for another replay, 2 waiting or being applied already." in done.output
    )
    assert states(mixed)["evt_0"] == EventState.PENDING


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("list --state lost", "--state"),
        ("list --since yesterday", "for '--since': 'yesterday' is no moment"),
        ("list --until soon", "for '--until': 'soon' is no moment"),
        ("list --since 2026-03-02 --until 2026-03-01", "for '--until': The time range ends before it begins"),
        ("list --type Invoice!", "for '--type': 'Invoice!' is no type"),
        ("list --parked --state done", "exclude each other"),
        ("list --limit 0", "for '--limit': 0 is too small: at least 1."),
        ("list --limit few", "for '--limit': 'few' is no whole number."),
        ("show in_1", "for EVENT_ID: 'in_1' is no id of an event"),
        ("show", "EVENT_ID"),
        ("replay", "Nothing says which events"),
        ("replay --dry-run", "Nothing says which events"),
        ("replay in_1", "is no id of an event"),
        ("replay evt_1 --parked", "either ids or a selection"),
        ("replay --parked --limit 0", "--limit"),
    ],
)
def test_a_wrong_argument_is_a_plain_sentence_with_status_2(
    ledger: Ledger, o2c: Command, words: str, said: str
) -> None:
    done = o2c("events", *words.split())
    assert done.exit_code == 2
    assert said in " ".join(done.output.replace("│", " ").split())
    assert "Traceback" not in done.output


def test_long_lists_are_cut(ledger: Ledger, o2c: Command) -> None:
    stored(ledger, *(event(number) for number in range(60)))
    ledger.inbox.finish([EventOutcome.done(claimed) for claimed in ledger.inbox.claim("host:1")])
    done = o2c("events", "replay", "--type", "invoice.*")
    assert f"… and {60 - 50} more." in done.output
    assert len([line for line in done.output.splitlines() if line.startswith("evt_")]) == 50
