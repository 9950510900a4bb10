"""Whoever comes first writes for all who wait."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from order_to_cash.ledger.group_commit import GroupCommit


def test_everyone_returns_after_its_own_is_written() -> None:
    written: list[int] = []
    group = GroupCommit(written.extend, largest=3)

    def submit(number: int) -> bool:
        group.submit(number)
        return number in written

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(submit, range(500)))
    assert sorted(written) == list(range(500))


def test_those_who_wait_share_a_batch_and_its_failure_only() -> None:
    batches: list[list[int]] = []
    first_writes, others_wait = threading.Event(), threading.Event()

    def commit(batch: Sequence[int]) -> None:
        batches.append(list(batch))
        if batch[0] == 0:
            first_writes.set()
            others_wait.wait(10)
        elif 1 in batch:
            raise OSError("disk full")

    group = GroupCommit(commit, largest=2)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(group.submit, 0)
        first_writes.wait(10)
        others = []
        for number in (1, 2, 3):
            others.append(pool.submit(group.submit, number))
            while len(group._waiting) < number:
                threading.Event().wait(0.001)
        others_wait.set()
        assert first.result() is None
        for failed in others[:2]:
            with pytest.raises(OSError, match="disk full"):
                failed.result()
        assert others[2].result() is None
    assert batches == [[0], [1, 2], [3]]
