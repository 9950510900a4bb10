"""`o2c ladder list|show`, the doctor and the status page: what people see of ladders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from order_to_cash.cli.ladder_check import check_ladders
from order_to_cash.domain.dunning.facts import EndReason
from order_to_cash.ledger.ladder_records import LadderStatus
from order_to_cash.ledger.ledger import Ledger
from order_to_cash.settings import load_settings
from tests.cli.ladder_books import (
    ACME,
    DAY,
    HOUR,
    POLICY,
    Command,
    begin,
    claim,
    clock_of_commands,
    ledger_at,
    listed,
    plain,
    settle,
    take,
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


def test_nothing_open_says_so(ledger: Ledger, o2c: Command) -> None:
    done = o2c("ladder", "list")
    assert done.stdout == "No ladder is open.\n\nOpen in all: none.\n"
    assert o2c("ladder", "list", "--held").stdout.startswith("No ladder matches.")


def test_open_ladders_are_listed_the_sooner_due_the_earlier(three: Ledger, o2c: Command) -> None:
    done = o2c("ladder", "list")
    assert listed(done) == ["in_2", "in_1", "in_3"]
    shown = plain(done.stdout)
    for words in (
        "due (UTC) invoice number customer owed next step how it stands",
        "2026-03-02 10:30 in_2 ACME-0001 Acme Ltd $1,200.00 USD customer-mail waiting, failed 2×",
        "Why: in_2 failed 2×: Salesforce did not answer. [salesforce_down]",
        "2026-03-03 09:30 in_1 ACME-0001 Acme Ltd $1,200.00 USD customer-mail waiting",
        "2026-03-04 09:30 in_3 Zeta GmbH all steps taken",
        "Open in all: 2 waiting, 1 resting.",
    ):
        assert words in shown


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ("--overdue", ["in_2"]),
        ("--failing", ["in_2"]),
        ("--held", ["in_2", "in_3"]),
        ("--ended", ["in_9"]),
        ("--customer cus_acme", ["in_2", "in_1"]),
        ("--customer cus_zeta --held", ["in_3"]),
        ("--customer cus_acme --held", ["in_2"]),
        (f"--customer {ACCOUNT}", ["in_2", "in_1"]),
        (f"--customer {ACCOUNT[:15]} --held", ["in_2"]),
        ("--customer cus_nobody", []),
        ("--limit 1", ["in_2"]),
    ],
)
def test_filters_narrow_the_list(
    three: Ledger, clock: MovableClock, o2c: Command, options: str, found: list[str]
) -> None:
    three.ladders.end([(begin(three, "in_9", "cus_gone"), EndReason.PAID)])
    three.ladders.hold(invoice_id="in_2", until=None, reason="", by="ada")
    three.ladders.hold(customer_id="cus_zeta", until=None, reason="", by="ada")
    held = {"status": LadderStatus.HELD, "subject": None}
    settle(three, claim(three, "in_2"), due_at=START + HOUR, failures=1, **held)
    settle(three, claim(three, "in_3"), due_at=START + 9 * HOUR, **held)
    clock.advance(hours=2)
    done = o2c("ladder", "list", *options.split())
    assert listed(done) == found
    assert ("--limit shows more than 1" in done.stdout) == ("--limit" in options)


def test_one_ladder_is_shown_with_what_comes_next_and_why_then(ledger: Ledger, o2c: Command) -> None:
    friday = START + 4 * DAY + 6 * HOUR  # 15:30: a day later is Saturday
    claimed = begin(ledger, "in_1", first_failed_at=friday)
    take(ledger, claimed, "first-failure")
    settle(
        ledger, claimed, due_at=START + 7 * DAY - HOUR / 2, subject=replace(ACME, next_payment_attempt=None)
    )
    shown = o2c("ladder", "show", "in_1").stdout
    for words in (
        "invoice   in_1 ACME-0001",
        "customer  Acme Ltd (cus_acme)",
        "owed      $1,200.00 USD (as last read)",
        f"ladder    of an invoice that is charged by Stripe; policy default, version {POLICY.version}",
        "stands    waiting",
        "next      customer-mail (Ask for another payment method) 2026-03-09 09:00 UTC: "
        "24h after the first failure; 1 d 17 h later (business hours)",
        f"/{ACCOUNT}\n",
        "timeline  http://127.0.0.1:4200/artifacts/key/ladder-in-1\n",
        "2026-03-02 09:30  done    first-failure (Payment failed); run run-1",
        "to come: customer-mail, csm-outreach, executive",
    ):
        assert words in shown
    assert "stripe.com" not in shown, "the emulator's invoices are not in Stripe's dashboard"


def test_where_the_ledger_knows_too_little_no_reason_is_made_up(three: Ledger, o2c: Command) -> None:
    settle(three, claim(three, "in_1"), due_at=START + 5 * DAY)
    assert "2026-03-07 09:30 UTC: 24h after the first failure\n" in o2c("ladder", "show", "in_1").stdout


def test_contacts_holds_failures_and_ends_are_shown(three: Ledger, clock: MovableClock, o2c: Command) -> None:
    clock.advance(days=1)
    claimed = claim(three, "in_2")
    take(three, claimed, "customer-mail", contacted_at=START + DAY)
    settle(
        three,
        claimed,
        next_step="csm-outreach",
        due_at=START + 3 * DAY,
        failures=1,
        code="X",
        reason="Locked.",
    )
    three.ladders.hold(customer_id="cus_acme", until=START + 9 * DAY, reason="waits for a PO", by="ada")
    shown = o2c("ladder", "show", "in_2").stdout
    for words in (
        "hold      the whole customer until 2026-03-11 09:30 UTC, said by ada on 2026-03-03 09:30: waits for a PO",
        "next      it is read again as soon as it is taken up: due since 2026-03-03 09:30 UTC, then csm-outreach",
        "why       held: waits for a PO\nwhy       failed 1×: Locked. [X]",
        "customer-mail (Ask for another payment method); the customer was contacted 2026-03-03 09:30; run run-1",
    ):
        assert words in shown
    three.ladders.end([(claim(three, "in_2"), EndReason.SUBSCRIPTION_CANCELED)])
    shown = o2c("ladder", "show", "in_2").stdout
    assert "ended     2026-03-03 09:30 UTC: subscription canceled" in shown
    assert "$1,200.00 USD (when it was last chased)" in shown
    assert "said by" not in shown
    assert "to come" not in shown


def test_what_was_written_is_shown_with_its_ids(three: Ledger, o2c: Command) -> None:
    effects = three.effects
    begun = effects.begin(
        "ladder",
        {
            "ladder:in_1:first-failure:task": {},
            "ladder:in_10:first-failure:task": {},
            "o2c:contact:email:cus_acme:2026-03-03": {},
        },
        run_id="run-1",
    )
    task: Any = begun["ladder:in_1:first-failure:task"]
    effects.succeed({task.key: (task, {"id": "00T000000000001AAA", "note": "by_hand", "contacted": True})})
    shown = o2c("ladder", "show", "in_1").stdout
    assert "done      ladder:in_1:first-failure:task  http" in shown
    assert "/00T000000000001AAA, it could not be mailed: a Task with the text is left to a person\n" in shown
    assert "not known whether it was  o2c:contact:email:cus_acme:2026-03-03" in shown
    assert "in_10" not in shown


def test_the_doctor_finds_ladders_that_do_not_climb(three: Ledger, clock: MovableClock) -> None:
    (failing,) = check_ladders(load_settings())
    assert (failing.ok, failing.message) == (
        *(False, "1 failed at their last try, one of them: Salesforce did not answer."),
    )
    clock.advance(days=2)
    late = next(check_ladders(load_settings()))
    assert (late.ok, late.message) == (False, "2 late: nobody took them up")
    for invoice in ("in_1", "in_2"):
        settle(three, claim(three, invoice), due_at=START + 9 * DAY)
    (fine,) = check_ladders(load_settings())
    assert (fine.ok, fine.message) == (True, "3 open, none late, none failing")


def test_the_status_page_has_a_row(three: Ledger, clock: MovableClock, o2c: Command) -> None:
    clock.advance(hours=1, minutes=5)
    row = plain(o2c("status").stdout).partition("Dunning ladders ")[2]
    assert row.startswith(
        "2 waiting for their next step, 1 with all steps taken; 1 failed at their last try, "
    )
    clock.advance(minutes=20)
    row = plain(o2c("status").stdout).partition("Dunning ladders ")[2]
    assert "; 1 late by up to 25 min; 1 failed" in row
    assert "Salesforce did not answer. o2c ladder list --failing" in row
