"""Suites that go wrong when they run: nobody passes by an expectation that did not judge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from expectations import runner, suites
from order_to_cash.domain.errors import ConfigurationError

Row = dict[str, Any]


def small_suite(folder: Path, expectation: Row, **columns: str) -> suites.Suite:
    meta = {"code": "c", "column": "value", "per": "record", "observe": [], "why": "w", "remedy": "r"}
    definition = {
        "name": "small",
        "meta": {"record_id": "id", "columns": {"id": "string", "value": "integer?", **columns}},
        "expectations": [{"severity": "critical", "meta": meta, **expectation}],
    }
    (folder / "small.json").write_text(json.dumps(definition))
    return suites.load("small", folder)


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    def use_suite(expectation: Row, **columns: str) -> None:
        suite = small_suite(tmp_path, expectation, **columns)
        monkeypatch.setattr(suites, "load", lambda name: suite)

    return use_suite


IN_SET = {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "value", "value_set": [1]}}
ROWS: list[Row] = [{"id": "a", "value": 1}, {"id": "b", "value": 2}]


def test_a_warning_is_reported_and_holds_nothing_back(use: Any) -> None:
    use(IN_SET | {"severity": "warning"})
    report = runner.validate("small", ROWS)
    assert [failure.severity for failure in report.failures] == ["warning"]
    assert (report.passed_ids, report.held_ids) == (("a", "b"), ())


@pytest.mark.parametrize(
    ("expectation", "says"),
    [
        # comparing text with numbers raises inside Great Expectations, which calls that a result
        (
            {
                "type": "expect_column_values_to_be_between",
                "kwargs": {
                    "column": "value",
                    "min_value": 0,
                    "row_condition": {
                        "type": "comparison",
                        "column": {"name": "id"},
                        "operator": ">",
                        "parameter": 5,
                    },
                },
            },
            "raised an exception",
        ),
        # so does a column that is not there
        (
            {
                "type": "expect_column_values_to_not_be_null",
                "kwargs": {
                    "column": "value",
                    "row_condition": {"type": "nullity", "column": {"name": "gone"}, "is_null": False},
                },
            },
            "raised an exception",
        ),
        # a verdict on the column as a whole accuses no record
        (
            {"type": "expect_column_max_to_be_between", "kwargs": {"column": "value", "max_value": 1}},
            "does not say which records fail",
        ),
        ({"type": "expect_column_values_to_be_in_sett", "kwargs": {"column": "value"}}, "left out c"),
        (
            {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "value", "values": [1]}},
            "refuses it",
        ),
    ],
)
def test_an_expectation_that_does_not_judge_passes_nobody(
    use: Any, expectation: Row, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    use(expectation)
    with pytest.raises(ConfigurationError, match=says) as caught:
        runner.validate("small", ROWS)
    assert caught.value.code == "expectation_suite_broken"
    assert not caplog.records  # Great Expectations would quote values there
