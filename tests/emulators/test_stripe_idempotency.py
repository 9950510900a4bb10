"""Idempotency keys with Stripe's semantics."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import stripe

from emulators.stripe.service import StripeService

KEY: stripe.RequestOptions = {"idempotency_key": "o2c:customer:1"}
DAY = 86400


def created(service: StripeService) -> int:
    return len(service.journal.effects("customer", "created"))


def test_the_same_key_replays_the_first_answer(client: stripe.StripeClient, service: StripeService) -> None:
    first = client.v1.customers.create({"name": "A"}, KEY)
    client.v1.customers.update(first.id, {"name": "B"})
    again = client.v1.customers.create({"name": "A"}, KEY)
    assert (again.id, again.name) == (first.id, "A")
    assert again.last_response is not None
    assert again.last_response.headers["idempotent-replayed"] == "true"
    assert first.last_response is not None
    assert again.last_response.headers["original-request"] == first.last_response.request_id
    assert again.last_response.request_id != first.last_response.request_id
    assert created(service) == 1
    assert [entry.replayed for entry in service.journal.entries] == [False, False, True]
    assert service.journal.entries[2].effects == []


def test_other_parameters_or_another_path_are_an_error(client: stripe.StripeClient) -> None:
    client.v1.customers.create({"name": "A"}, KEY)
    with pytest.raises(stripe.IdempotencyError, match="same parameters they were first used with"):
        client.v1.customers.create({"name": "B"}, KEY)
    with pytest.raises(stripe.IdempotencyError, match="same endpoint they were first used for"):
        client.v1.products.create({"name": "A"}, KEY)


def test_keys_are_pruned_after_a_day_of_emulator_time(
    client: stripe.StripeClient, service: StripeService
) -> None:
    first = client.v1.customers.create({"name": "A"}, KEY)
    service.clock.advance(DAY - 60)
    assert client.v1.customers.create({"name": "A"}, KEY).id == first.id
    service.clock.advance(61)
    assert client.v1.customers.create({"name": "A"}, KEY).id != first.id


def test_keys_can_be_switched_off(client: stripe.StripeClient, service: StripeService) -> None:
    service.settings.idempotency = False
    ids = {client.v1.customers.create({"name": "A"}, KEY).id for _ in range(2)}
    assert len(ids) == 2


def test_a_dropped_answer_is_replayed(client: stripe.StripeClient, service: StripeService) -> None:
    service.faults.add(path="customers", drop="after", nth=1)
    with pytest.raises(stripe.APIConnectionError):
        client.v1.customers.create({"name": "A"}, KEY)
    assert created(service) == 1
    client.v1.customers.create({"name": "A"}, KEY)
    assert created(service) == 1


def test_a_500_is_replayed_too(client: stripe.StripeClient, service: StripeService) -> None:
    service.faults.add(path="customers", status=500, nth=1)
    for _ in range(2):
        with pytest.raises(stripe.APIError) as caught:
            client.v1.customers.create({"name": "A"}, KEY)
    assert caught.value.headers is not None
    assert caught.value.headers["idempotent-replayed"] == "true"
    assert created(service) == 0


def test_a_500_after_the_effect_hides_it_behind_its_key(
    client: stripe.StripeClient, service: StripeService
) -> None:
    service.faults.add(path="customers", status=500, after_effect=True, nth=1)
    for _ in range(2):
        with pytest.raises(stripe.APIError):
            client.v1.customers.create({"name": "A"}, KEY)
    assert created(service) == 1


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_the_edge_answers_is_not_kept(
    client: stripe.StripeClient, service: StripeService, status: int
) -> None:
    service.faults.add(path="customers", status=status, nth=1)
    with pytest.raises(stripe.StripeError):
        client.v1.customers.create({"name": "A"}, KEY)
    client.v1.customers.create({"name": "A"}, KEY)
    assert created(service) == 1


def test_a_refused_parameter_does_not_use_the_key_up(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.customers.create({"email": "nonsense"}, KEY)
    assert client.v1.customers.create({"email": "a@b.example"}, KEY).email == "a@b.example"


def test_an_error_found_while_executing_is_replayed(client: stripe.StripeClient) -> None:
    options: stripe.RequestOptions = {"idempotency_key": "i1"}
    with pytest.raises(stripe.InvalidRequestError, match="No such customer"):
        client.v1.invoices.create({"customer": "cus_none"}, options)
    with pytest.raises(stripe.InvalidRequestError, match="No such customer") as caught:
        client.v1.invoices.create({"customer": "cus_none"}, options)
    assert caught.value.headers is not None
    assert caught.value.headers["idempotent-replayed"] == "true"


def test_a_key_in_flight_is_a_conflict(client: stripe.StripeClient, service: StripeService) -> None:
    service.settings.latency_seconds = 0.4

    def create() -> str:
        try:
            return client.v1.customers.create({"name": "A"}, KEY).id
        except stripe.StripeError as error:
            return f"{error.http_status} {error.error.code if error.error else None}"

    with ThreadPoolExecutor(2) as pool:
        outcomes = sorted(pool.map(lambda _: create(), range(2)))
    assert outcomes[0] == "409 idempotency_key_in_use"
    assert outcomes[1].startswith("cus_")
    assert created(service) == 1


def test_objects_can_be_locked_while_written(
    client: stripe.StripeClient, service: StripeService, customer: str
) -> None:
    service.settings.lock_objects, service.settings.latency_seconds = True, 0.3

    def update(name: str) -> str:
        try:
            return str(client.v1.customers.update(customer, {"name": name}).name)
        except stripe.RateLimitError as error:
            return str(error.error.code if error.error else None)

    with ThreadPoolExecutor(2) as pool:
        outcomes = sorted(pool.map(update, ["A", "A"]))
    assert outcomes == ["A", "lock_timeout"]
    assert update("B") == "B"


def test_test_and_live_keep_their_keys_apart(
    client: stripe.StripeClient, service: StripeService, stripe_url: str
) -> None:
    live = stripe.StripeClient("sk_live_one", base_addresses={"api": stripe_url})
    client.v1.customers.create({"name": "A"}, KEY)
    assert live.v1.customers.create({"name": "B"}, KEY).name == "B"


def test_a_key_of_256_characters_is_too_long(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.IdempotencyError, match="at most 255"):
        client.v1.customers.create({}, {"idempotency_key": "k" * 256})
