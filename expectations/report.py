"""What judging a batch found, and how a person reads it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from order_to_cash.domain.money import Money, known_currency

Value = str | int | bool | None

# A Prefect artifact is one row of its database and one page of its UI: beyond this it helps nobody.
SHOWN_ROWS = 200
_SHOWN_TEXT = 80
_MINOR = "_minor"  # how columns with an amount in minor units of `currency` end
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|#~!&])")


@dataclass(frozen=True)
class Failure:
    """One reason why one record is not fit.

    `part_id` names the line; it is empty when the record as a whole is accused. `observed` holds only values
    that may be shown to people (the suite's `observe`): no e-mail or postal address.
    """

    record_id: str
    code: str
    column: str
    severity: str
    why: str
    remedy: str
    part_id: str = ""
    observed: Mapping[str, Value] = field(default_factory=dict)

    @property
    def message(self) -> str:
        """`why`, and what was seen: for the quarantine and for Slack."""
        seen = ", ".join(self.seen)
        return f"{self.why} ({seen})" if seen else self.why

    @property
    def seen(self) -> Iterator[str]:
        """What was seen, in words: amounts as people read them, and the currency not once more beside them."""
        currency = str(self.observed.get("currency"))
        amounts = {
            name: Money(value, currency)
            for name, value in self.observed.items()
            if name.endswith(_MINOR) and isinstance(value, int) and known_currency(currency)
        }
        for name, value in self.observed.items():
            if name in amounts:
                yield f"{_words(name.removesuffix(_MINOR))} {amounts[name]}"
            elif name != "currency" or not amounts:
                yield f"{_words(name)} {_text(value)}"


@dataclass(frozen=True)
class Statistics:
    """Counts of one validation. `by_code` counts records, not lines."""

    rows: int = 0
    records: int = 0
    passed: int = 0
    expectations: int = 0
    expectations_failed: int = 0
    by_code: Mapping[str, int] = field(default_factory=dict)

    @property
    def held(self) -> int:
        return self.records - self.passed


@dataclass(frozen=True)
class ExpectationReport:
    """The verdict on a batch: every record either passed or is held by at least one critical failure.

    Both id tuples keep the order in which the records came. Failures of severity ``warning`` or ``info`` are
    reported and hold nothing back.
    """

    suite: str
    passed_ids: tuple[str, ...]
    held_ids: tuple[str, ...]
    failures: tuple[Failure, ...]
    statistics: Statistics
    duration_seconds: float

    def failures_of(self, record_id: str) -> tuple[Failure, ...]:
        return tuple(failure for failure in self.failures if failure.record_id == record_id)


def report_markdown(report: ExpectationReport, *, record_url: str = "") -> str:
    """The report as Markdown for a Prefect artifact, at most `SHOWN_ROWS` failures long.

    `record_url` ends before the record id (``https://example.my.salesforce.com/``); empty: ids are not links.
    """
    stats = report.statistics
    head = (
        f"**{stats.passed} of {stats.records} records passed** the suite `{report.suite}`: "
        f"{stats.rows} rows, {stats.expectations} expectations, {report.duration_seconds * 1000:.0f} ms."
    )
    if not report.failures:
        return head
    shown = report.failures[:SHOWN_ROWS]
    parts = [head, _table(("Reason", "Records", "Why", "What to do"), _reasons(report))]
    parts.append(
        _table(("Record", "Line", "Reason", "Seen"), (_row(failure, record_url) for failure in shown))
    )
    if hidden := len(report.failures) - len(shown):
        parts.append(f"… and {hidden} more.")
    return "\n\n".join(parts)


def _reasons(report: ExpectationReport) -> list[tuple[str, ...]]:
    first = {failure.code: failure for failure in reversed(report.failures)}
    counts = sorted(report.statistics.by_code.items(), key=lambda item: (-item[1], item[0]))
    return [
        (f"`{code}`", str(count), _escape(first[code].why), _escape(first[code].remedy))
        for code, count in counts
    ]


def _row(failure: Failure, record_url: str) -> tuple[str, ...]:
    record = _escape(failure.record_id)
    seen = ", ".join(_escape(part) for part in failure.seen)
    return (
        f"[{record}]({record_url}{failure.record_id})" if record_url else record,
        _escape(failure.part_id) or "—",
        f"`{failure.code}`",
        seen or "—",
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _escape(text: str) -> str:
    """Text that a customer may have typed, as one line of literal Markdown."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def _words(name: str) -> str:
    return name.replace("_", " ")


def _text(value: Value) -> str:
    if value is None or value == "":
        return "(empty)"
    text = " ".join(str(value).split())
    return text if len(text) <= _SHOWN_TEXT else f"{text[: _SHOWN_TEXT - 1]}…"
