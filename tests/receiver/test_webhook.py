"""What Stripe, and whoever says to be Stripe, sends over the wire."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest

from order_to_cash.domain.clock import FixedClock
from order_to_cash.domain.errors import Unavailable
from order_to_cash.domain.events import StripeEvent
from order_to_cash.domain.records import Environment
from order_to_cash.ledger.ledger import Ledger
from order_to_cash.receiver.app import STRIPE_PATH, Endpoints
from order_to_cash.receiver.store import LedgerStore
from tests.receiver.serving import (
    AT,
    OLD_SECRET,
    OWN_ACCOUNT,
    QUICK,
    SECRET,
    Served,
    body_of,
    event,
    serving,
    signed,
    stored,
)

BODY = body_of(event())
THIN = {
    "id": "evt_test_65",
    "object": "v2.core.event",
    "type": "v2.core.account.updated",
    "livemode": False,
    "created": "2026-03-02T09:29:59.123Z",
    "related_object": {"id": "acct_1", "type": "v2.core.account", "url": "/v2/core/accounts/acct_1"},
}


def test_a_signed_event_is_stored_byte_for_byte(served: Served, ledger: Ledger) -> None:
    answer = served.event(BODY)
    assert (answer.status, answer.text) == (200, "")
    kept = ledger.inbox.get("evt_1")
    assert kept is not None
    assert (kept.type, kept.partition) == ("invoice.paid", "cus_1")
    assert (kept.source, kept.state) == ("webhook", "pending")
    assert ledger.inbox.body(kept.seq) == BODY
    assert served.results() == {"stored": 1}


def test_an_event_that_comes_again_is_acknowledged_and_stays_one(served: Served, ledger: Ledger) -> None:
    later = signed(BODY, at=AT + 30)
    assert [served.event(BODY).status, served.event(BODY, later).status] == [200, 200]
    assert stored(ledger) == ["evt_1"]


def test_while_a_secret_is_rolled_both_are_good(served: Served, ledger: Ledger) -> None:
    by_old, both = body_of(event("evt_old")), body_of(event("evt_both"))
    assert served.event(by_old, signed(by_old, OLD_SECRET)).status == 200
    old_first = signed(both, "whsec_long_gone") + "," + signed(both).partition(",")[2]
    assert served.event(both, old_first).status == 200
    assert stored(ledger) == ["evt_old", "evt_both"]


def test_a_thin_event_is_stored_for_the_drain_to_fetch(served: Served, ledger: Ledger) -> None:
    assert served.event(body_of(THIN)).status == 200
    kept = ledger.inbox.get("evt_test_65")
    assert kept is not None
    assert (kept.thin, kept.object_id) == (True, "acct_1")


UNSIGNED = "There is no valid Stripe-Signature header.\n"
WRONG = "It is not signed with a secret of this endpoint.\n"
STALE, FUTURE = "too old", "of the future"


@pytest.mark.parametrize(
    ("header", "sentence", "result"),
    [
        ("none", UNSIGNED, "signature_missing"),
        (f"t={AT}", UNSIGNED, "signature_missing"),
        (f"t={AT},v0=00", UNSIGNED, "signature_missing"),
        (signed(BODY).partition(",")[2], UNSIGNED, "signature_missing"),
        (signed(BODY).replace("t=", "t=-"), UNSIGNED, "signature_missing"),
        (signed(BODY).replace(f"t={AT}", f"t={AT},t={AT + 1}"), UNSIGNED, "signature_missing"),
        (signed(BODY) + ",v1=00" * 20, UNSIGNED, "signature_missing"),
        (signed(BODY) + "," + "v0=00," * 1000, UNSIGNED, "signature_missing"),
        (signed(BODY + b" "), WRONG, "signature_wrong"),
        (signed(BODY, "whsec_of_somebody_else"), WRONG, "signature_wrong"),
        (signed(BODY, ""), WRONG, "signature_wrong"),
        (signed(BODY).replace(f"t={AT}", f"t={AT - 1}"), WRONG, "signature_wrong"),
        (signed(BODY)[:-2], WRONG, "signature_wrong"),
        (signed(BODY).upper().replace("T=", "t=").replace("V1=", "v1="), WRONG, "signature_wrong"),
        (signed(BODY, "whsec_of_somebody_else", AT - 9999), WRONG, "signature_wrong"),
        (signed(BODY, at=AT - 301), STALE, "stale"),
        (signed(BODY, at=0), STALE, "stale"),
        (signed(BODY, at=AT + 61), FUTURE, "future"),
        (signed(BODY, at=999_999_999_999), FUTURE, "future"),
    ],
)
def test_what_stripe_did_not_sign_just_now_is_refused(
    standing: tuple[Served, Ledger], header: str, sentence: str, result: str
) -> None:
    served, ledger = standing
    before = served.results()
    answer = served.event(BODY, header)
    assert answer.status == 400
    assert sentence in answer.text
    assert served.results() == before | {result: before.get(result, 0) + 1}
    assert stored(ledger) == []


@pytest.mark.parametrize("at", [AT - 300, AT + 60])
def test_clocks_may_differ_a_little(served: Served, at: int) -> None:
    assert served.event(BODY, signed(BODY, at=at)).status == 200


@pytest.mark.parametrize(
    ("changes", "status", "result"),
    [
        ({"livemode": True}, 400, "other_mode"),
        ({"account": "acct_of_somebody"}, 400, "other_account"),
        ({"context": "acct_of_somebody"}, 400, "other_account"),
        ({"account": OWN_ACCOUNT}, 200, "stored"),
    ],
)
def test_only_the_own_account_and_mode_are_taken(
    served: Served, ledger: Ledger, changes: dict[str, Any], status: int, result: str
) -> None:
    body = body_of(event(**changes))
    answer = served.event(body)
    assert (answer.status, served.results()) == (status, {result: 1})
    assert "acct" not in answer.text
    kept = ledger.inbox.get("evt_1")
    assert (kept.account_id if kept else None) == ("" if status == 200 else None)


def test_in_live_nothing_of_test_is_taken(tmp_path: object, clock: FixedClock) -> None:
    with (
        Ledger.open(f"sqlite:///{tmp_path}/live.db", clock=clock, environment=Environment.LIVE) as ledger,
    ):
        ledger.migrate()
        with serving(ledger, clock, Endpoints(Environment.LIVE, [SECRET.encode()])) as served:
            real = body_of(event("evt_live", livemode=True))
            assert [served.event(BODY).status, served.event(real).status] == [400, 200]
            # Before the ledger knows its account, nobody else's events get in either.
            connect = body_of(event("evt_connect", livemode=True, account="acct_any"))
            assert served.event(connect).status == 400
        assert stored(ledger) == ["evt_live"]


@pytest.mark.parametrize("secrets", [[], [b""]])
def test_without_a_secret_nothing_is_believed_and_stripe_tries_again(
    ledger: Ledger, clock: FixedClock, secrets: list[bytes]
) -> None:
    with serving(ledger, clock, Endpoints(Environment.TEST, secrets)) as served:
        answer = served.event(BODY, signed(BODY, ""))
        assert (answer.status, answer.headers["retry-after"]) == (503, "60")
        assert "O2C_STRIPE_WEBHOOK_SECRETS" in answer.text
        assert served.results() == {"disabled": 1}
    assert stored(ledger) == []


DEEP = body_of(event()).replace(b'"amount_due": 12500', b'"deep": ' + b"[" * 200_000 + b"]" * 200_000)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"\x00",
        b"\xff\xfe\x00",
        DEEP,
        BODY.replace(b'"livemode": false', b'"livemode": true, "livemode": false'),
        BODY.replace(b'"in_1"', b'"in_\\u0000"'),
        BODY.replace(b'"in_1"', b'"in_\\ud800"'),
        BODY.replace(b'"evt_1"', b'"evt_' + b"x" * 300 + b'"'),
        BODY.replace(b'"object": "invoice"', b'"object": {}'),
        body_of(event(data={"object": "in_1"})),
        body_of(event(data={"object": None})),
        body_of(event(data=[])),
        body_of([event()]),
    ],
    ids=lambda body: repr(body[:20]),
)
def test_a_signed_body_that_is_no_event_is_refused(standing: tuple[Served, Ledger], body: bytes) -> None:
    served, ledger = standing
    before = served.results()
    answer = served.event(body)
    assert (answer.status, answer.text) == (400, "This is not a Stripe event.\n")
    assert served.results() == before | {"unreadable": before.get("unreadable", 0) + 1}
    assert stored(ledger) == []


@pytest.mark.parametrize(
    "more",
    [
        b'"nul": "\\u0000"',
        b'"surrogate": "\\ud800"',
        b'"quoted": "{\\"a\\": 1, \\"a\\": 2}"',
        b'"deep": ' + b"[" * 300 + b"]" * 300,
        b'"digits": ' + b"9" * 400,
    ],
    ids=lambda more: repr(more[:20]),
)
def test_oddities_inside_an_event_are_stored_inert(served: Served, ledger: Ledger, more: bytes) -> None:
    body = BODY.replace(b'"amount_due": 12500', more)
    assert served.event(body).status == 200
    kept = ledger.inbox.get("evt_1")
    assert kept is not None
    assert ledger.inbox.body(kept.seq) == body


def test_nothing_of_a_body_or_secret_is_logged_told_or_counted(
    ledger: Ledger, clock: FixedClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    canary = "jane.canary@acme.example"
    good = body_of(event(email=canary))
    store = LedgerStore(ledger, clock)

    def refuses(events: Sequence[StripeEvent]) -> None:
        raise ValueError(f"cannot store {events}")

    with serving(store, clock, limits=QUICK) as served:
        answers = [
            served.event(good),
            served.event(good, signed(good, "whsec_wrong")),
            served.event(f'{{"email": "{canary}"'.encode()),
            served.event(body_of(event(email=canary, livemode=True))),
        ]
        store.store_events = refuses  # type: ignore[method-assign]  # a fault that quotes the row
        answers.append(served.event(good))
        told = " ".join(f"{answer.text} {answer.headers}" for answer in answers) + served.get("/metrics").text
    assert [answer.status for answer in answers] == [200, 400, 400, 400, 503]
    for secret in (canary, SECRET, OLD_SECRET, "cus_1", "evt_1"):
        assert secret not in caplog.text
        assert secret not in told


class AwayClock:
    """The emulators' clock while they do not run."""

    def now(self) -> datetime:
        raise Unavailable("The emulators' clock cannot be read.")


def test_without_a_clock_nothing_is_judged(ledger: Ledger) -> None:
    with serving(ledger, AwayClock(), Endpoints(Environment.EMULATOR, [SECRET.encode()])) as served:
        assert served.event(BODY).status == 503
    assert stored(ledger) == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_other_methods_are_refused(served: Served, method: str) -> None:
    with served.connect() as connection:
        connection.sendall(f"{method} {STRIPE_PATH} HTTP/1.1\r\nhost: a\r\n\r\n".encode())
        assert b" 405 " in connection.recv(4096)
