"""Stripe's manners on the wire: keys, errors, parameters, paging, expansion, limits."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
import stripe

from emulators.run import running
from emulators.stripe.service import StripeService
from tests.emulators.conftest import ClientFactory


def raw(url: str, method: str, path: str, **options: Any) -> httpx.Response:
    headers = {"authorization": "Bearer sk_test_emulator", **options.pop("headers", {})}
    return httpx.request(method, url + path, headers=headers, trust_env=False, **options)


def test_headers_name_the_request_and_the_version(stripe_url: str) -> None:
    answer = raw(stripe_url, "POST", "/v1/customers", headers={"idempotency-key": "k1"})
    assert answer.headers["request-id"].startswith("req_")
    assert answer.headers["stripe-version"] == stripe.api_version
    assert answer.headers["idempotency-key"] == "k1"


def test_no_key_an_odd_key_and_a_revoked_key_are_refused(
    client_for: ClientFactory, service: StripeService, stripe_url: str
) -> None:
    service.settings.revoked_keys = ["sk_test_gone"]
    for key in ("sk_test_gone", "rk_test_unknown", "pk_test_public", "nonsense"):
        with pytest.raises(stripe.AuthenticationError, match="Invalid API Key provided"):
            client_for(key).v1.customers.list()
    answer = httpx.get(stripe_url + "/v1/customers", trust_env=False)
    assert answer.status_code == 401
    assert "did not provide an API key" in answer.json()["error"]["message"]


def test_test_and_live_are_two_worlds(client_for: ClientFactory) -> None:
    test, live = client_for("sk_test_one"), client_for("sk_live_one")
    here, there = test.v1.customers.create({"name": "T"}), live.v1.customers.create({"name": "L"})
    assert (here.livemode, there.livemode) == (False, True)
    assert [each.name for each in live.v1.customers.list()] == ["L"]
    with pytest.raises(
        stripe.InvalidRequestError, match="exists in live mode, but a test mode key"
    ) as caught:
        test.v1.customers.retrieve(there.id)
    assert (caught.value.code, caught.value.http_status) == ("resource_missing", 404)


def test_a_restricted_key_is_told_which_permission_it_lacks(
    client_for: ClientFactory, service: StripeService
) -> None:
    service.settings.restricted_keys = {"rk_test_one": ["customer_write", "rak_invoice_read"]}
    client = client_for("rk_test_one")
    customer = client.v1.customers.create({"name": "A"})
    assert client.v1.customers.retrieve(customer.id).name == "A"
    assert client.v1.invoices.list().data == []
    with pytest.raises(stripe.PermissionError, match="Having the 'rak_invoice_write' permission") as caught:
        client.v1.invoices.create({"customer": customer.id})
    assert caught.value.http_status == 403
    assert "rk_test_one" not in str(caught.value)


def test_an_unknown_url_says_so(stripe_url: str) -> None:
    answer = raw(stripe_url, "GET", "/v1/payouts")
    assert answer.status_code == 404
    assert answer.json()["error"]["message"].startswith("Unrecognized request URL (GET: /v1/payouts).")


def test_another_api_version_is_refused_rather_than_answered_wrongly(stripe_url: str) -> None:
    answer = raw(stripe_url, "GET", "/v1/customers", headers={"stripe-version": "2020-08-27"})
    assert answer.status_code == 400
    assert "Invalid Stripe API version" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("form", "code", "param"),
    [
        ({"colour": "red"}, "parameter_unknown", "colour"),
        ({"address[planet]": "Mars"}, "parameter_unknown", "address[planet]"),
        ({"next_invoice_sequence": "ten"}, "parameter_invalid_integer", "next_invoice_sequence"),
        ({"email": "not an address"}, "email_invalid", "email"),
        ({"email": "a@b@c.de"}, "email_invalid", "email"),
        ({"address[country]": "Deutschland"}, "country_code_invalid", "address[country]"),
        ({"name": "n" * 257}, None, "name"),
        ({"metadata[k]": "v" * 501}, None, "metadata"),
        ({"metadata[" + "k" * 41 + "]": "v"}, None, "metadata"),
        ({"invoice_prefix": ""}, "parameter_invalid_empty", "invoice_prefix"),
        ({"payment_method": "pm_none"}, "resource_missing", "payment_method"),
    ],
)
def test_bad_parameters_get_stripes_error(
    stripe_url: str, form: dict[str, str], code: str | None, param: str
) -> None:
    answer = raw(stripe_url, "POST", "/v1/customers", data=form)
    error = answer.json()["error"]
    assert answer.status_code == 400
    assert (error["type"], error.get("code"), error["param"]) == ("invalid_request_error", code, param)
    assert error["request_log_url"].endswith(answer.headers["request-id"])
    assert raw(stripe_url, "GET", "/v1/customers").json()["data"] == []


def test_a_missing_parameter_is_named(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError, match=r"Missing required param: name\.") as caught:
        client.v1.products.create({})  # type: ignore[typeddict-item]  # the point of the test
    assert (caught.value.code, caught.value.param) == ("parameter_missing", "name")


def test_metadata_merges_and_an_empty_value_deletes(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({"metadata": {"a": "1", "b": "2", "3": "digit"}})
    changed = client.v1.customers.update(customer.id, {"metadata": {"a": "", "c": "4"}})
    assert changed.metadata is not None
    assert changed.metadata.to_dict() == {"b": "2", "3": "digit", "c": "4"}
    cleared = client.v1.customers.update(customer.id, {"metadata": ""})
    assert cleared.metadata is not None
    assert cleared.metadata.to_dict() == {}


def test_an_empty_string_unsets_a_field_and_hashes_merge(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({"name": "A", "address": {"country": "DE", "city": "Ulm"}})
    changed = client.v1.customers.update(customer.id, {"name": "", "address": {"city": "Bonn"}})
    assert changed.name is None
    assert changed.address is not None
    assert (changed.address.country, changed.address.city) == ("DE", "Bonn")


def test_lists_page_both_ways(client: stripe.StripeClient) -> None:
    made = [client.v1.customers.create({"name": str(number)}).id for number in range(7)]
    newest_first = made[::-1]
    page = client.v1.customers.list({"limit": 3})
    assert ([each.id for each in page], page.has_more) == (newest_first[:3], True)
    last = client.v1.customers.list({"limit": 3, "starting_after": newest_first[5]})
    assert ([each.id for each in last], last.has_more) == (newest_first[6:], False)
    before = client.v1.customers.list({"limit": 2, "ending_before": newest_first[5]})
    assert ([each.id for each in before], before.has_more) == (newest_first[3:5], True)
    assert [each.id for each in page.auto_paging_iter()] == newest_first
    with pytest.raises(stripe.InvalidRequestError, match="No such customer: 'cus_x'"):
        client.v1.customers.list({"starting_after": "cus_x"})
    with pytest.raises(stripe.InvalidRequestError, match="less than or equal to 100"):
        client.v1.customers.list({"limit": 101})


def test_lists_filter(client: stripe.StripeClient, service: StripeService) -> None:
    old = client.v1.customers.create({"email": "a@b.example"})
    service.clock.advance(100)
    client.v1.customers.create({"email": "A@b.example"})
    new = client.v1.customers.create({"email": "c@d.example"})
    assert [each.id for each in client.v1.customers.list({"email": "a@b.example"})] == [old.id]
    recent = client.v1.customers.list({"created": {"gte": new.created - 10}})
    assert [each.email for each in recent] == ["c@d.example", "A@b.example"]


def test_a_cursor_that_left_the_filter_still_pages(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({})
    drafts = [client.v1.invoices.create({"customer": customer.id}).id for _ in range(3)]
    client.v1.invoices.finalize_invoice(drafts[2])
    rest = client.v1.invoices.list({"status": "draft", "starting_after": drafts[2]})
    assert [each.id for each in rest] == [drafts[1], drafts[0]]


def test_expansion(client: stripe.StripeClient) -> None:
    product = client.v1.products.create({"name": "Seat"})
    price = client.v1.prices.create(
        {
            "product": product.id,
            "currency": "eur",
            "unit_amount": 100,
            "currency_options": {"usd": {"unit_amount": 110}},
        }
    )
    assert "currency_options" not in price
    listed = client.v1.prices.list({"expand": ["data.product", "data.currency_options"]}).data[0]
    assert isinstance(listed.product, stripe.Product)
    assert listed.currency_options is not None
    assert listed.currency_options["usd"].unit_amount == 110
    with pytest.raises(stripe.InvalidRequestError, match=r"This property cannot be expanded \(colour\)"):
        client.v1.prices.retrieve(price.id, {"expand": ["colour"]})
    with pytest.raises(stripe.InvalidRequestError, match="more than 4 levels"):
        client.v1.prices.retrieve(price.id, {"expand": ["a.b.c.d.e"]})


def test_a_write_that_cannot_be_expanded_is_not_made(
    client: stripe.StripeClient, service: StripeService
) -> None:
    for bad in ("colour", "tax.colour", "subscriptions.data"):
        with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
            client.v1.customers.create({"name": "A", "expand": [bad]})
    assert service.journal.effects() == []
    with pytest.raises(stripe.InvalidRequestError, match="more than 4 levels"):
        client.v1.customers.create({"name": "A", "expand": ["subscriptions.data.items.data.price"]})
    good = ["tax", "invoice_settings.default_payment_method", "subscriptions.data.latest_invoice"]
    client.v1.customers.create({"name": "A", "expand": good})


def test_lookup_keys_are_unique_and_can_move(client: stripe.StripeClient) -> None:
    product = client.v1.products.create({"name": "Seat"})
    old = client.v1.prices.create(
        {"product": product.id, "currency": "eur", "unit_amount": 100, "lookup_key": "seat"}
    )
    fresh: Any = {"product": product.id, "currency": "eur", "unit_amount": 120, "lookup_key": "seat"}
    with pytest.raises(stripe.InvalidRequestError, match="already uses that lookup key"):
        client.v1.prices.create(fresh)
    new = client.v1.prices.create(fresh | {"transfer_lookup_key": True})
    assert [each.id for each in client.v1.prices.list({"lookup_keys": ["seat", "none"]})] == [new.id]
    assert client.v1.prices.retrieve(old.id).lookup_key is None


def test_search_lags(client: stripe.StripeClient, service: StripeService) -> None:
    customer = client.v1.customers.create({"name": "O'Brien", "metadata": {"k": "v"}})
    query = "metadata['k']:'v' AND name~'brien'"
    assert client.v1.customers.search({"query": query}).data == []
    service.clock.advance(61)
    assert [each.id for each in client.v1.customers.search({"query": query})] == [customer.id]
    assert client.v1.customers.search({"query": "-metadata['k']:'v'"}).data == []
    for bad in ("colour:'red'", "name:", "name:'a' AND", "name:'a' AND email:'b' OR phone:'c'"):
        with pytest.raises(stripe.InvalidRequestError):
            client.v1.customers.search({"query": bad})


def test_rate_limits(client: stripe.StripeClient, service: StripeService) -> None:
    service.settings.rate_limit_per_second = 3
    for _ in range(3):
        client.v1.customers.list()
    with pytest.raises(stripe.RateLimitError) as caught:
        client.v1.customers.list()
    assert caught.value.http_status == 429
    assert caught.value.headers is not None
    assert caught.value.headers["stripe-rate-limited-reason"] == "global-rate"
    service.settings.rate_limit_per_second = None
    service.settings.search_rate_limit_per_second = 1
    client.v1.customers.search({"query": "name:'a'"})
    with pytest.raises(stripe.RateLimitError):
        client.v1.customers.search({"query": "name:'a'"})
    client.v1.customers.list()


def test_vendor_faults_have_stripes_shape(client: stripe.StripeClient, service: StripeService) -> None:
    service.faults.add(code="lock_timeout", nth=1)
    service.faults.add(status=503, nth=1)
    service.faults.add(status=429, nth=1)
    service.faults.add(code="card_declined", nth=1)
    with pytest.raises(stripe.RateLimitError) as caught:
        client.v1.customers.create({})
    assert caught.value.error is not None
    assert caught.value.error.code == "lock_timeout"
    with pytest.raises(stripe.APIError):
        client.v1.customers.create({})
    with pytest.raises(stripe.RateLimitError):
        client.v1.customers.create({})
    with pytest.raises(stripe.CardError):
        client.v1.customers.create({})
    assert service.journal.effects() == []


# stripe-python 16.1 hands its form to httpx as raw `data`, which httpx 0.28 deprecates.
@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
async def test_the_async_client(service: StripeService) -> None:
    with running(service) as urls:
        http = stripe.HTTPXClient()
        client = stripe.StripeClient("sk_test_one", base_addresses={"api": urls["stripe"]}, http_client=http)
        made = await asyncio.gather(*(client.v1.customers.create_async({"name": str(n)}) for n in range(20)))
        found = await client.v1.customers.list_async({"limit": 100})
        assert {each.id for each in made} == {each.id for each in found}
        await http.close_async()  # type: ignore[no-untyped-call]  # the SDK leaves it untyped
