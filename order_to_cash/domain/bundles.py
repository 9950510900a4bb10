"""How many rows become few calls: full ones, and never two at once that touch rows of one Account."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from order_to_cash.domain.sync.shapes import Row

ROWS_A_CALL = 200
"""REST API guide, "Use sObject Collections"."""
ROWS_TOGETHER = 200
"""Of several kinds in one call: 50 Accounts with a subscription, an invoice, a line and a payment each. Enough that the
call itself costs little of it (0.2 of 1.2 s), few enough that the last calls of a burst end soon."""
CALLS_TOGETHER = 5
"""REST API guide, "Composite": of sObject Collections in one request."""


@dataclass(frozen=True, slots=True)
class Call:
    """Rows of one object and External ID, at most 200, no record twice."""

    sobject: str
    external_id: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Chain:
    """Calls that are made one after another. Salesforce locks the Account above a row: chains share none."""

    account_ids: frozenset[str]
    calls: tuple[Call, ...]


def chains(rows: Sequence[Row]) -> list[Chain]:
    """`rows` as chains that may run at the same time, as few calls as that allows, each chain in order of waves.

    Rows of no Account, such as products, make a chain of their own. Of rows for one record the last one counts.
    """
    latest = {(row.sobject, row.external_id, row.value): row for row in rows}
    by_account: defaultdict[str, list[Row]] = defaultdict(list)
    for row in latest.values():
        by_account[row.account_id].append(row)
    made = []
    if own := by_account.pop("", None):
        made.append(Chain(frozenset(), tuple(_calls(own))))
    for group in _packed(by_account):
        together = [row for account_id in group for row in by_account[account_id]]
        made.append(Chain(frozenset(group), tuple(_calls(together))))
    return made


def together(calls: Iterable[Call]) -> list[tuple[Call, ...]]:
    """The calls of a chain, in their order, as many in one request as it takes."""
    groups: list[list[Call]] = []
    rows = 0
    for call in calls:
        rows += len(call.rows)
        if not groups or len(groups[-1]) == CALLS_TOGETHER or rows > ROWS_TOGETHER:
            groups.append([])
            rows = len(call.rows)
        groups[-1].append(call)
    return [tuple(group) for group in groups]


def _packed(by_account: dict[str, list[Row]]) -> list[list[str]]:
    """Accounts in groups, so that a group's rows of one kind fit one call, and all of them one request."""
    groups: list[list[str]] = []
    filled: Counter[tuple[int, str, str]] = Counter()
    largest = 0
    for account_id, rows in by_account.items():
        kinds = Counter(_kind(row) for row in rows)
        most = max(kinds.values())
        # Only a look at the kinds themselves when the fullest could overflow.
        if (
            not groups
            or filled.total() + len(rows) > ROWS_TOGETHER
            or (largest + most > ROWS_A_CALL and any(filled[k] + n > ROWS_A_CALL for k, n in kinds.items()))
        ):
            groups.append([])
            filled = Counter()
            largest = 0
        groups[-1].append(account_id)
        filled.update(kinds)
        largest = max(filled.values())
    return groups


def _calls(rows: Iterable[Row]) -> Iterable[Call]:
    by_kind: defaultdict[tuple[int, str, str], list[Row]] = defaultdict(list)
    for row in rows:
        by_kind[_kind(row)].append(row)
    for kind in sorted(by_kind):
        _, sobject, external_id = kind
        same = by_kind[kind]
        for start in range(0, len(same), ROWS_A_CALL):
            yield Call(sobject, external_id, tuple(same[start : start + ROWS_A_CALL]))


def _kind(row: Row) -> tuple[int, str, str]:
    return row.wave, row.sobject, row.external_id
