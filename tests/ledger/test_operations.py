"""Intent before effect: fresh, unknown, done, refused; keys; batches; operations that stand alone."""

from __future__ import annotations

import pytest
from sqlalchemy import event

from order_to_cash.domain.errors import ClaimedElsewhere, ClaimLost, RuleRefused
from order_to_cash.ledger.intents import Operation, OperationState
from order_to_cash.ledger.ledger import Ledger
from tests.ledger.support import START, MovableClock, claim_deal


def test_an_intent_is_fresh_once_then_unknown_then_done(ledger: Ledger, clock: MovableClock) -> None:
    claim = claim_deal(ledger)
    first = ledger.operations.begin(claim, "draft", {"lines": 3})
    assert (first.state, first.idempotency_key) == (OperationState.FRESH, f"{claim.key}:draft")
    clock.advance(seconds=5)
    second = ledger.operations.begin(claim, "draft", {"lines": 4})
    assert (second.state, second.intent, second.intended_at) == (OperationState.UNKNOWN, {"lines": 3}, START)
    ledger.operations.succeed(claim, "draft", {"invoice_id": "in_1"})
    third = ledger.operations.begin(claim, "draft", {})
    assert (third.state, third.outcome) == (OperationState.DONE, {"invoice_id": "in_1"})
    obligation = ledger.obligations.get(claim.key)
    assert obligation is not None
    assert obligation.stripe_invoice_id == "in_1"
    assert [operation.step for operation in ledger.operations.of(claim.key)] == ["draft"]


def test_a_refusal_keeps_its_reason_and_is_tried_again_under_a_new_key(ledger: Ledger) -> None:
    claim = claim_deal(ledger)
    ledger.operations.begin(claim, "draft", {})
    error = RuleRefused("A rule said no.", code="RULE", remedy="Change it.", ids={"invoice": "in_1"})
    ledger.operations.refuse(claim, "draft", error)
    refused = ledger.operations.begin(claim, "draft", {})
    assert refused.state == OperationState.REFUSED
    assert refused.error == {
        "code": "RULE",
        "message": "A rule said no.",
        "remedy": "Change it.",
        "ids": {"invoice": "in_1"},
        "retryable": False,
    }
    renewed = ledger.operations.renew_key(claim, "draft")
    assert (renewed.state, renewed.idempotency_key) == (OperationState.FRESH, f"{claim.key}:draft:r2")
    assert renewed.error == {}
    assert ledger.operations.renew_key(claim, "draft").idempotency_key.endswith(":draft:r3")


def test_a_key_is_not_trusted_after_23_hours(ledger: Ledger, clock: MovableClock) -> None:
    claim = claim_deal(ledger)
    ledger.operations.begin(claim, "draft", {})
    clock.advance(hours=23, seconds=-1)
    assert not ledger.operations.begin(claim, "draft", {}).key_expired
    clock.advance(seconds=1)
    old = ledger.operations.begin(claim, "draft", {})
    assert (old.state, old.key_expired) == (OperationState.UNKNOWN, True)
    renewed = ledger.operations.renew_key(claim, "draft")
    assert (renewed.intended_at, renewed.key_expired) == (clock.now(), False)
    assert ledger.operations.begin(claim, "draft", {}).idempotency_key == f"{claim.key}:draft:r2"


def test_what_cannot_be(ledger: Ledger) -> None:
    claim = claim_deal(ledger)
    for write in (
        lambda: ledger.operations.succeed(claim, "draft", {}),
        lambda: ledger.operations.refuse(claim, "draft", RuleRefused("no")),
        lambda: ledger.operations.renew_key(claim, "draft"),
    ):
        with pytest.raises(ValueError, match="never begun"):
            write()
    ledger.operations.begin(claim, "finalize", {}, point_of_no_return=True)
    ledger.operations.succeed(claim, "finalize", {})
    with pytest.raises(ValueError, match="cannot be taken back"):
        ledger.operations.renew_key(claim, "finalize")
    with pytest.raises(ValueError, match="cannot be refused"):
        ledger.operations.refuse(claim, "finalize", RuleRefused("no"))


def test_a_batch_of_many_with_some_lost(ledger: Ledger) -> None:
    claims = [claim_deal(ledger, opportunity_id=f"00600000000{number:04}AAA") for number in range(20)]
    ledger.obligations.release(claims[7])
    results = ledger.operations.begin_many("writeback", [(claim, {"n": 1}) for claim in claims])
    assert [isinstance(result, ClaimLost) for result in results] == [number == 7 for number in range(20)]
    for claim, result in zip(claims, results, strict=True):
        if isinstance(result, Operation):
            assert (result.key, result.state) == (f"{claim.key}:writeback", OperationState.FRESH)
    ledger.obligations.release(claims[8])
    lost = ledger.operations.succeed_many("writeback", [(claim, {"n": 2}) for claim in claims[8:]])
    assert [error.ids["obligation"] for error in lost] == [claims[8].key]
    assert len(ledger.operations.refuse_many("writeback", [(c, RuleRefused("no")) for c in claims[:8]])) == 1
    states = [ledger.operations.of(claim.key)[0].state for claim in claims if claim not in claims[7:9]]
    assert states == [OperationState.REFUSED] * 7 + [OperationState.DONE] * 11


def test_two_hundred_take_one_transaction(ledger: Ledger) -> None:
    claims = [claim_deal(ledger, opportunity_id=f"00600000000{number:04}AAA") for number in range(200)]
    commits: list[object] = []
    event.listen(ledger.database.engine, "commit", commits.append)
    results = ledger.operations.begin_many("writeback", [(claim, {}) for claim in claims])
    assert (len(results), len(commits)) == (200, 1)
    assert ledger.operations.succeed_many("writeback", [(claim, {}) for claim in claims]) == []
    assert len(commits) == 2


def test_a_standalone_operation_belongs_to_one_run_at_a_time(ledger: Ledger, clock: MovableClock) -> None:
    operations = ledger.operations
    first = operations.begin_standalone("o2c:notice:batch-1", "slack", {"rows": 2}, run_id="run-1")
    assert (first.state, first.idempotency_key) == (OperationState.FRESH, "o2c:notice:batch-1")
    with pytest.raises(ClaimedElsewhere):
        operations.begin_standalone("o2c:notice:batch-1", "slack", {}, run_id="run-2")
    again = operations.begin_standalone("o2c:notice:batch-1", "slack", {}, run_id="run-1")
    assert again.state == OperationState.UNKNOWN
    clock.advance(seconds=121)
    other = operations.begin_standalone("o2c:notice:batch-1", "slack", {}, run_id="run-2")
    assert (other.state, other.intent) == (OperationState.UNKNOWN, {"rows": 2})
    with pytest.raises(ClaimLost):
        operations.succeed_standalone(again, {"ts": "1"})
    renewed = operations.renew_standalone(other)
    assert renewed.idempotency_key == "o2c:notice:batch-1:r2"
    operations.refuse_standalone(renewed, RuleRefused("no channel"))
    refused = operations.begin_standalone("o2c:notice:batch-1", "slack", {}, run_id="run-3")
    assert (refused.state, refused.error["message"]) == (OperationState.REFUSED, "no channel")
    last = operations.renew_standalone(refused)
    operations.succeed_standalone(last, {"ts": "1"})
    done = operations.begin_standalone("o2c:notice:batch-1", "slack", {})
    assert (done.state, done.outcome) == (OperationState.DONE, {"ts": "1"})
    with pytest.raises(ValueError, match="has succeeded"):
        operations.renew_standalone(done)
