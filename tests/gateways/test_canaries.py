"""No secret, card number or personal data in logs, audit rows, exceptions or tracebacks (R82, R86)."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from order_to_cash.domain.errors import O2CError
from order_to_cash.gateways.stripe_gateway import StripeGateway
from tests.gateways.conftest import RememberingAudit, World

KEY = "sk_test_CanaryKey4711"
EMAIL = "canary.person@private.example"
PAN = "4242 4242 4242 4242"
STREET = "Canary Street 17"
PHONE = "+49 30 1234567"
CANARIES = (
    "CanaryKey4711",
    "canary.person",
    "canary%2Eperson",
    PAN,
    PAN.replace(" ", ""),
    "Canary Street",
    PHONE,
)
CUSTOMER = {
    "name": "Acme",
    "email": EMAIL,
    "phone": PHONE,
    "description": f"card {PAN}",
    "address": {"line1": STREET, "country": "DE"},
}
VENDORS = ("stripe", "httpx", "httpcore", "urllib3", "simple_salesforce", "slack_sdk", "requests")
Make = Callable[..., StripeGateway]


@pytest.fixture(autouse=True)
def everything_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for vendor in VENDORS:
        caplog.set_level(logging.DEBUG, logger=vendor)


def assert_clean(*texts: object) -> None:
    for text in texts:
        for canary in CANARIES:
            assert canary not in str(text), canary


def everything(problem: BaseException) -> str:
    shown = traceback.TracebackException.from_exception(problem, capture_locals=True)
    return "".join((str(problem), repr(problem), repr(problem.__dict__), "".join(shown.format())))


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 400, "response": {"error": {"message": f"Invalid email {EMAIL}", "param": "email"}}},
        {"status": 400, "response": {"error": {"message": f"card {PAN} of {KEY}"}}},
        {"status": 500, "response": {"error": {"message": f"{EMAIL}"}}},
        {"status": 429, "headers": {"Retry-After": "90"}},
        {"status": 200, "response": f"<html>{EMAIL}</html>"},
        {"drop": "before"},
        {"drop": "after"},
    ],
    ids=str,
)
async def test_stripe_failures_show_nothing(
    stripe_world: World,
    stripe_gateway: Make,
    audit: RememberingAudit,
    caplog: pytest.LogCaptureFixture,
    fault: dict[str, Any],
) -> None:
    stripe_world.service.faults.add(**fault)
    gateway = stripe_gateway(api_key=KEY)
    # Not pytest.raises: this frame's own locals hold the canaries, as any caller's may.
    problem: BaseException | None = None
    try:
        await gateway.list_customers(email=EMAIL)
    except O2CError as error:
        problem = error
    assert problem is not None
    assert problem.__context__ is None
    assert problem.__cause__ is None
    assert_clean(str(problem), repr(problem), problem.__dict__, caplog.text, audit.intents, audit.outcomes)


async def test_stripe_frames_hold_no_secret(stripe_world: World, stripe_gateway: Make) -> None:
    stripe_world.service.faults.add(status=400, response={"error": {"message": "no"}})
    with pytest.raises(O2CError) as caught:
        await stripe_gateway(api_key=KEY).list_prices()
    assert_clean(everything(caught.value))


async def test_stripe_successes_show_nothing(
    stripe_gateway: Make, audit: RememberingAudit, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = stripe_gateway(api_key=KEY)
    await gateway.create_customer(CUSTOMER, "o2c:customer:1")
    assert len(await gateway.list_customers(email=EMAIL)) == 1
    assert_clean(caplog.text, audit.intents, audit.outcomes, repr(gateway), repr(gateway.__dict__))
    assert audit.intents[0].request["name"] == "Acme"
