"""`o2c webhooks` against the emulator: made once, corrected, its secret told once and never written down."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import stripe
from typer.testing import Result

from emulators.run import running
from emulators.stripe.service import StripeService
from order_to_cash.cli import emulated_webhooks
from order_to_cash.cli.output import Finding
from order_to_cash.cli.webhooks import checked_url, findings
from order_to_cash.domain.records import Environment
from order_to_cash.domain.sync.handled import HANDLED
from order_to_cash.settings import load_settings

O2C = Callable[..., Result]
URL = "https://o2c.acme.example/stripe/webhook"


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, clean_place: Path) -> Iterator[StripeService]:
    made = StripeService()
    with running(made) as urls:
        monkeypatch.setenv("O2C_STRIPE_API_BASE", urls["stripe"])
        # No other vendor is asked; each address of the settings must answer the look for the emulators.
        monkeypatch.setenv("O2C_SALESFORCE_BASE_URL", urls["stripe"])
        monkeypatch.setenv("O2C_SLACK_BASE_URL", urls["stripe"])
        yield made


@pytest.fixture
def client(service: StripeService) -> stripe.StripeClient:
    base = load_settings().stripe_api_base
    return stripe.StripeClient("sk_test_emulator", base_addresses={"api": base})


def said(done: Result) -> str:
    assert done.exit_code == 0, done.output
    return done.output


def test_an_endpoint_is_made_once_and_its_secret_told_once(
    o2c: O2C, service: StripeService, clean_place: Path
) -> None:
    assert "would be made" in said(o2c("webhooks", "ensure", "--url", URL, "--dry-run"))
    assert "no webhook endpoint" in said(o2c("webhooks", "show"))
    told = said(o2c("webhooks", "ensure", "--url", URL))
    found = re.search(r"^O2C_STRIPE_WEBHOOK_SECRETS=(whsec_\w+)$", told, re.MULTILINE)
    assert found is not None
    (endpoint,) = service.world.all("webhook_endpoint")
    assert endpoint["_secret"] == found[1]
    assert endpoint["url"] == URL
    assert set(endpoint["enabled_events"]) == HANDLED
    assert endpoint["api_version"] == stripe.api_version
    assert "as it should be" in said(o2c("webhooks", "ensure", "--url", URL + "/"))
    shown = said(o2c("webhooks", "show"))
    assert [endpoint["id"], "enabled", stripe.api_version, "-", URL] == shown.splitlines()[-1].split()
    kept = b"".join(path.read_bytes() for path in clean_place.rglob("*") if path.is_file())
    assert found[1].encode() not in kept
    assert found[1] not in shown


def test_an_endpoint_that_is_off_or_incomplete_is_corrected(
    o2c: O2C, service: StripeService, client: stripe.StripeClient
) -> None:
    some: Any = [*sorted(HANDLED)[4:], "payout.paid"]
    made = client.v1.webhook_endpoints.create(
        {"url": URL, "enabled_events": some, "api_version": "2024-06-20"}
    )
    client.v1.webhook_endpoints.update(made.id, {"disabled": True})
    would = said(o2c("webhooks", "ensure", "--url", URL, "--dry-run"))
    assert "would be changed: switched on, 4 types more, without payout.paid." in would
    assert client.v1.webhook_endpoints.retrieve(made.id).status == "disabled"
    assert "and 1 more" not in said(o2c("webhooks", "show"))
    done = said(o2c("webhooks", "ensure", "--url", URL))
    assert "It sends events in version 2024-06-20, which o2c reads too." in done
    (endpoint,) = service.world.all("webhook_endpoint")
    assert endpoint["status"] == "enabled"
    assert set(endpoint["enabled_events"]) == HANDLED
    assert "whsec_" not in done


@pytest.mark.parametrize(
    "url", ["", "o2c.acme.example/stripe/webhook", "ftp://o2c.acme.example/x", URL[:-15]]
)
def test_an_address_that_stripe_cannot_send_to_is_a_wrong_argument(
    o2c: O2C, service: StripeService, url: str
) -> None:
    done = o2c("webhooks", "ensure", "--url", url)
    assert done.exit_code == 2
    assert "Traceback" not in done.output
    assert list(service.world.all("webhook_endpoint")) == []


def test_only_the_emulators_send_to_http() -> None:
    plain = URL.replace("https", "http")
    assert checked_url(plain, Environment.EMULATOR) == plain
    with pytest.raises(Exception, match="no address that Stripe sends to"):
        checked_url(plain, Environment.TEST)


def test_stripe_knows_every_type_that_is_handled() -> None:
    from stripe.params import _webhook_endpoint_create_params as params

    source = Path(params.__file__).read_text()
    assert {each for each in HANDLED if f'"{each}"' not in source and f"'{each}'" not in source} == set()


def test_what_the_doctor_finds(
    o2c: O2C, service: StripeService, client: stripe.StripeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found() -> tuple[bool, str]:
        (finding,) = findings(load_settings())
        assert finding.subject == "webhooks"
        return finding.ok, finding.message

    assert found() == (True, "Stripe has no endpoint")
    monkeypatch.setenv("O2C_STRIPE_WEBHOOK_SECRETS", "whsec_" + "a" * 32)
    assert found() == (False, "Stripe has no endpoint")
    said(o2c("webhooks", "ensure", "--url", URL))
    (endpoint,) = service.world.all("webhook_endpoint")
    assert found() == (True, f"{endpoint['id']} sends every type that is handled")
    client.v1.webhook_endpoints.update(endpoint["id"], {"enabled_events": ["invoice.paid"]})
    ok, message = found()
    assert not ok
    assert message.startswith(f"{endpoint['id']} lacks charge.captured, ")
    assert message.endswith(f"and {len(HANDLED) - 6} more")
    client.v1.webhook_endpoints.update(endpoint["id"], {"disabled": True})
    assert found() == (False, "the endpoint is disabled")
    service.settings.restricted_keys = {"rk_test_narrow": ["invoice_read"]}
    monkeypatch.setenv("O2C_STRIPE_API_KEY", "rk_test_narrow")
    assert found() == (True, "cannot be looked at: the key lacks rak_webhook_read")


def test_the_endpoint_that_o2c_up_made_at_the_emulator_needs_nothing_of_anybody(
    o2c: O2C, service: StripeService, client: stripe.StripeClient
) -> None:
    def found() -> Finding:
        (finding,) = findings(load_settings())
        return finding

    assert found().remedy == "`o2c up` makes one; until then events come by the hourly list only."
    everything: Any = sorted(HANDLED)
    other = client.v1.webhook_endpoints.create({"url": URL, "enabled_events": everything})
    assert found().remedy == "Set O2C_STRIPE_WEBHOOK_SECRETS to its signing secret."
    client.v1.webhook_endpoints.delete(other.id)
    asyncio.run(emulated_webhooks.registered(load_settings(), URL.replace("https", "http")))
    (endpoint,) = service.world.all("webhook_endpoint")
    message = f"{endpoint['id']} sends every type that is handled to `o2c up`"
    assert found() == Finding(True, "webhooks", message)
