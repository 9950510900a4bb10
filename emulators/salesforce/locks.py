"""Who holds which records while several calls are in flight."""

from __future__ import annotations

from collections.abc import Iterable


class Locks:
    """A call holds the records that it has written until its answer is sent.

    A real org lets the second call wait, up to ten seconds; this one refuses at once, so that a test sees whether two
    calls in flight ever write one record.
    """

    def __init__(self) -> None:
        self._holder: dict[str, int] = {}
        self._held: dict[int, list[str]] = {}
        self.writing: int | None = None  # the call that is being handled, where records are locked at all

    def take(self, record_ids: Iterable[str]) -> str | None:
        """Hold the records for the call that is being handled; the one that another call holds, or None."""
        if self.writing is None:
            return None
        wanted = [each for each in record_ids if each]
        for each in wanted:
            if self._holder.get(each, self.writing) != self.writing:
                return each
        for each in wanted:
            self._holder[each] = self.writing
        self._held.setdefault(self.writing, []).extend(wanted)
        return None

    def release(self, call: int) -> None:
        for each in self._held.pop(call, ()):
            self._holder.pop(each, None)
