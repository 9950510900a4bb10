"""What people read of a report."""

from __future__ import annotations

from expectations.report import SHOWN_ROWS, ExpectationReport, Failure, Statistics, report_markdown


def failure(record_id: str = "006A", **changes: object) -> Failure:
    values: dict[str, object] = {
        "record_id": record_id,
        "code": "amount_negative",
        "column": "amount_minor",
        "severity": "critical",
        "why": "The Amount is negative",
        "remedy": "Correct the Amount.",
    }
    return Failure(**(values | changes))  # type: ignore[arg-type]  # a test's own keyword table


def report(*failures: Failure, by_code: dict[str, int] | None = None) -> ExpectationReport:
    held = tuple(dict.fromkeys(failure.record_id for failure in failures))
    stats = Statistics(rows=9, records=len(held) + 1, passed=1, expectations=17, by_code=by_code or {})
    return ExpectationReport("billing_record", ("006Z",), held, failures, stats, 0.2254)


def test_a_message_says_why_and_what_was_seen() -> None:
    assert failure().message == "The Amount is negative"
    seen = failure(observed={"amount_minor": -5, "currency": None, "name": "x" * 100})
    assert seen.message == f"The Amount is negative (amount minor -5, currency (empty), name {'x' * 79}…)"


def test_amounts_are_written_as_everywhere() -> None:
    seen = failure(observed={"lines_total_minor": 37000, "amount_minor": -37500, "currency": "usd"})
    assert seen.message == "The Amount is negative (lines total $370.00 USD, amount -$375.00 USD)"
    assert failure(observed={"currency": "xyz", "price_id": "p"}).message.endswith(
        "(currency xyz, price id p)"
    )


def test_a_clean_batch_is_one_line() -> None:
    assert report_markdown(report()) == (
        "**1 of 1 records passed** the suite `billing_record`: 9 rows, 17 expectations, 225 ms."
    )


def test_reasons_come_most_frequent_first_and_every_record_has_its_row() -> None:
    price = {"code": "price_missing", "why": "No price", "remedy": "Name one."}
    found = report(
        failure("006A", observed={"amount_minor": -5}),
        failure("006B", part_id="00kB", **price),
        failure("006C", part_id="00kC", **price),
        by_code={"amount_negative": 1, "price_missing": 2},
    )
    text = report_markdown(found, record_url="https://example.my.salesforce.com/")
    assert text.splitlines()[2:] == [
        "| Reason | Records | Why | What to do |",
        "| --- | --- | --- | --- |",
        "| `price_missing` | 2 | No price | Name one. |",
        "| `amount_negative` | 1 | The Amount is negative | Correct the Amount. |",
        "",
        "| Record | Line | Reason | Seen |",
        "| --- | --- | --- | --- |",
        "| [006A](https://example.my.salesforce.com/006A) | — | `amount_negative` | amount minor -5 |",
        "| [006B](https://example.my.salesforce.com/006B) | 00kB | `price_missing` | — |",
        "| [006C](https://example.my.salesforce.com/006C) | 00kC | `price_missing` | — |",
    ]


def test_what_a_customer_typed_stays_text_in_one_cell() -> None:
    nasty = "a | b\n# <script>`*[x](http://y)*`"
    text = report_markdown(report(failure(observed={"product": nasty})))
    assert text.splitlines()[-1] == (
        "| 006A | — | `amount_negative` | product a \\| b \\# \\<script\\>\\`\\*\\[x\\](http://y)\\*\\` |"
    )


def test_a_long_list_is_cut_and_says_so() -> None:
    many = [failure(f"006{number}") for number in range(SHOWN_ROWS + 3)]
    text = report_markdown(report(*many, by_code={"amount_negative": len(many)}))
    assert text.endswith("… and 3 more.")
    assert f"006{SHOWN_ROWS - 1} " in text
    assert f"006{SHOWN_ROWS} " not in text
