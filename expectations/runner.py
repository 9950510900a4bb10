"""Judges a batch of mapped records with Great Expectations and says, record by record, what is wrong.

Measured on 2 cores with Great Expectations 1.24.1: importing it takes 2–3 s and 215 MB; a validation 10 ms
of CPU per expectation and 10 µs per row. So it is imported at first use (`warm()` does it ahead of time),
context, batch definition and suites are kept, and whole batches are judged.

A validation runs on the calling thread and is not asynchronous: a flow calls it by ``asyncio.to_thread``.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from expectations import suites
from expectations.report import ExpectationReport, Failure, Statistics, Value, report_markdown
from expectations.suites import Rule, Suite
from order_to_cash.domain.errors import ConfigurationError

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations import ExpectationSuite
    from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult
    from great_expectations.core.batch_definition import BatchDefinition

__all__ = ["ExpectationReport", "Failure", "Statistics", "report_markdown", "validate", "warm"]

_POSITION = "_position"  # row number within the batch: leads from a failing row back to what was given
Row = Mapping[str, Value]


class _Judge:
    """Great Expectations, set up once per process; it judges one batch at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._batches: BatchDefinition[Any] | None = None
        self._suites: dict[str, tuple[Suite, ExpectationSuite]] = {}

    def judge(self, suite: Suite, frame: Mapping[str, list[Value]]) -> ExpectationSuiteValidationResult:
        with self._lock:
            batches = self._batch_definition()
            expectation_suite = self._suite(suite)
            batch = batches.get_batch(batch_parameters={"dataframe": _dataframe(frame)})
            return batch.validate(
                expectation_suite,
                result_format={
                    "result_format": "COMPLETE",
                    "unexpected_index_column_names": [_POSITION],
                    "return_unexpected_index_query": False,
                },
            )

    def _batch_definition(self) -> BatchDefinition[Any]:
        if self._batches is None:
            os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read at import
            import great_expectations as gx
            from great_expectations.data_context.types.base import ProgressBarsConfig

            # Its messages quote the values that an expectation choked on; what matters is raised by us.
            logging.getLogger("great_expectations").setLevel(logging.CRITICAL)
            context = gx.get_context(mode="ephemeral")
            context.variables.progress_bars = ProgressBarsConfig(globally=False)
            asset = context.data_sources.add_pandas("records").add_dataframe_asset("mapped")
            self._batches = asset.add_batch_definition_whole_dataframe("batch")
        return self._batches

    def _suite(self, suite: Suite) -> ExpectationSuite:
        held = self._suites.get(suite.name)
        if held is None or held[0] is not suite:
            held = (suite, _expectation_suite(suite))
            self._suites[suite.name] = held
        return held[1]


_JUDGE = _Judge()


def warm(suite_name: str = "billing_record") -> float:
    """Import Great Expectations and judge one empty row of `suite_name`; returns the seconds it took.

    For long-lived processes, before the first record comes.

    Raises:
        ConfigurationError: there is no such suite, or it does not run.
    """
    began = time.perf_counter()
    suite = suites.load(suite_name)
    blank: dict[str, Value] = {"string": "", "integer": 0, "boolean": False}
    row = {column.name: blank[column.type_name] for column in suite.columns}
    _verdicts(suite, _JUDGE.judge(suite, _frame(suite, [row | {suite.record_id: "warm-up"}])))
    return time.perf_counter() - began


def validate(suite_name: str, rows: Sequence[Row]) -> ExpectationReport:
    """Judge `rows` (flat, one per record or per line of a record) by the suite `suite_name`. Thread-safe.

    Rows of one record share the column that the suite names as its `record_id`; a record passes when none of
    its rows fails a critical expectation. An empty batch costs nothing and passes.

    Raises:
        ConfigurationError: the suite does not exist or cannot be run, or the rows lack a column of it, or
            hold another type than it declares, or name no record. Nothing of the batch counts as judged then.
    """
    began = time.perf_counter()
    suite = suites.load(suite_name)
    failures: list[Failure] = []
    failed_rules = 0
    if rows:
        frame = _frame(suite, rows)
        for rule, positions in _verdicts(suite, _JUDGE.judge(suite, frame)):
            failed_rules += 1
            failures.extend(_failures(suite, rule, [rows[position] for position in positions]))
    return _report(suite, rows, failures, failed_rules, time.perf_counter() - began)


def _frame(suite: Suite, rows: Sequence[Row]) -> dict[str, list[Value]]:
    """The columns of `suite`, checked; empty text becomes None."""
    frame: dict[str, list[Value]] = {}
    for column in suite.columns:
        try:
            values = [row[column.name] for row in rows]
        except KeyError:
            raise _mismatch(suite, f"rows have no column {column.name!r}") from None
        if column.type_name == "string":
            values = [value if value != "" else None for value in values]
        if wrong := [kind.__name__ for kind in set(map(type, values)) if not column.accepts(kind)]:
            raise _mismatch(suite, f"column {column.name!r} holds {', '.join(sorted(wrong))}")
        frame[column.name] = values
    if None in frame[suite.record_id]:
        raise _mismatch(suite, f"a row names no record in {suite.record_id!r}")
    frame[_POSITION] = list(range(len(rows)))
    return frame


def _dataframe(frame: Mapping[str, list[Value]]) -> pd.DataFrame:
    """Python objects stay what they are: pandas' own types turn an integer column with a gap into floats."""
    import pandas as pd

    return pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in frame.items()})


def _expectation_suite(suite: Suite) -> ExpectationSuite:
    import great_expectations as gx

    try:
        made = gx.ExpectationSuite(**suite.definition)
    except Exception as error:
        raise suites.broken(
            suite.name, f"Great Expectations refuses it ({type(error).__name__}: {error})"
        ) from error
    # An expectation whose name it does not know is only logged and left out (1.24.1).
    kept = {(entry.meta["code"], entry.meta["column"]) for entry in made.expectations if entry.meta}
    if unknown := sorted(rule.code for rule in suite.rules if rule.key not in kept):
        raise suites.broken(suite.name, f"Great Expectations left out {', '.join(unknown)}")
    return made


def _verdicts(suite: Suite, result: ExpectationSuiteValidationResult) -> Iterator[tuple[Rule, list[int]]]:
    """Each failed rule with the positions of its failing rows. Whatever was not judged raises."""
    metas = [(entry.expectation_config.meta, entry) for entry in result.results if entry.expectation_config]
    answered = {(meta["code"], meta["column"]): entry for meta, entry in metas}
    if missing := sorted(rule.code for rule in suite.rules if rule.key not in answered):
        raise suites.broken(suite.name, f"no verdict came for {', '.join(missing)}")
    for rule in suite.rules:
        positions = _positions(suite, rule.code, answered[rule.key])
        if positions:
            yield rule, positions


def _positions(suite: Suite, code: str, entry: ExpectationValidationResult) -> list[int]:
    # The exception's text may quote the values that it choked on: only its presence is told.
    if "exception_message" not in entry.exception_info or entry.exception_info["raised_exception"]:
        raise suites.broken(suite.name, f"the expectation of {code} raised an exception instead of judging")
    unexpected = entry.result.get("unexpected_index_list") or []
    if len(unexpected) != entry.result.get("unexpected_count", 0) or entry.success == bool(unexpected):
        raise suites.broken(suite.name, f"the expectation of {code} does not say which records fail")
    return sorted(int(row[_POSITION]) for row in unexpected)


def _failures(suite: Suite, rule: Rule, rows: Sequence[Row]) -> Iterator[Failure]:
    """One failure for each accused record or line, in the order of the rows."""
    seen: set[tuple[Value, Value]] = set()
    for row in rows:
        part = (row[suite.part_id] or "") if rule.per == "line" else ""
        if (row[suite.record_id], part) in seen:
            continue
        seen.add((row[suite.record_id], part))
        yield Failure(
            record_id=str(row[suite.record_id]),
            part_id=str(part),
            code=rule.code,
            column=rule.column,
            severity=rule.severity,
            why=rule.why,
            remedy=rule.remedy,
            observed={name: row[name] for name in rule.observe},
        )


def _report(
    suite: Suite, rows: Sequence[Row], failures: Sequence[Failure], failed_rules: int, seconds: float
) -> ExpectationReport:
    ids = tuple(dict.fromkeys(str(row[suite.record_id]) for row in rows))
    held = {failure.record_id for failure in failures if failure.severity == "critical"}
    accused: dict[str, set[str]] = {}
    for failure in failures:
        accused.setdefault(failure.code, set()).add(failure.record_id)
    order = {record_id: index for index, record_id in enumerate(ids)}
    return ExpectationReport(
        suite=suite.name,
        passed_ids=tuple(record_id for record_id in ids if record_id not in held),
        held_ids=tuple(record_id for record_id in ids if record_id in held),
        failures=tuple(sorted(failures, key=lambda failure: order[failure.record_id])),
        statistics=Statistics(
            rows=len(rows),
            records=len(ids),
            passed=len(ids) - len(held),
            expectations=len(suite.rules) if rows else 0,
            expectations_failed=failed_rules,
            by_code={code: len(records) for code, records in accused.items()},
        ),
        duration_seconds=seconds,
    )


def _mismatch(suite: Suite, what: str) -> ConfigurationError:
    return ConfigurationError(
        f"Expectation suite {suite.name!r} does not fit its rows: {what}",
        code="expectation_columns_mismatch",
        remedy=f"Bring the mapping and `columns` of expectations/{suite.name}.json together.",
    )
