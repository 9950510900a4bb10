"""Many threads, one transaction: whoever comes first writes for all who wait."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass
class _Entry(Generic[T]):
    item: T
    written: bool = False
    error: BaseException | None = None


class GroupCommit(Generic[T]):
    """`submit` returns after its item is committed, together with all items that were waiting by then.

    `commit` writes a batch in one transaction and raises when nothing of it was written.
    """

    def __init__(self, commit: Callable[[Sequence[T]], None], largest: int = 500) -> None:
        self._commit = commit
        self._largest = largest
        self._waiting: list[_Entry[T]] = []
        self._list = threading.Lock()
        self._leader = threading.Lock()

    def submit(self, item: T) -> None:
        """Commit `item`. Raises what `commit` raised for the batch that held it."""
        entry = _Entry(item)
        with self._list:
            self._waiting.append(entry)
        while not entry.written:
            with self._leader:
                if not entry.written:
                    self._write()
        if entry.error is not None:
            raise entry.error

    def _write(self) -> None:
        with self._list:
            batch, self._waiting = self._waiting[: self._largest], self._waiting[self._largest :]
        try:
            self._commit([entry.item for entry in batch])
        except BaseException as error:
            for entry in batch:
                entry.error = error
            if not isinstance(error, Exception):
                raise
        finally:
            for entry in batch:
                entry.written = True
