"""`o2c ladder hold|snooze|resume`: what people's word does, and what is said to a word that is wrong."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

import pytest

from order_to_cash.domain.dunning.facts import EndReason
from order_to_cash.ledger.ladder_records import LadderStatus
from order_to_cash.ledger.ledger import Ledger
from tests.cli.ladder_books import (
    ACME,
    Command,
    asleep,
    claim,
    clock_of_commands,
    ledger_at,
    listed,
    plain,
    settle,
    with_three,
)
from tests.ledger.support import ACCOUNT, START, MovableClock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> MovableClock:
    return clock_of_commands(monkeypatch)


@pytest.fixture
def ledger(clock: MovableClock) -> Iterator[Ledger]:
    with ledger_at(clock) as opened:
        yield opened


@pytest.fixture
def three(ledger: Ledger) -> Ledger:
    """One sleeps, one of the same customer failed, one of another rests."""
    return with_three(ledger)


def test_a_hold_is_written_with_who_said_so_and_wakes_the_ladder(three: Ledger, o2c: Command) -> None:
    before = three.ladders.get("in_1")
    done = o2c("ladder", "hold", "in_1", "--reason", "waits for a PO")
    assert done.exit_code == 0, done.output
    assert "Held until resumed: 1 ladder.\n  in_1  ACME-0001  Acme Ltd  $1,200.00 USD\n" in done.stdout
    assert "A mail that leaves in this very moment is not stopped." in done.stdout
    assert "A payment ends the ladder all the same." in done.stdout
    (hold,) = three.ladders.holds()
    assert (hold.subject_id, hold.until, hold.reason, hold.placed_by) == (
        *("in_1", None, "waits for a PO"),
        getpass.getuser(),
    )
    after = three.ladders.get("in_1")
    assert before is not None
    assert after is not None
    assert after.due_at == START
    assert after.generation > before.generation
    assert listed(o2c("ladder", "list", "--held")) == ["in_1"]
    assert "held until resumed\n" in o2c("ladder", "list").stdout
    assert "  in_1  held: waits for a PO\n" in o2c("ladder", "list").stdout


def test_an_invoice_is_named_by_its_number_too(three: Ledger, o2c: Command) -> None:
    asleep(three, "in_4", "cus_zeta", subject=replace(ACME, invoice_number="ACME-0004"))
    for typed in ("ACME-0004", "acme-0004 "):
        assert o2c("ladder", "show", typed).stdout.startswith("invoice   in_4 ACME-0004")
    assert "1 ladder" in o2c("ladder", "hold", "ACME-0004").stdout
    assert [hold.subject_id for hold in three.ladders.holds()] == ["in_4"]
    twice = o2c("ladder", "hold", "ACME-0001")
    assert twice.exit_code == 2
    assert "'ACME-0001' is no id of an invoice" in plain(twice.output)


def test_a_snooze_lasts_until_then(three: Ledger, clock: MovableClock, o2c: Command) -> None:
    assert (
        "Held until 2026-03-05 09:30 UTC: 1 ladder." in o2c("ladder", "snooze", "in_1", "--for", "3d").stdout
    )
    done = o2c("ladder", "snooze", "in_1", "--until", "2026-03-04")
    assert "Held until 2026-03-04 00:00 UTC: 1 ladder." in done.stdout, "the last word counts"
    assert [hold.until for hold in three.ladders.holds()] == [datetime(2026, 3, 4, tzinfo=START.tzinfo)]
    clock.advance(days=2)
    assert three.ladders.holds() == []


def test_a_customer_or_an_account_is_held_whole(three: Ledger, o2c: Command) -> None:
    assert "2 ladders" in o2c("ladder", "hold", "--customer", "cus_acme").stdout
    assert [hold.subject_id for hold in three.ladders.holds()] == ["cus_acme"]
    assert "Resumed: 2 ladders." in o2c("ladder", "resume", "--customer", "cus_acme").stdout
    three.links.put("customer", "cus_euro", "Account", ACCOUNT)
    done = o2c("ladder", "hold", "--customer", ACCOUNT[:15], "--until", "2026-03-09")
    assert "Held until 2026-03-09 00:00 UTC: 2 ladders." in done.stdout
    assert {hold.subject_id for hold in three.ladders.holds()} == {"cus_acme", "cus_euro"}
    assert "in_3" not in done.stdout


def test_a_customer_without_a_ladder_is_held_beforehand(three: Ledger, o2c: Command) -> None:
    three.links.put("customer", "cus_new", "Account", ACCOUNT)
    done = o2c("ladder", "hold", "--customer", "cus_new")
    assert "Held until resumed: 0 ladders." in done.stdout
    assert "one that begins later is held too" in done.stdout


def test_resume_tells_which_other_hold_goes_on(three: Ledger, o2c: Command) -> None:
    o2c("ladder", "hold", "in_1")
    o2c("ladder", "hold", "--customer", "cus_acme", "--reason", "audit")
    done = o2c("ladder", "resume", "in_1")
    assert "Resumed: 1 ladder." in done.stdout
    assert "Still on hold: cus_acme until resumed, said by" in done.stdout
    assert "(audit)" in done.stdout
    done = o2c("ladder", "resume", "--customer", "cus_acme")
    assert "Still on hold" not in done.stdout
    assert "taken up at once" in done.stdout
    assert three.ladders.holds() == []
    assert "Was not on hold here: 1 ladder." in o2c("ladder", "resume", "in_1").stdout


def test_resume_tells_that_the_account_itself_holds(three: Ledger, o2c: Command) -> None:
    settle(three, claim(three, "in_1"), status=LadderStatus.HELD)
    done = o2c("ladder", "resume", "in_1")
    assert "in_1 was held by its Account's Dunning Hold" in done.stdout
    assert "in_1  held by its Account's Dunning Hold in Salesforce" in o2c("ladder", "list", "--held").stdout


def test_a_step_under_way_is_named_and_not_stopped(three: Ledger, o2c: Command) -> None:
    three.ladders.begin_step(claim(three, "in_1"), "customer-mail", "run-1")
    done = o2c("ladder", "hold", "in_1")
    assert (
        "Under way already and not stopped: customer-mail. Its mail may leave, or have left." in done.stdout
    )


def test_an_ended_ladder_and_an_unknown_id_are_told_with_status_1(three: Ledger, o2c: Command) -> None:
    three.ladders.end([(claim(three, "in_1"), EndReason.PAID)])
    for words, said in (
        ("hold in_1", "has ended: paid. Nothing is sent any more. [ladder_ended]"),
        ("resume in_1", "has ended: paid"),
        ("hold in_none", "This invoice has no ladder. [ladder_unknown]"),
        ("hold --customer cus_none", "Nobody heard of this customer"),
        ("resume --customer 001000000000009AAA", "Nobody heard of this customer"),
        ("show in_none", "has no ladder, and never had one"),
    ):
        done = o2c("ladder", *words.split())
        assert done.exit_code == 1, words
        assert said in plain(done.output)
        assert "Traceback" not in done.output
    assert three.ladders.holds() == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("hold", "Name an invoice, or a customer"),
        ("hold in_1 --customer cus_acme", "one of them"),
        ("hold acme", "INVOICE: 'acme' is no id"),
        ("hold --customer acme", "'--customer': 'acme' is no id"),
        ("snooze in_1", "'--until': A ladder is snoozed until a moment"),
        ("snooze in_1 --until 2026-03-01", "'2026-03-01' has passed"),
        ("snooze in_1 --for soon", "'--for': 'soon' is no moment"),
        ("snooze in_1 --for 400d", "more than 366 days"),
        ("hold in_1 --until 2026-03-04 --for 3d", "give one of them"),
        (f"hold in_1 --reason {'x' * 301}", "'--reason': The reason has more than 300"),
        ("resume in_1 --until 2026-03-04", "--until"),
        ("show", "INVOICE"),
        ("show cus_acme", "'cus_acme' is not an invoice's"),
        ("list --customer in_1", "'in_1' is not a customer's"),
        ("list --customer acme", "'--customer'"),
        ("list --ended --held", "give --ended alone"),
        ("list --overdue --held", "Give one of"),
        ("list --limit 0", "--limit"),
    ],
)
def test_a_wrong_argument_is_a_plain_sentence_with_status_2(
    ledger: Ledger, o2c: Command, words: str, said: str
) -> None:
    done = o2c("ladder", *words.split())
    assert done.exit_code == 2
    assert said in plain(done.output)
    assert "Traceback" not in done.output
    assert ledger.ladders.holds() == []
