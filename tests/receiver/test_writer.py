"""Many requests, one transaction: who is told that it is written, and who is not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from order_to_cash.domain.errors import Unavailable
from order_to_cash.receiver.limits import Limits
from order_to_cash.receiver.writer import Writer


@asynccontextmanager
async def writing(
    commit: Callable[[Sequence[str]], object], limits: Limits | None = None
) -> AsyncIterator[Writer[str]]:
    writer = Writer(commit, limits or Limits(), "test")
    writer.start()
    yield writer
    await asyncio.to_thread(writer.close)


async def test_what_waits_goes_into_one_transaction() -> None:
    batches: list[list[str]] = []
    going, begun = threading.Event(), threading.Event()

    def commit(items: Sequence[str]) -> None:
        batches.append(list(items))
        begun.set()
        assert going.wait(10)

    async with writing(commit) as writer:
        first = [asyncio.create_task(writer.write(f"a{number}", 1)) for number in range(3)]
        assert await asyncio.to_thread(begun.wait, 10)
        second = [asyncio.create_task(writer.write(f"b{number}", 1)) for number in range(2000)]
        await asyncio.sleep(0.05)
        assert writer.waiting == 2003
        assert not any(task.done() for task in [*first, *second])
        going.set()
        assert all(await asyncio.gather(*first, *second))
        assert writer.waiting == 0
    assert batches[0] == ["a0", "a1", "a2"]
    assert [len(batch) for batch in batches] == [3, 1000, 1000]
    assert [item for batch in batches[1:] for item in batch] == [f"b{number}" for number in range(2000)]


async def test_nobody_is_told_what_did_not_happen_and_it_goes_on() -> None:
    broken = True

    def commit(items: Sequence[str]) -> None:
        if broken:
            raise Unavailable("The ledger database did not answer.")

    async with writing(commit) as writer:
        assert await asyncio.gather(*(writer.write("x", 1) for _ in range(5))) == [False] * 5
        broken = False
        assert await writer.write("x", 1)


async def test_one_item_that_the_database_refuses_takes_no_other_with_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    kept: list[str] = []

    def commit(items: Sequence[str]) -> None:
        if "poison" in items:
            raise ValueError("poison of cus_1, jane@acme.example")
        kept.extend(items)

    async with writing(commit) as writer:
        names = ["a", "b", "poison", "c"]
        told = await asyncio.gather(*(writer.write(name, 1) for name in names))
    assert told == [True, True, False, True]
    assert kept == ["a", "b", "c"]
    assert "ValueError" in caplog.text
    assert "jane" not in caplog.text


async def test_a_database_that_hangs_is_told_at_once_until_it_answers() -> None:
    going = threading.Event()

    def commit(items: Sequence[str]) -> None:
        assert going.wait(10)

    async with writing(commit, Limits(commit_seconds=0.1)) as writer:
        waiting = [asyncio.create_task(writer.write("x", 1)) for _ in range(3)]
        assert await asyncio.gather(*waiting) == [False] * 3
        assert writer.late
        assert not await writer.write("y", 1)
        going.set()
        async with asyncio.timeout(10):
            while not await writer.write("z", 1):  # noqa: ASYNC110 — as a sender tries again
                await asyncio.sleep(0.01)
        assert not writer.late


@pytest.mark.parametrize("limits", [Limits(waiting=3), Limits(waiting_bytes=30)])
async def test_a_queue_that_is_full_takes_nothing_in(limits: Limits) -> None:
    going, begun = threading.Event(), threading.Event()

    def commit(items: Sequence[str]) -> None:
        begun.set()
        assert going.wait(10)

    async with writing(commit, limits) as writer:
        in_hand = asyncio.create_task(writer.write("in hand", 1))
        assert await asyncio.to_thread(begun.wait, 10)
        queue = [asyncio.create_task(writer.write("x", 9)) for _ in range(3)]
        await asyncio.sleep(0)
        assert not await writer.write("too many", 9)
        going.set()
        assert all(await asyncio.gather(in_hand, *queue))
        assert await writer.write("there is room again", 9)
