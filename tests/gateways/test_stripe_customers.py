"""Stripe's customers as the gateway reads them, and what its events say of changes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from order_to_cash.domain.errors import PermissionMissing, Refused
from order_to_cash.domain.wire import postal_digest
from order_to_cash.gateways.stripe_gateway import StripeGateway
from order_to_cash.gateways.stripe_records import customer_from, latest_customers
from tests.gateways.conftest import RememberingAudit, World

Make = Callable[..., StripeGateway]


async def test_changed_and_deleted_customers_since(stripe_world: World, stripe_gateway: Make) -> None:
    gateway = stripe_gateway()
    clock = stripe_world.service.clock
    made = [await gateway.create_customer({"name": f"C{number}"}, f"key:{number}") for number in range(4)]
    kept, renamed, gone, twice = (one.customer_id for one in made)
    await gateway.update_customer(kept, {"name": "Too early"}, "update:0")
    clock.advance(timedelta(minutes=10).total_seconds())
    since = clock.now()
    assert await gateway.changed_customers(since) == []
    await gateway.update_customer(renamed, {"name": "A", "metadata": {"o2c_currency": "EUR"}}, "update:1")
    clock.advance(2)
    await gateway.update_customer(renamed, {"name": "B"}, "update:2")
    for number in (3, 4):
        await gateway.update_customer(twice, {"name": f"In one second {number}"}, f"update:{number}")
    await gateway._client.v1.customers.delete_async(gone)
    found = {one.customer_id: one for one in await gateway.changed_customers(since)}
    assert found.keys() == {renamed, twice, gone}
    assert (found[renamed].name, found[renamed].currency) == ("B", "eur")
    assert found[twice].name == "In one second 4"
    assert found[gone].deleted


def event(created: int, name: str, kind: str = "customer.updated") -> dict[str, Any]:
    return {"created": created, "type": kind, "data": {"object": {"id": "cus_1", "name": name}}}


@pytest.mark.parametrize("order", [1, -1])
def test_the_last_event_counts_in_any_order(order: int) -> None:
    (known,), unsure = latest_customers([event(1, "A"), event(3, "C"), event(2, "B")][::order])
    assert (known.name, unsure) == ("C", [])
    assert latest_customers([event(2, "B"), event(1, "A"), event(2, "C")][::order]) == ([], ["cus_1"])


def test_a_customers_marks_and_places() -> None:
    raw = {
        "id": "cus_1",
        "metadata": {"salesforce_account_id": "001000000000001", "o2c_currency": "EUR"},
        "address": {"line1": "Main Street 1 ", "line2": None, "city": "", "country": "US"},
        "shipping": {"name": "Depot", "phone": None, "address": {"line1": "Dock 3"}},
    }
    customer = customer_from(raw)
    assert (customer.account_id, customer.currency) == ("001000000000001AAA", "eur")
    assert customer.address_digest == postal_digest({"country": "US", "line1": "Main Street 1"})
    assert customer.shipping_digest == postal_digest({"line1": "Dock 3"})
    bare = customer_from({"id": "cus_1", "address": None, "shipping": None})
    assert (bare.address_digest, bare.shipping_digest) == ("", "")


async def test_a_portal_session_can_be_recovered_and_is_not_in_the_audit_log(
    stripe_world: World, stripe_gateway: Make, audit: RememberingAudit
) -> None:
    gateway = stripe_gateway()
    customer = await gateway.create_customer({"name": "Umbrella <Ltd>"}, "key:1")
    url = await gateway.portal_url(customer.customer_id, "o2c:portal:1")
    secret = url.rpartition("/")[2]
    assert secret
    assert all(secret not in str(outcome) for outcome in audit.outcomes.values())
    [asked] = stripe_world.service.journal.select(path="billing_portal/sessions")
    assert asked.body["after_expiration"] == {"type": "customer_login"}
    assert asked.body["flow_data"] == {"type": "payment_method_update"}
    async with httpx.AsyncClient(trust_env=False) as browser:
        assert "Umbrella &lt;Ltd&gt;" in (await browser.get(url)).text
        stripe_world.service.clock.advance(7200)
        assert "has expired. Here the customer would confirm" in (await browser.get(url)).text
        assert (await browser.get(f"{url}x")).status_code == 404


async def test_a_portal_that_cannot_be_used_is_refused(stripe_world: World, stripe_gateway: Make) -> None:
    customer = await stripe_gateway().create_customer({"name": "Umbrella"}, "key:1")
    stripe_world.service.settings.patch({"portal_configured": False})
    with pytest.raises(Refused):
        await stripe_gateway().portal_url(customer.customer_id, "o2c:portal:1")
    stripe_world.service.settings.patch({"restricted_keys": {"rk_test_narrow": ["customer_read"]}})
    with pytest.raises(PermissionMissing) as caught:
        await stripe_gateway(api_key="rk_test_narrow").portal_url(customer.customer_id, "o2c:portal:2")
    assert caught.value.ids["permission"] == "rak_customer_portal_write"
