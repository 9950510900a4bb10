"""What the Stripe gateway does when things go wrong, judged by the emulator's journal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from order_to_cash.domain.errors import (
    ConfigurationError,
    CredentialsRefused,
    IdempotencyMismatch,
    O2CError,
    OutcomeUnknown,
    PermissionMissing,
    RateLimited,
    RecordGone,
    Refused,
    RowLocked,
    Unavailable,
)
from order_to_cash.gateways.calls import acting_as
from order_to_cash.gateways.retry import RetryPolicy
from order_to_cash.gateways.stripe_errors import KEY_SPENT
from order_to_cash.gateways.stripe_gateway import StripeGateway
from tests.gateways.conftest import RememberingAudit, World

Make = Callable[..., StripeGateway]
KEY = "o2c:customer:001000000000001AAA:usd:1"
CUSTOMER = {"name": "Acme", "email": "ap@acme.example"}
CODE: dict[str, Any] = {"error": {"type": "invalid_request_error", "message": "no"}}


def posts(world: World) -> list[Any]:
    return world.service.journal.select(method="POST", path="^/v1/customers$")


def created(world: World) -> int:
    world.settle()
    return len(world.service.journal.effects("customer", "created"))


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 429},
        {"status": 502},
        {"status": 503},
        {"drop": "before"},
        {"drop": "after"},
        {"delay_seconds": 0.7},
        {"delay_seconds": 0.7, "after_effect": True},
        {"code": "lock_timeout"},
    ],
    ids=str,
)
async def test_a_passing_fault_ends_in_one_customer(
    stripe_world: World, stripe_gateway: Make, fault: dict[str, Any]
) -> None:
    stripe_world.service.faults.add(method="POST", nth=1, **fault)
    customer = await stripe_gateway(timeout_seconds=0.3).create_customer(CUSTOMER, KEY)
    assert customer.email == "ap@acme.example"
    entries = posts(stripe_world)
    assert len(entries) == 2
    assert {entry.headers["idempotency-key"] for entry in entries} == {KEY}
    assert created(stripe_world) == 1


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"status": 429, "headers": {"Retry-After": "0"}}, RateLimited),
        ({"status": 502}, OutcomeUnknown),
        ({"status": 503}, OutcomeUnknown),
        ({"drop": "before"}, OutcomeUnknown),
        ({"drop": "after"}, OutcomeUnknown),
        ({"delay_seconds": 0.5}, OutcomeUnknown),
        ({"code": "lock_timeout"}, RowLocked),
        ({"status": 409, "response": {"error": {"code": "idempotency_key_in_use"}}}, OutcomeUnknown),
    ],
    ids=str,
)
async def test_a_lasting_fault_is_named_after_four_tries(
    stripe_world: World, stripe_gateway: Make, fault: dict[str, Any], error: type[O2CError]
) -> None:
    stripe_world.service.faults.add(method="POST", **fault)
    gateway = stripe_gateway(timeout_seconds=0.1)
    with pytest.raises(error) as caught:
        await gateway.create_customer(CUSTOMER, KEY)
    assert type(caught.value) is error
    assert len(posts(stripe_world)) == 4


@pytest.mark.parametrize("fault", [{"status": 500}, {"drop": "before"}, {"delay_seconds": 0.5}], ids=str)
async def test_a_read_that_fails_had_no_effect(
    stripe_world: World, stripe_gateway: Make, fault: dict[str, Any]
) -> None:
    stripe_world.service.faults.add(method="GET", **fault)
    with pytest.raises(Unavailable):
        await stripe_gateway(timeout_seconds=0.1).list_customers()
    assert len(stripe_world.service.journal.entries) == 4


async def test_nobody_there_is_unavailable_not_unknown(stripe_gateway: Make) -> None:
    gateway = stripe_gateway(api_base="http://127.0.0.1:9")
    with pytest.raises(Unavailable, match="did not answer"):
        await gateway.create_customer(CUSTOMER, KEY)


async def test_retry_after_is_waited_for(stripe_world: World, stripe_gateway: Make) -> None:
    stripe_world.service.faults.add(nth=1, status=429, headers={"Retry-After": "0.4"})
    started = time.monotonic()
    await stripe_gateway().list_customers()
    assert time.monotonic() - started >= 0.4


async def test_a_retry_after_beyond_the_patience_is_handed_on(
    stripe_world: World, stripe_gateway: Make
) -> None:
    stripe_world.service.faults.add(status=429, headers={"Retry-After": "90"})
    with pytest.raises(RateLimited) as caught:
        await stripe_gateway().list_customers()
    assert caught.value.retry_after_seconds == 90
    assert len(stripe_world.service.journal.entries) == 1


async def test_429_lowers_the_rate(stripe_world: World, stripe_gateway: Make) -> None:
    stripe_world.service.faults.add(nth=1, status=429)
    gateway = stripe_gateway(requests_per_second=100.0)
    await gateway.list_customers()
    assert gateway.pacer.rate < 90


@pytest.mark.parametrize("after_effect", [False, True])
async def test_a_500_is_kept_under_its_key(
    stripe_world: World, stripe_gateway: Make, after_effect: bool
) -> None:
    stripe_world.service.faults.add(method="POST", nth=1, status=500, after_effect=after_effect)
    gateway = stripe_gateway()
    for tries in (2, 3):
        with pytest.raises(OutcomeUnknown) as caught:
            await gateway.create_customer(CUSTOMER, KEY)
        assert caught.value.code == KEY_SPENT
        assert len(posts(stripe_world)) == tries
    await gateway.create_customer(CUSTOMER, f"{KEY}:r2")
    assert created(stripe_world) == 1 + after_effect


async def test_a_refusal_after_a_lost_answer_stays_unknown(stripe_world: World, stripe_gateway: Make) -> None:
    stripe_world.service.faults.add(method="POST", nth=1, drop="after")
    stripe_world.service.faults.add(method="POST", nth=1, status=400, response=CODE)
    with pytest.raises(OutcomeUnknown):
        await stripe_gateway().create_customer(CUSTOMER, KEY)


@pytest.mark.parametrize("key", ["", "x" * 256, "550e8400-e29b-41d4-a716-446655440000"])
async def test_a_post_needs_a_key_of_ours(stripe_world: World, stripe_gateway: Make, key: str) -> None:
    with pytest.raises(ValueError, match="idempotency key"):
        await stripe_gateway().create_customer(CUSTOMER, key)
    assert stripe_world.service.journal.entries == []


async def test_one_key_two_requests(stripe_gateway: Make) -> None:
    gateway = stripe_gateway()
    await gateway.create_customer(CUSTOMER, KEY)
    with pytest.raises(IdempotencyMismatch):
        await gateway.create_customer({**CUSTOMER, "name": "Other"}, KEY)


@pytest.mark.parametrize(
    ("params", "param", "hint"),
    [
        ({"email": "not-an-address"}, "email", "billing e-mail"),
        ({"address": {"country": "Germany"}}, "address[country]", "ISO 3166-1"),
    ],
)
async def test_a_refusal_names_parameter_and_remedy(
    stripe_gateway: Make, params: dict[str, Any], param: str, hint: str
) -> None:
    with pytest.raises(Refused) as caught:
        await stripe_gateway().create_customer(params, KEY)
    assert caught.value.ids["param"] == param
    assert hint in caught.value.remedy


async def test_what_does_not_exist_is_gone(stripe_gateway: Make) -> None:
    with pytest.raises(RecordGone) as caught:
        await stripe_gateway().retrieve_customer("cus_missing")
    assert caught.value.ids["stripe_id"] == "cus_missing"
    assert caught.value.ids["request_id"].startswith("req_")


async def test_a_revoked_key(stripe_world: World, stripe_gateway: Make) -> None:
    stripe_world.service.settings.patch({"revoked_keys": ["sk_test_gateway"]})
    with pytest.raises(CredentialsRefused) as caught:
        await stripe_gateway().list_customers()
    assert "O2C_STRIPE_API_KEY" in caught.value.remedy
    assert len(stripe_world.service.journal.entries) == 1


async def test_a_missing_permission_is_named(stripe_world: World, stripe_gateway: Make) -> None:
    stripe_world.service.settings.patch({"restricted_keys": {"rk_test_narrow": ["customer_read"]}})
    gateway = stripe_gateway(api_key="rk_test_narrow")
    with pytest.raises(PermissionMissing, match="rak_customer_write") as caught:
        await gateway.create_customer(CUSTOMER, KEY)
    assert "rak_customer_write" in caught.value.remedy
    assert (await gateway.account_id()).startswith("acct_")


async def test_an_answer_of_the_other_mode_is_refused(stripe_world: World, stripe_gateway: Make) -> None:
    live = {"object": "list", "data": [{"id": "cus_1", "livemode": True}], "has_more": False}
    stripe_world.service.faults.add(status=200, response=live)
    with pytest.raises(ConfigurationError, match="live-mode"):
        await stripe_gateway().list_customers()


async def test_an_answer_that_is_no_json(stripe_world: World, stripe_gateway: Make) -> None:
    stripe_world.service.faults.add(status=200, response="<html>maintenance</html>")
    with pytest.raises(Unavailable, match="unreadable"):
        await stripe_gateway().list_customers()
    with pytest.raises(OutcomeUnknown, match="unreadable"):
        await stripe_gateway().create_customer(CUSTOMER, KEY)


async def test_a_redirect_is_not_followed(stripe_world: World, stripe_gateway: Make) -> None:
    elsewhere = {"Location": f"{stripe_world.url}/elsewhere"}
    stripe_world.service.faults.add(status=302, response="moved", headers=elsewhere)
    with pytest.raises(Refused, match="302"):
        await stripe_gateway().list_customers()
    assert len(stripe_world.service.journal.entries) == 1


async def test_fifty_at_once(stripe_world: World, stripe_gateway: Make) -> None:
    stripe_world.service.settings.patch({"latency_seconds": 0.2})
    gateway = stripe_gateway(requests_per_second=2000.0)
    started = time.monotonic()
    await asyncio.gather(*(gateway.create_customer(CUSTOMER, f"{KEY}:{n}") for n in range(50)))
    assert time.monotonic() - started < 1.5
    assert created(stripe_world) == 50


async def test_every_try_is_in_the_audit(
    stripe_world: World, stripe_gateway: Make, audit: RememberingAudit
) -> None:
    stripe_world.service.faults.add(method="POST", nth=1, drop="after")
    with acting_as("run-1"):
        await stripe_gateway().create_customer(CUSTOMER, KEY)
    assert [intent.idempotency_key for intent in audit.intents] == [KEY, KEY]
    assert {intent.actor for intent in audit.intents} == {"run-1"}
    assert [outcome.status for outcome in audit.outcomes.values()] == [None, 200]
    first, second = audit.outcomes.values()
    assert first.error
    assert second.request_id.startswith("req_")
    assert second.response["object"] == "customer"
    assert len(audit.intents[0].request_digest) == 64


async def test_an_audit_that_fails_stops_the_call(stripe_world: World, stripe_gateway: Make) -> None:
    class Broken(RememberingAudit):
        def begin(self, intent: Any) -> str:
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        await stripe_gateway(audit=Broken()).create_customer(CUSTOMER, KEY)
    assert stripe_world.service.journal.entries == []


async def test_a_cancelled_call_is_finished_in_the_audit(
    stripe_world: World, stripe_gateway: Make, audit: RememberingAudit
) -> None:
    stripe_world.service.settings.patch({"latency_seconds": 1.0})
    gateway = stripe_gateway()
    call = asyncio.create_task(gateway.list_customers())
    await asyncio.sleep(0.2)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await gateway.aclose()
    assert [outcome.error for outcome in audit.outcomes.values()] == ["CancelledError"]


async def test_patience_is_bounded(stripe_world: World, stripe_gateway: Make) -> None:
    stripe_world.service.faults.add(status=503)
    hurried = RetryPolicy(max_attempts=50, base_seconds=0.2, cap_seconds=0.2, max_elapsed_seconds=0.5)
    started = time.monotonic()
    with pytest.raises(Unavailable):
        await stripe_gateway(retry=hurried).list_customers()
    assert time.monotonic() - started < 1.0
