"""Claims: exclusive, fenced, with leases; generations; states."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from order_to_cash.domain.errors import ClaimedElsewhere, ClaimLost, IdempotencyMismatch, RuleRefused
from order_to_cash.ledger.claims import Claim, ObligationState, Stray
from order_to_cash.ledger.ledger import Ledger
from tests.ledger.support import OPPORTUNITY, START, MovableClock, claim_deal


def test_a_first_claim_opens_generation_one(ledger: Ledger) -> None:
    claim = claim_deal(ledger)
    assert (claim.key, claim.generation, claim.fence) == (f"o2c:invoice:{OPPORTUNITY}:1", 1, 1)
    assert (claim.amount_minor, claim.currency, claim.state) == (125_000, "eur", ObligationState.OPEN)
    assert (claim.edited, claim.undecided, claim.already_finalized, claim.strays) == (False, False, False, ())


def test_another_run_is_told_who_holds_it_and_until_when(ledger: Ledger, clock: MovableClock) -> None:
    claim_deal(ledger, "run-1")
    clock.advance(seconds=100)
    with pytest.raises(ClaimedElsewhere) as raised:
        claim_deal(ledger, "run-2")
    assert raised.value.ids["held_by"] == "run-1"
    assert raised.value.ids["until"] == "2026-03-02T09:32:00+00:00"
    assert raised.value.retry_after_seconds == 20


def test_an_expired_lease_is_taken_over_and_its_token_is_dead(ledger: Ledger, clock: MovableClock) -> None:
    old = claim_deal(ledger, "run-1")
    ledger.operations.begin(old, "draft", {})
    clock.advance(seconds=121)
    new = claim_deal(ledger, "run-2")
    assert (new.key, new.fence) == (old.key, 2)
    writes: list[Callable[[], object]] = [
        lambda: ledger.obligations.renew(old),
        lambda: ledger.obligations.held(old, "total_mismatch"),
        lambda: ledger.obligations.finalized(old, invoice_id="in_1", url=""),
        lambda: ledger.obligations.closed(old),
        lambda: ledger.obligations.start_over(old),
        lambda: ledger.obligations.discarded(old, Stray(old.key, 1, "in_1", ())),
        lambda: ledger.operations.begin(old, "lines", {}),
        lambda: ledger.operations.succeed(old, "draft", {}),
        lambda: ledger.operations.refuse(old, "draft", RuleRefused("no")),
        lambda: ledger.operations.renew_key(old, "draft"),
    ]
    for write in writes:
        with pytest.raises(ClaimLost) as raised:
            write()
        assert raised.value.ids["taken_by"] == "run-2"
    assert ledger.obligations.release(old) is False
    assert ledger.obligations.renew(new).expires_at > clock.now()


def test_an_expired_lease_that_nobody_took_still_holds(ledger: Ledger, clock: MovableClock) -> None:
    claim = claim_deal(ledger, "run-1")
    clock.advance(seconds=500)
    ledger.operations.begin(claim, "draft", {})
    with pytest.raises(ClaimedElsewhere):
        claim_deal(ledger, "run-2")


def test_a_released_claim_is_free_at_once(ledger: Ledger) -> None:
    claim = claim_deal(ledger, "run-1")
    assert ledger.obligations.release(claim) is True
    assert claim_deal(ledger, "run-2").fence == 2


def test_a_run_takes_its_own_claim_again(ledger: Ledger) -> None:
    first = claim_deal(ledger, "run-1")
    assert claim_deal(ledger, "run-1").key == first.key
    with pytest.raises(ClaimLost):
        ledger.obligations.renew(first)


def test_a_changed_plan_supersedes_and_names_the_stray_draft(ledger: Ledger) -> None:
    first = claim_deal(ledger, "run-1")
    ledger.operations.begin(first, "draft", {})
    ledger.operations.succeed(first, "draft", {"invoice_id": "in_1", "customer_id": "cus_1"})
    ledger.operations.begin(first, "lines", {})
    ledger.obligations.release(first)
    second = claim_deal(ledger, "run-2", digest="plan-b")
    assert second.generation == 2
    assert second.strays == (Stray(first.key, 1, "in_1", ("lines",)),)
    ledger.obligations.release(second)
    again = claim_deal(ledger, "run-3", digest="plan-b")
    assert (again.key, again.strays) == (second.key, second.strays)
    ledger.obligations.discarded(again, again.strays[0])
    assert claim_deal(ledger, "run-3", digest="plan-b").strays == ()
    superseded = ledger.obligations.get(first.key)
    assert superseded is not None
    assert superseded.state == ObligationState.SUPERSEDED


def test_a_plan_without_any_effect_leaves_no_stray(ledger: Ledger) -> None:
    claim_deal(ledger, digest="plan-a")
    assert claim_deal(ledger, digest="plan-b").strays == ()


def test_going_back_to_an_earlier_plan_is_a_new_generation(ledger: Ledger) -> None:
    for generation, digest in enumerate(["plan-a", "plan-b", "plan-a"], start=1):
        assert claim_deal(ledger, digest=digest).generation == generation


def test_past_the_point_of_no_return_a_changed_plan_starts_nothing(ledger: Ledger) -> None:
    first = claim_deal(ledger)
    ledger.operations.begin(first, "finalize", {}, point_of_no_return=True)
    with pytest.raises(ValueError, match="may have been finalized"):
        ledger.obligations.start_over(first)
    second = claim_deal(ledger, digest="plan-b")
    assert (second.key, second.undecided, second.edited) == (first.key, True, True)
    assert second.plan_digest == "plan-a"
    ledger.operations.refuse(second, "finalize", RuleRefused("it is still a draft"))
    assert claim_deal(ledger, digest="plan-b").generation == 2


def test_a_finalized_obligation_stays_what_was_billed(ledger: Ledger) -> None:
    claim = claim_deal(ledger)
    ledger.obligations.finalized(claim, invoice_id="in_1", url="https://pay.example/1", customer_id="cus_1")
    ledger.obligations.finalized(claim, invoice_id="in_1", url="https://pay.example/1")
    with pytest.raises(IdempotencyMismatch):
        ledger.obligations.finalized(claim, invoice_id="in_2", url="")
    ledger.obligations.closed(claim)
    for digest, edited in (("plan-a", False), ("plan-b", True)):
        again = claim_deal(ledger, "run-2", digest=digest)
        assert (again.key, again.already_finalized, again.edited) == (claim.key, True, edited)
        assert (again.plan_digest, again.undecided) == ("plan-a", False)
        assert (again.stripe_invoice_id, again.stripe_customer_id) == ("in_1", "cus_1")
        ledger.obligations.held(again, "late")
    assert claim_deal(ledger, "run-2").state == ObligationState.CLOSED


def test_only_finalized_ones_close(ledger: Ledger) -> None:
    claim = claim_deal(ledger)
    with pytest.raises(ValueError, match="only finalized"):
        ledger.obligations.closed(claim)


def test_a_batch_closes_without_those_that_were_lost(ledger: Ledger) -> None:
    claims = [claim_deal(ledger, opportunity_id=f"00600000000{number:04}AAA") for number in range(5)]
    for claim in claims:
        ledger.obligations.finalized(claim, invoice_id=f"in_{claim.opportunity_id}", url="")
    ledger.obligations.release(claims[3])
    [lost] = ledger.obligations.closed_many(claims)
    assert lost.ids["obligation"] == claims[3].key
    latest = ledger.obligations.latest_many([claim.opportunity_id for claim in claims])
    assert sorted(row.state for row in latest.values()) == ["closed"] * 4 + ["finalized"]


def test_a_held_obligation_is_resumed_by_the_same_plan(ledger: Ledger) -> None:
    claim = claim_deal(ledger)
    ledger.obligations.held(claim, "total_mismatch")
    again = claim_deal(ledger)
    assert (again.state, again.state_reason, again.generation) == (ObligationState.HELD, "total_mismatch", 1)
    ledger.obligations.start_over(again)
    with pytest.raises(ClaimLost):
        ledger.obligations.renew(again)
    assert claim_deal(ledger).generation == 2


def test_what_a_killed_run_left_is_found(ledger: Ledger, clock: MovableClock) -> None:
    claim = claim_deal(ledger)
    assert ledger.obligations.unfinished() == []
    clock.advance(seconds=121)
    [left] = ledger.obligations.unfinished()
    assert (left.key, left.created_at, left.claim_run_id) == (claim.key, START, "run-1")
    latest = ledger.obligations.latest(OPPORTUNITY)
    assert latest is not None
    assert latest.key == claim.key
    assert ledger.obligations.get("o2c:invoice:none:1") is None


def test_an_id_of_15_characters_is_the_same_deal(ledger: Ledger) -> None:
    claim = claim_deal(ledger, opportunity_id=OPPORTUNITY[:15])
    assert claim.opportunity_id == OPPORTUNITY
    assert set(ledger.obligations.latest_many([OPPORTUNITY[:15]])) == {OPPORTUNITY[:15]}
    with pytest.raises(ClaimedElsewhere):
        claim_deal(ledger, "run-2")


def test_a_voided_generation_makes_way_for_the_next_and_leaves_no_stray(ledger: Ledger) -> None:
    first = claim_deal(ledger)
    with pytest.raises(ValueError, match="only a finalized invoice"):
        ledger.obligations.voided(first)
    ledger.obligations.finalized(first, invoice_id="in_1", url="")
    ledger.obligations.voided(first)
    with pytest.raises(ClaimLost):
        ledger.obligations.voided(first)
    again = claim_deal(ledger, "run-2")
    assert (again.generation, again.state, again.stripe_invoice_id) == (2, ObligationState.OPEN, "")
    assert (again.already_finalized, again.strays) == (False, ())
    old = ledger.obligations.get(first.key)
    assert old is not None
    assert (old.state, old.state_reason, old.stripe_invoice_id) == ("superseded", "voided", "in_1")
    # A closed one too: it may be voided long afterwards.
    ledger.obligations.finalized(again, invoice_id="in_2", url="")
    ledger.obligations.closed(again)
    ledger.obligations.voided(claim_deal(ledger))
    assert claim_deal(ledger).generation == 3


def test_what_may_be_finalized_is_what_began_to_and_was_not_refused(ledger: Ledger) -> None:
    def deal(number: int) -> Claim:
        return claim_deal(ledger, opportunity_id=f"00600000000{number:04}AAA")

    fresh, drafted, begun, refused, renewed, stands, done = (deal(number) for number in range(7))
    ledger.operations.begin(drafted, "draft", {})
    for claim in (begun, refused, renewed, stands, done):
        ledger.operations.begin(claim, "finalize", {}, point_of_no_return=True)
    for claim in (refused, renewed):
        ledger.operations.refuse(claim, "finalize", RuleRefused("it is still a draft"))
    ledger.operations.renew_key(renewed, "finalize")
    ledger.operations.succeed(stands, "finalize", {"invoice_id": "in_1"})
    ledger.obligations.finalized(done, invoice_id="in_2", url="")
    ledger.obligations.held(renewed, "total_mismatch")
    keys = [claim.key for claim in (fresh, drafted, begun, refused, renewed, stands, done)]
    assert ledger.obligations.maybe_finalized(keys) == {begun.key, renewed.key, stands.key}
    assert ledger.obligations.maybe_finalized([fresh.key]) == set()
    assert ledger.obligations.maybe_finalized([]) == set()


def test_of_what_is_unfinished_the_invoices_that_may_be_out_come_first(
    ledger: Ledger, clock: MovableClock
) -> None:
    claims = []
    for number in range(7):
        claims.append(claim_deal(ledger, opportunity_id=f"00600000000{number:04}AAA"))
        clock.advance(seconds=1)
    fresh, held, maybe, held_maybe, finalized, closed, _leased = claims
    for claim in (maybe, held_maybe):
        ledger.operations.begin(claim, "finalize", {}, point_of_no_return=True)
    for claim in (finalized, closed):
        ledger.obligations.finalized(claim, invoice_id=f"in_{claim.opportunity_id}", url="")
    for claim in (held, held_maybe):
        ledger.obligations.held(claim, "permission_missing")
    ledger.obligations.closed(closed)
    for claim in (fresh, held, maybe, held_maybe, finalized):
        ledger.obligations.release(claim)
    # What waits for a person and cannot be out is not work left over.
    expected = [maybe.key, held_maybe.key, finalized.key, fresh.key]
    assert [owed.key for owed in ledger.obligations.unfinished()] == expected
    assert [owed.key for owed in ledger.obligations.unfinished(limit=2)] == expected[:2]
