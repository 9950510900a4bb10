"""Rows become few full calls, and no two chains touch one Account."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from order_to_cash.domain.bundles import CALLS_TOGETHER, ROWS_A_CALL, ROWS_TOGETHER, chains, together
from order_to_cash.domain.sync.shapes import ObjectKey, Row


def row(
    value: str, sobject: str = "Stripe_Invoice__c", wave: int = 1, account: str = "a", **fields: Any
) -> Row:
    return Row(sobject, "Ext__c", value, fields, wave, account, ObjectKey("invoice", value))


ROWS = st.lists(
    st.builds(
        row,
        st.integers(0, 40).map(str),
        st.sampled_from(["A__c", "B__c"]),
        st.integers(0, 2),
        st.sampled_from(["", "x", "y", "z"]),
    ),
    max_size=60,
)


@given(ROWS)
def test_every_record_is_written_once_by_its_last_row(rows: list[Row]) -> None:
    written = [each for chain in chains(rows) for call in chain.calls for each in call.rows]
    last = {(each.sobject, each.value): each for each in rows}
    assert sorted(map(id, written)) == sorted(map(id, last.values()))


@given(ROWS)
def test_no_two_chains_share_an_account_and_waves_are_in_order(rows: list[Row]) -> None:
    seen: Counter[str] = Counter()
    for chain in chains(rows):
        accounts = {each.account_id for call in chain.calls for each in call.rows} - {""}
        assert accounts == set(chain.account_ids)
        seen.update(accounts)
        waves = [call.rows[0].wave for call in chain.calls]
        assert waves == sorted(waves)
        for call in chain.calls:
            assert len(call.rows) <= ROWS_A_CALL
            assert {(each.sobject, each.wave) for each in call.rows} == {(call.sobject, call.rows[0].wave)}
    assert not seen or max(seen.values()) == 1


def test_calls_are_full() -> None:
    rows = [row(str(number), account=f"a{number % 1000}") for number in range(2000)]
    made = chains(rows)
    assert [len(call.rows) for chain in made for call in chain.calls] == [200] * 10


def test_one_large_account_is_written_one_call_after_another() -> None:
    (chain,) = chains([row(str(number)) for number in range(450)])
    assert [len(call.rows) for call in chain.calls] == [200, 200, 50]


@given(ROWS, st.integers(1, 12))
def test_what_goes_together_keeps_the_order_and_fits_one_request(rows: list[Row], kinds: int) -> None:
    many = [
        row(f"{number}k{kind}", f"K{kind}__c", kind, "x")
        for kind in range(kinds)
        for number in range(kind * 60)
    ]
    for chain in chains(rows + many):
        groups = together(chain.calls)
        assert [call for group in groups for call in group] == list(chain.calls)
        for group in groups:
            assert len(group) <= CALLS_TOGETHER
            assert sum(len(call.rows) for call in group) <= ROWS_TOGETHER


def test_one_request_takes_fifty_accounts_with_four_records_each() -> None:
    rows = [row(f"{n}k{k}", f"K{k}__c", k, f"a{n}") for n in range(120) for k in range(4)]
    made = [[len(call.rows) for call in group] for chain in chains(rows) for group in together(chain.calls)]
    assert made == [[50] * 4, [50] * 4, [20] * 4]
