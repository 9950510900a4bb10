"""A busy Prefect server is asked again at once; one that is down, or says when, as Prefect has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httpx

from order_to_cash.cli.prefect_patience import PAUSES_SECONDS, ask_again_soon, soon_again


async def asked(*answers: httpx.Response) -> tuple[httpx.Response, int, Sequence[float]]:
    """The last answer, how often it was asked for, and the pauses."""
    left, pauses = list(answers), []

    async def send(*_args: Any) -> httpx.Response:
        return left.pop(0) if len(left) > 1 else left[0]

    sent = 0

    async def counted(*args: Any) -> httpx.Response:
        nonlocal sent
        sent += 1
        return await send(*args)

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    answer = await soon_again(counted, pause)("request")
    return answer, sent, pauses


BUSY = httpx.Response(503)


async def test_a_lock_that_passes_costs_a_moment() -> None:
    answer, sent, pauses = await asked(BUSY, BUSY, httpx.Response(201))
    assert (answer.status_code, sent) == (201, 3)
    assert sum(pauses) <= 1.5 * sum(PAUSES_SECONDS[:2])


async def test_what_lasts_is_left_to_prefects_own_patience() -> None:
    answer, sent, pauses = await asked(BUSY)
    assert (answer.status_code, sent) == (503, len(PAUSES_SECONDS) + 1)
    assert sum(pauses) <= 1.5 * sum(PAUSES_SECONDS)


async def test_a_server_that_names_a_time_is_believed() -> None:
    for headers in ({"retry-after": "30"}, {"Prefect-Maintenance": "true"}):
        answer, sent, _ = await asked(httpx.Response(503, headers=headers), httpx.Response(200))
        assert (answer.status_code, sent) == (503, 1)


async def test_other_refusals_are_not_repeated() -> None:
    for status in (404, 409, 429, 500):
        answer, sent, _ = await asked(httpx.Response(status), httpx.Response(200))
        assert (answer.status_code, sent) == (status, 1)


async def test_prefects_client_is_patient_once_told() -> None:
    from prefect.client.base import PrefectHttpxAsyncClient

    before = PrefectHttpxAsyncClient._send_with_retry
    answers = iter([BUSY, BUSY, httpx.Response(200, json={})])

    async def answer(_request: httpx.Request) -> httpx.Response:
        return next(answers)

    try:
        ask_again_soon()
        ask_again_soon()
        transport = httpx.MockTransport(answer)
        async with PrefectHttpxAsyncClient(base_url="http://prefect", transport=transport) as client:
            # Two of Prefect's own waits would take six seconds.
            assert (await client.get("/health", timeout=1)).status_code == 200
    finally:
        PrefectHttpxAsyncClient._send_with_retry = before  # type: ignore[method-assign]
