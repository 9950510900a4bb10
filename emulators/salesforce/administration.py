"""What an administrator or a test sets up to refuse rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class ValidationRule:
    """Refuses a save when its condition (as in a SOQL WHERE) is true of the new row."""

    object: str
    when: str
    message: str
    field: str | None = None
    active: bool = True


@dataclass
class RowFault:
    """Refuses the writing of rows: those with the given ids, or the nth matching row, or every one."""

    code: str = "UNABLE_TO_LOCK_ROW"
    message: str | None = None
    object: str | None = None
    ids: list[str] = field(default_factory=list)
    nth: list[int] | None = None
    times: int | None = None
    matched: int = 0
    struck: int = 0

    def strikes(self, object_name: str, record_ids: Sequence[str]) -> bool:
        """Count a row (its own id and its parents', where `ids` is set) and say whether to refuse it."""
        if self.object is not None and self.object.lower() != object_name.lower():
            return False
        if self.ids and not set(record_ids) & set(self.ids):
            return False
        self.matched += 1
        if self.nth is not None and self.matched not in self.nth:
            return False
        if self.times is not None and self.struck >= self.times:
            return False
        self.struck += 1
        return True
