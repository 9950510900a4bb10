"""Keys, addresses and environments that do not belong together (R87); secrets that stay hidden."""

from __future__ import annotations

import base64

import pytest
from pydantic import SecretStr

from order_to_cash.domain.audit import NoAudit
from order_to_cash.domain.errors import ConfigurationError
from order_to_cash.domain.records import Environment
from order_to_cash.gateways.credentials import private_key_pem
from order_to_cash.gateways.places import (
    require_salesforce_place,
    require_stripe_place,
    salesforce_audience,
)
from order_to_cash.gateways.slack_gateway import SlackGateway
from order_to_cash.gateways.stripe_gateway import StripeGateway

LOCAL = "http://127.0.0.1:12111"
STRIPE = "https://api.stripe.com"
EMULATOR, TEST, LIVE = Environment.EMULATOR, Environment.TEST, Environment.LIVE


@pytest.mark.parametrize(
    ("environment", "base", "key"),
    [
        (EMULATOR, LOCAL, "sk_test_x"),
        (EMULATOR, "http://localhost:1", "rk_test_x"),
        (EMULATOR, "http://[::1]:1", "rk_test_x"),
        (TEST, STRIPE, "rk_test_x"),
        (LIVE, STRIPE + "/", "rk_live_x"),
    ],
)
def test_stripe_places_that_fit(environment: Environment, base: str, key: str) -> None:
    require_stripe_place(environment, base, key)


@pytest.mark.parametrize(
    ("environment", "base", "key"),
    [
        (EMULATOR, LOCAL, "sk_live_canary"),
        (EMULATOR, STRIPE, "sk_test_canary"),
        (EMULATOR, "http://127.0.0.1.evil.example", "sk_test_canary"),
        (TEST, STRIPE, "rk_live_canary"),
        (TEST, LOCAL, "rk_test_canary"),
        (TEST, "http://api.stripe.com", "rk_test_canary"),
        (TEST, "https://api.stripe.com.evil.example", "rk_test_canary"),
        (LIVE, STRIPE, "rk_test_canary"),
        (LIVE, LOCAL, "rk_live_canary"),
        (LIVE, STRIPE, "pk_live_canary"),
        (LIVE, STRIPE, "whsec_canary"),
        (LIVE, STRIPE, ""),
    ],
)
def test_stripe_places_that_do_not(environment: Environment, base: str, key: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        StripeGateway(api_key=key, environment=environment, api_base=base, audit=NoAudit())
    assert "canary" not in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        (EMULATOR, LOCAL),
        (TEST, "https://acme--uat.sandbox.my.salesforce.com"),
        (LIVE, "https://acme.my.salesforce.com"),
    ],
)
def test_salesforce_places_that_fit(environment: Environment, url: str) -> None:
    require_salesforce_place(environment, url)


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        (EMULATOR, "https://acme.my.salesforce.com"),
        (TEST, LOCAL),
        (LIVE, LOCAL),
        (LIVE, "http://acme.my.salesforce.com"),
        (LIVE, "https://acme.my.salesforce.com.evil.example"),
        (LIVE, "https://salesforce.example/acme.my.salesforce.com"),
    ],
)
def test_salesforce_places_that_do_not(environment: Environment, url: str) -> None:
    with pytest.raises(ConfigurationError):
        require_salesforce_place(environment, url)


@pytest.mark.parametrize(
    ("environment", "url"),
    [(EMULATOR, "https://slack.com"), (TEST, LOCAL), (LIVE, "https://slack.com.evil.example")],
)
def test_slack_places_that_do_not(environment: Environment, url: str) -> None:
    with pytest.raises(ConfigurationError):
        SlackGateway(token="xoxb-canary", environment=environment, base_url=url, audit=NoAudit())


@pytest.mark.parametrize(
    ("url", "audience"),
    [
        ("https://acme--uat.sandbox.my.salesforce.com", "https://test.salesforce.com"),
        ("https://acme.scratch.my.salesforce.com", "https://test.salesforce.com"),
        ("https://acme-dev-ed.develop.my.salesforce.com", "https://login.salesforce.com"),
        ("https://acme.my.salesforce.com", "https://login.salesforce.com"),
    ],
)
def test_audience_of_a_jwt(url: str, audience: str) -> None:
    assert salesforce_audience(url) == audience


def test_the_sdk_may_not_print(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_LOG", "debug")
    with pytest.raises(ConfigurationError, match="STRIPE_LOG"):
        StripeGateway(api_key="sk_test_x", environment=EMULATOR, api_base=LOCAL, audit=NoAudit())


PEM = "-----BEGIN PRIVATE KEY-----\nMIIcanary\nMIIend\n-----END PRIVATE KEY-----"


@pytest.mark.parametrize(
    "given",
    [PEM, PEM.replace("\n", "\\n"), PEM.replace("\n", "\\r\\n"), base64.b64encode(PEM.encode()).decode()],
)
def test_private_keys_in_every_writing(given: str) -> None:
    assert private_key_pem(given).get_secret_value() == PEM + "\n"
    assert "canary" not in repr(private_key_pem(SecretStr(given)))


@pytest.mark.parametrize("given", ["", "canary", "Y2FuYXJ5", "é"])
def test_private_keys_that_are_none(given: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        private_key_pem(given)
    assert "canary" not in str(caught.value)
