"""No secret, card number or personal data in logs, audit rows, exceptions or tracebacks (R82, R86)."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from order_to_cash.domain.errors import O2CError
from order_to_cash.domain.records import Environment
from order_to_cash.gateways.salesforce_gateway import SalesforceGateway, login_with
from order_to_cash.gateways.slack_gateway import SlackGateway
from order_to_cash.gateways.stripe_gateway import StripeGateway
from tests.gateways.conftest import RememberingAudit, World, org_of

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
SECRET = "CanarySecret4712"
Make = Callable[..., StripeGateway]
MakeSalesforce = Callable[..., SalesforceGateway]


@pytest.fixture(autouse=True)
def everything_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for vendor in VENDORS:
        caplog.set_level(logging.DEBUG, logger=vendor)


def assert_clean(*texts: object) -> None:
    for text in texts:
        for canary in CANARIES:
            assert canary not in str(text), canary


def shown_by(problem: BaseException) -> str:
    """All that a handler may print of an error, but for locals: a caller's own hold what it passed in."""
    return "".join(
        (str(problem), repr(problem), repr(problem.__dict__), *traceback.format_exception(problem))
    )


def frames_of(problem: BaseException) -> str:
    """The traceback with the locals of every frame, as error trackers collect it."""
    return "".join(traceback.TracebackException.from_exception(problem, capture_locals=True).format())


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
    assert_clean(frames_of(caught.value))


async def test_stripe_successes_show_nothing(
    stripe_gateway: Make, audit: RememberingAudit, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = stripe_gateway(api_key=KEY)
    await gateway.create_customer(CUSTOMER, "o2c:customer:1")
    assert len(await gateway.list_customers(email=EMAIL)) == 1
    assert_clean(caplog.text, audit.intents, audit.outcomes, repr(gateway), repr(gateway.__dict__))
    assert audit.intents[0].request["name"] == "Acme"


@pytest.mark.parametrize(
    "fault",
    [
        {},
        {"status": 400, "response": [{"errorCode": "MALFORMED_QUERY", "message": f"near {EMAIL}"}]},
        {"status": 500},
        {"code": "INVALID_SESSION_ID"},
        {"drop": "after"},
        {"status": 200, "response": f"<html>{EMAIL}</html>"},
    ],
    ids=str,
)
def test_salesforce_shows_nothing(
    salesforce_world: World,
    salesforce_gateway: MakeSalesforce,
    audit: RememberingAudit,
    caplog: pytest.LogCaptureFixture,
    fault: dict[str, Any],
) -> None:
    salesforce_world.service.settings.patch({"client_secret": SECRET})
    if fault:
        salesforce_world.service.faults.add(path="/query", **fault)
    gateway = salesforce_gateway(login=login_with("emulator-client", client_secret=SECRET))
    soql = f"SELECT Id FROM Contact WHERE Email = '{EMAIL}' AND MailingStreet = '{STREET}'"
    problem: BaseException | None = None
    try:
        gateway.query(soql)
    except O2CError as error:
        problem = error
    assert (problem is None) == (not fault)
    if problem is not None:
        assert problem.__context__ is None
        assert_clean(str(problem), repr(problem), problem.__dict__)
    (session,) = list(org_of(salesforce_world).sessions.issued)[-1:]
    for text in (caplog.text, str(audit.intents), str(audit.outcomes), repr(gateway), repr(gateway.__dict__)):
        assert_clean(text)
        assert session not in text


def test_salesforce_rows_show_nothing(
    salesforce_gateway: MakeSalesforce, audit: RememberingAudit, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = salesforce_gateway()
    row = {"LastName": "Acme billing", "Email": EMAIL, "Phone": PHONE, "MailingStreet": STREET}
    good, bad = gateway.insert_rows("Contact", [row, {**row, "Email": f"{EMAIL} x"}])
    assert good.ok
    gateway.query("SELECT Email, Phone, MailingStreet FROM Contact")
    assert_clean(caplog.text, audit.intents, audit.outcomes, bad.error, repr(bad))


def test_a_refused_login_shows_nothing(
    salesforce_gateway: MakeSalesforce, audit: RememberingAudit, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = salesforce_gateway(login=login_with("emulator-client", client_secret=SECRET))
    with pytest.raises(O2CError) as caught:
        gateway.query("SELECT Id FROM Account")
    assert_clean(frames_of(caught.value), caplog.text, audit.intents, audit.outcomes)


@pytest.mark.parametrize(
    "fault", [{}, {"status": 503}, {"drop": "before"}, {"code": "invalid_auth"}], ids=str
)
def test_slack_shows_nothing(
    slack_world: World, audit: RememberingAudit, caplog: pytest.LogCaptureFixture, fault: dict[str, Any]
) -> None:
    if fault:
        slack_world.service.faults.add(**fault)
    gateway = SlackGateway(
        token=f"xoxb-{SECRET}",
        environment=Environment.EMULATOR,
        base_url=slack_world.url,
        audit=audit,
        backoff_seconds=0.01,
    )
    problem: BaseException | None = None
    try:
        gateway.post("#billing", f"Won. Mail {EMAIL}, card {PAN}", key="o2c:win:1")
    except O2CError as error:
        problem = error
    assert (problem is None) == (not fault)
    if problem is not None:
        assert_clean(shown_by(problem))
        assert SECRET not in frames_of(problem)
    assert_clean(caplog.text, audit.intents, audit.outcomes, repr(gateway), repr(gateway.__dict__))
