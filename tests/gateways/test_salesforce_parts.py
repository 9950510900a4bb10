"""Budget, rows, deployment and error meanings, without a network."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_to_cash.domain.errors import (
    BudgetExhausted,
    FieldRefused,
    O2CError,
    OutcomeUnknown,
    PermissionMissing,
    RateLimited,
    RecordGone,
    Refused,
    RowLocked,
    RuleRefused,
    Unavailable,
)
from order_to_cash.domain.linger import Lane
from order_to_cash.gateways.retry import RetryPolicy
from order_to_cash.gateways.salesforce_budget import ApiUsage, DailyBudget, parse_usage
from order_to_cash.gateways.salesforce_deploy import follow
from order_to_cash.gateways.salesforce_errors import translate_answer, translate_error
from order_to_cash.gateways.salesforce_rows import CHUNK, RowWriter, wire_json

# Budget


@pytest.mark.parametrize(
    ("header", "usage"),
    [
        ("api-usage=18/5000", ApiUsage(18, 5000)),
        ("per-app-api-usage=17/250(appName=sample); api-usage=18/5000", ApiUsage(18, 5000)),
        ("per-app-api-usage=17/250(appName=sample)", None),
        ("", None),
        (None, None),
    ],
)
def test_the_usage_header(header: str | None, usage: ApiUsage | None) -> None:
    assert parse_usage(header) == usage


def test_lanes_stop_one_after_the_other_and_a_reserve_stays() -> None:
    budget = DailyBudget()
    budget.note(ApiUsage(50, 100))
    with pytest.raises(BudgetExhausted, match="50 of 100"):
        budget.admit(Lane.BULK)
    for _ in range(20):
        budget.admit(Lane.CATCH_UP)
    with pytest.raises(BudgetExhausted):
        budget.admit(Lane.CATCH_UP)
    for _ in range(10):
        budget.admit(Lane.LIVE)
    with pytest.raises(BudgetExhausted):
        budget.admit(Lane.LIVE)
    assert budget.usage == ApiUsage(80, 100)


def test_an_exhausted_budget_looks_again_now_and_then() -> None:
    moment = [0.0]
    budget = DailyBudget(monotonic=lambda: moment[0])
    budget.note(ApiUsage(100, 100))
    moment[0] = 299
    with pytest.raises(BudgetExhausted):
        budget.admit(Lane.LIVE)
    moment[0] = 300
    budget.admit(Lane.LIVE)
    with pytest.raises(BudgetExhausted):
        budget.admit(Lane.LIVE)
    budget.note(ApiUsage(3, 100))
    budget.admit(Lane.LIVE)


def test_answers_that_overtake_each_other_do_not_turn_usage_back() -> None:
    moment = [0.0]
    budget = DailyBudget(monotonic=lambda: moment[0])
    budget.note(ApiUsage(12, 100))
    budget.note(ApiUsage(11, 100))
    assert budget.usage == ApiUsage(12, 100)
    moment[0] = 2
    budget.note(ApiUsage(4, 100))
    assert budget.usage == ApiUsage(4, 100)


# Rows


class Org:
    """Answers chunks as told, and remembers them."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.chunks: list[Sequence[Mapping[str, Any]]] = []

    def send(self, chunk: list[Mapping[str, Any]]) -> Any:
        self.chunks.append(chunk)
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer or [{"success": True, "id": row["id"], "errors": []} for row in chunk]


def writer(max_attempts: int = 3) -> RowWriter:
    return RowWriter(RetryPolicy(max_attempts=max_attempts), random.Random(1), lambda _: None)


def rows(count: int) -> list[dict[str, Any]]:
    return [{"id": f"006{n}"} for n in range(count)]


def failed(code: str, message: str = "no", fields: Sequence[str] = ()) -> dict[str, Any]:
    error = {"statusCode": code, "message": message, "fields": list(fields)}
    return {"success": False, "id": None, "errors": [error]}


@given(count=st.integers(0, 700))
def test_chunks_of_200_and_a_result_for_every_row_in_order(count: int) -> None:
    org = Org()
    results = writer().write("write Opportunity", rows(count), org.send)
    assert [result.id for result in results] == [f"006{n}" for n in range(count)]
    assert all(result.ok for result in results)
    assert all(len(chunk) <= CHUNK for chunk in org.chunks)
    assert len(org.chunks) == -(-count // CHUNK)


def test_only_locked_rows_are_sent_again() -> None:
    good = {"success": True, "id": "0060", "errors": []}
    org = Org([good, failed("UNABLE_TO_LOCK_ROW"), failed("STRING_TOO_LONG", fields=["Name"])])
    results = writer().write("write Account", rows(3), org.send)
    assert [[row["id"] for row in chunk] for chunk in org.chunks] == [["0060", "0061", "0062"], ["0061"]]
    assert [result.ok for result in results] == [True, True, False]
    assert isinstance(results[2].error, FieldRefused)
    assert results[2].error.ids == {"salesforce_id": "0062", "field": "Name"}


def test_a_lasting_lock_ends() -> None:
    lock = [failed("UNABLE_TO_LOCK_ROW")]
    org = Org(lock, lock, lock, lock)
    (result,) = writer().write("write Account", rows(1), org.send)
    assert isinstance(result.error, RowLocked)
    assert len(org.chunks) == 3


def test_a_lost_chunk_does_not_hide_the_others() -> None:
    org = Org(None, OutcomeUnknown("lost"), None)
    results = writer().write("insert Task", rows(500), org.send)
    assert [result.ok for result in results] == [True] * 200 + [False] * 200 + [True] * 100
    assert isinstance(results[250].error, OutcomeUnknown)


def test_an_exhausted_budget_stops_the_rest() -> None:
    org = Org(None, BudgetExhausted("no more"))
    results = writer().write("write Task", rows(500), org.send)
    assert len(org.chunks) == 2
    assert sum(result.ok for result in results) == 200
    assert all(isinstance(result.error, BudgetExhausted) for result in results[200:])


def test_answers_that_do_not_fit_the_rows_are_unknown() -> None:
    org = Org([{"success": True, "id": "0060"}])
    results = writer().write("insert Task", rows(2), org.send)
    assert all(isinstance(result.error, OutcomeUnknown) for result in results)


@given(amount=st.decimals(allow_nan=False, allow_infinity=False, places=4))
def test_decimals_keep_their_digits(amount: Decimal) -> None:
    assert json.loads(wire_json({"a": [amount]}), parse_float=Decimal, parse_int=Decimal) == {"a": [amount]}


def test_wire_json_of_everything_else() -> None:
    at = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
    value = {'O\'Brien \\ "Co"': None, "d": date(2026, 1, 2), "t": at, "b": True, "n": 3, "s": "ß"}
    assert json.loads(wire_json(value)) == {
        **value,
        "d": "2026-01-02",
        "t": "2026-11-20T08:00:00.000+00:00",
    }


@pytest.mark.parametrize("value", [1.5, Decimal("NaN"), datetime(2026, 1, 1)])  # noqa: DTZ001 - the naive one is refused
def test_wire_json_refuses(value: Any) -> None:
    with pytest.raises(TypeError):
        wire_json({"a": value})


# Errors


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("INVALID_FIELD", FieldRefused),
        ("INVALID_FIELD_FOR_INSERT_UPDATE", FieldRefused),
        ("STRING_TOO_LONG", FieldRefused),
        ("MALFORMED_ID", FieldRefused),
        ("REQUIRED_FIELD_MISSING", FieldRefused),
        ("FIELD_CUSTOM_VALIDATION_EXCEPTION", RuleRefused),
        ("DUPLICATES_DETECTED", RuleRefused),
        ("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", RuleRefused),
        ("ENTITY_IS_DELETED", RecordGone),
        ("INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", PermissionMissing),
        ("INSUFFICIENT_ACCESS_OR_READONLY", PermissionMissing),
        ("UNABLE_TO_LOCK_ROW", RowLocked),
        ("SERVER_UNAVAILABLE", Unavailable),
        ("REQUEST_LIMIT_EXCEEDED", BudgetExhausted),
        ("SOMETHING_NEW", Refused),
    ],
)
def test_what_codes_mean(code: str, kind: type[O2CError]) -> None:
    error = translate_error({"statusCode": code, "message": "no"}, "Account 001")
    assert type(error) is kind
    assert error.code == code
    assert error.remedy


def test_too_many_at_once_is_not_the_end_of_the_day() -> None:
    message = "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
    error = translate_error({"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": message}, "query")
    assert type(error) is RateLimited


def test_the_field_is_found_in_the_message() -> None:
    message = "No such column 'Stripe_Invoice_Id__c' on sobject of type Opportunity"
    error = translate_answer(400, [{"errorCode": "INVALID_FIELD", "message": message}], "write Opportunity")
    assert error.ids == {"field": "Stripe_Invoice_Id__c"}
    assert "field-level security" in error.remedy


def test_messages_carry_no_address() -> None:
    error = translate_error(
        {"errorCode": "INVALID_EMAIL_ADDRESS", "message": "bad: ada@acme.example"}, "Contact"
    )
    assert "ada@acme" not in str(error)


@pytest.mark.parametrize(
    ("status", "content", "kind"),
    [
        (429, "slow down", RateLimited),
        (500, [{"errorCode": "UNKNOWN_EXCEPTION", "message": "x"}], Unavailable),
        (503, "", Unavailable),
        (404, None, RecordGone),
        (418, {"odd": 1}, Refused),
    ],
)
def test_whole_answers(status: int, content: Any, kind: type[O2CError]) -> None:
    assert type(translate_answer(status, content, "query")) is kind


# Deployment


def test_a_deployment_is_followed_to_its_end() -> None:
    failure = {"componentType": "CustomField", "fullName": "Account.X__c", "problem": "bad"}
    done = {
        "done": True,
        "success": False,
        "status": "Failed",
        "checkOnly": True,
        "numberComponentsDeployed": 3,
        "details": {"componentFailures": [failure]},
    }
    answers: list[dict[str, Any]] = [{"deployResult": {"done": False}}, {"deployResult": done}]
    waits: list[float] = []
    result = follow({"id": "0Af1", "deployResult": {"done": False}}, lambda _: answers.pop(0), waits.append)
    assert not result.ok
    assert (result.deploy_id, result.status, result.checked_only) == ("0Af1", "Failed", True)
    assert [(each.full_name, each.problem) for each in result.failures] == [("Account.X__c", "bad")]
    assert len(waits) == 2


def test_a_deployment_that_never_ends_is_left() -> None:
    waits: list[float] = []
    with pytest.raises(OutcomeUnknown) as caught:
        follow({"id": "0Af1"}, lambda _: {"deployResult": {"done": False}}, waits.append)
    assert caught.value.ids == {"deploy_id": "0Af1"}
    assert sum(waits) <= 1806


def test_what_was_too_long_is_not_quoted() -> None:
    said = "Last Name: data value too large: Ada (King)\nLovelace (max length=80)"
    error = translate_error({"statusCode": "STRING_TOO_LONG", "message": said}, "Contact")
    assert error.message.endswith("Last Name: data value too large (max length=80)")


def test_a_missing_parent_is_no_matter_of_permissions() -> None:
    said = "Foreign key external ID: sub_1 not found for field Id__c in entity Stripe_Subscription__c"
    assert "replay" in translate_error({"statusCode": "INVALID_FIELD", "message": said}, "write").remedy
