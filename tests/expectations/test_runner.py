"""Judging batches: each way of being bad is reported with exactly its code, and nothing else is held up."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from expectations import runner, suites
from order_to_cash.domain.errors import ConfigurationError

Row = dict[str, Any]
SUITE = "billing_record"
BEYOND_INT64 = 2**63 + 1


def deal(number: int, lines: int = 2) -> list[Row]:
    """The rows of a sound deal."""
    opportunity = f"006000000000{number:03}"
    return [
        {
            "opportunity_id": opportunity,
            "opportunity_name": f"Deal {number}",
            "account_id": "001000000000001",
            "account_name": "Northwind",
            "account_name_length": 9,
            "billing_email": "billing@northwind.example",
            "billing_email_valid": True,
            "country": "Deutschland",
            "country_known": True,
            "currency": "eur",
            "currency_known": True,
            "amount_minor": 100 * lines,
            "amount_exact": True,
            "line_id": f"00k{number:03}{line:03}",
            "product_name": "Widget",
            "quantity_positive": True,
            "line_total_minor": 100,
            "lines_total_minor": 100 * lines,
            "lines_match_amount": True,
            "price_id": "price_1",
            "price_known": True,
            "price_currency_ok": True,
            "recurring": False,
            "line_count": lines,
        }
        for line in range(lines)
    ]


NO_LINE: Row = {
    "line_id": "",
    "product_name": "",
    "line_total_minor": None,
    "lines_total_minor": None,
    "price_id": "",
    "line_count": 0,
}

# code → what makes a deal, or one line of it, bad in that one way; what follows from it comes along.
OF_THE_RECORD: Mapping[str, tuple[Row, ...]] = {
    "customer_name_missing": ({"account_name": "", "account_name_length": 0},),
    "customer_name_too_long": ({"account_name": "x" * 257, "account_name_length": 257},),
    "billing_email_missing": ({"billing_email": None}, {"billing_email": ""}),
    "billing_email_malformed": (
        {"billing_email": "nobody at home", "billing_email_valid": False},
        {"billing_email": "", "billing_email_valid": False},
    ),
    "billing_country_unknown": ({"country": "", "country_known": False},),
    "currency_unknown": (
        {
            "currency": "zzz",
            "currency_known": False,
            "amount_minor": None,
            "line_total_minor": None,
            "lines_total_minor": None,
        },
    ),
    "amount_missing": ({"amount_minor": None},),
    "amount_zero": ({"amount_minor": 0},),
    "amount_negative": ({"amount_minor": -1}, {"amount_minor": -BEYOND_INT64}),
    "amount_not_exact": ({"amount_minor": None, "amount_exact": False},),
    "no_lines": (NO_LINE,),
    "too_many_lines": ({"line_count": 251},),
    "lines_do_not_add_up": ({"amount_minor": 9_007_199_254_740_993, "lines_match_amount": False},),
}
OF_A_LINE: Mapping[str, tuple[Row, ...]] = {
    "amount_not_exact": ({"line_total_minor": None},),
    "quantity_not_positive": ({"quantity_positive": False},),
    "price_missing": ({"price_id": None}, {"price_id": ""}),
    "price_unknown": ({"price_known": False},),
    "price_currency_mismatch": ({"price_currency_ok": False},),
    "needs_subscription": ({"recurring": True},),
}
Flaw = tuple[str, str, int]  # (record | line, code, way)
FLAWS: list[Flaw] = [
    *(("record", code, way) for code, ways in OF_THE_RECORD.items() for way in range(len(ways))),
    *(("line", code, way) for code, ways in OF_A_LINE.items() for way in range(len(ways))),
]

Accusation = tuple[str, str, str]


def spoil(rows: list[Row], flaw: Flaw, line: int = 0) -> tuple[list[Row], Accusation]:
    """`rows` made bad in one way, and the one accusation that it deserves: (record, line, code)."""
    per, code, way = flaw
    record = rows[0]["opportunity_id"]
    if per == "line":
        accused = rows[line % len(rows)]
        accused.update(OF_A_LINE[code][way])
        return rows, (record, accused["line_id"], code)
    rows = rows[:1] if code == "no_lines" else rows
    return [row | OF_THE_RECORD[code][way] for row in rows], (record, "", code)


def accusations(report: runner.ExpectationReport) -> list[Accusation]:
    return [(failure.record_id, failure.part_id, failure.code) for failure in report.failures]


def test_every_expectation_of_the_suite_has_a_way_to_fail_here() -> None:
    rules = sorted((rule.per, rule.code) for rule in suites.load(SUITE).rules)
    assert rules == sorted({(per, code) for per, code, _ in FLAWS})


@pytest.mark.parametrize("flaw", FLAWS, ids=lambda flaw: "-".join(map(str, flaw)))
def test_each_expectation_can_fail_and_accuses_nothing_else(flaw: Flaw) -> None:
    bad, expected = spoil(deal(1), flaw, line=1)
    report = runner.validate(SUITE, [*deal(0), *bad, *deal(2)])
    assert accusations(report) == [expected]
    assert report.held_ids == (expected[0],)
    assert report.passed_ids == ("006000000000000", "006000000000002")
    assert report.statistics.by_code == {flaw[1]: 1}


one_deal = st.tuples(st.integers(1, 4), st.none() | st.sampled_from(FLAWS), st.integers(0, 3))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(one_deal, min_size=1, max_size=40))
def test_a_batch_is_sorted_into_the_sound_and_the_bad(
    deals: list[tuple[int, Flaw | None, int]],
) -> None:
    batch: list[Row] = []
    expected: set[Accusation] = set()
    sound: list[str] = []
    for number, (lines, flaw, line) in enumerate(deals):
        rows = deal(number, lines)
        if flaw is None:
            sound.append(rows[0]["opportunity_id"])
        else:
            rows, accusation = spoil(rows, flaw, line)
            expected.add(accusation)
        batch.extend(rows)
    report = runner.validate(SUITE, batch)
    assert set(accusations(report)) == expected
    assert len(report.failures) == len(expected)
    assert list(report.passed_ids) == sound
    assert report.statistics.records == len(deals) == report.statistics.passed + report.statistics.held


def test_several_flaws_of_one_deal_are_all_told() -> None:
    rows, _ = spoil(deal(0), ("record", "billing_email_missing", 0))
    rows, _ = spoil(rows, ("record", "amount_zero", 0))
    rows, _ = spoil(rows, ("line", "needs_subscription", 0))
    rows, _ = spoil(rows, ("line", "needs_subscription", 0), line=1)
    report = runner.validate(SUITE, rows)
    assert sorted(accusations(report)) == [
        ("006000000000000", "", "amount_zero"),
        ("006000000000000", "", "billing_email_missing"),
        ("006000000000000", "00k000000", "needs_subscription"),
        ("006000000000000", "00k000001", "needs_subscription"),
    ]
    assert report.passed_ids == ()
    assert report.statistics.by_code["needs_subscription"] == 1


def test_what_was_seen_is_told_with_exact_integers_and_without_addresses() -> None:
    negative, _ = spoil(deal(0), ("record", "amount_negative", 1))
    mail, _ = spoil(deal(1), ("record", "billing_email_malformed", 0))
    report = runner.validate(SUITE, [*negative, *mail])
    assert report.failures[0].observed == {"amount_minor": -BEYOND_INT64, "currency": "eur"}
    assert report.failures_of("006000000000001")[0].observed == {}
    assert "nobody" not in repr(report)


def test_no_expectation_shows_personal_data() -> None:
    personal = {"billing_email"}
    assert not [rule.code for rule in suites.load(SUITE).rules if personal & set(rule.observe)]


def test_an_empty_batch_passes() -> None:
    report = runner.validate(SUITE, [])
    assert (report.passed_ids, report.held_ids, report.failures) == ((), (), ())
    assert report.statistics == runner.Statistics()


def test_columns_that_no_expectation_knows_are_left_alone() -> None:
    assert runner.validate(SUITE, [row | {"extra": 1.5} for row in deal(0)]).passed_ids == (
        "006000000000000",
    )


@pytest.mark.parametrize(
    ("patch", "says"),
    [
        ({"amount_minor": 200.0}, "'amount_minor' holds float"),
        ({"amount_minor": True}, "'amount_minor' holds bool"),
        ({"line_count": None}, "'line_count' holds NoneType"),
        ({"country_known": None}, "'country_known' holds NoneType"),
        ({"country_known": "yes"}, "'country_known' holds str"),
        ({"opportunity_id": ""}, "'opportunity_id' holds NoneType"),
    ],
)
def test_rows_of_another_type_than_declared_are_refused(patch: Row, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        runner.validate(SUITE, [*deal(0), *[row | patch for row in deal(1)]])
    assert caught.value.code == "expectation_columns_mismatch"


def test_rows_without_a_judged_column_are_refused() -> None:
    rows = [{name: value for name, value in row.items() if name != "price_known"} for row in deal(0)]
    with pytest.raises(ConfigurationError, match="no column 'price_known'"):
        runner.validate(SUITE, rows)


def test_threads_share_one_process_wide_setup() -> None:
    def judge(number: int) -> list[Accusation]:
        rows, expected = spoil(deal(number), FLAWS[number])
        assert accusations(runner.validate(SUITE, [*rows, *deal(number + 100)])) == [expected]
        return [expected]

    with ThreadPoolExecutor(8) as pool:
        assert len(list(pool.map(judge, range(12)))) == 12


def test_warming_up_says_how_long_it_took_and_refuses_an_unknown_suite() -> None:
    assert runner.warm(SUITE) > 0
    with pytest.raises(ConfigurationError, match="no expectation suite"):
        runner.warm("nothing_like_it")


def test_a_fresh_process_imports_great_expectations_at_first_use_and_writes_nothing(tmp_path: Path) -> None:
    script = """
import sys
from expectations import runner
assert "great_expectations" not in sys.modules and "pandas" not in sys.modules
runner.validate("billing_record", [])
assert "great_expectations" not in sys.modules
runner.warm()
import great_expectations, os
assert os.environ["GX_ANALYTICS_ENABLED"] == "false"
"""
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(runner.__file__).parent.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.rglob("*")) == []
