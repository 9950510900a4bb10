"""The recovery report in words: Markdown for the artifact, a message for Slack. Figures only, no customer is named."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction

from order_to_cash.domain.dunning.facts import EndReason
from order_to_cash.domain.dunning.recovery import Recovery, Tally
from order_to_cash.domain.dunning.spans import span_in_words
from order_to_cash.domain.messages import LONGEST_HEADER, LONGEST_SECTION, Block, Message, escape_slack, link
from order_to_cash.domain.tables import cell

_DAY = "%Y-%m-%d"
_NONE = "before the first step"
_MOST_DOUBTS = 20
_LOOK = "Compare days_to_final_action of the dunning policy with the retry settings in Stripe's dashboard."
_REST = "… the rest stands in the report."
_ENDS = {
    EndReason.VOIDED: "voided",
    EndReason.CUSTOMER_DELETED: "customer deleted",
    EndReason.INVOICE_GONE: "invoice deleted",
    EndReason.NOT_FINAL: "a draft again",
}


def recovery_markdown(report: Recovery, titles: Mapping[str, str], doubts: Sequence[str] = ()) -> str:
    """`titles`: step key → title, in the policy's order; a step that it does not name stands under its key.

    `doubts`: where Stripe was seen to do other than the policy says, a sentence each.
    """
    parts = [
        f"# Recovery, {_period(report)}",
        _table(("", "ladders", "customers", "amount"), _tallies(report)),
        "\n".join(f"- **{name}**: {said}" for name, said in _figures(report)),
        "## Recovered by step",
        "The last step before the payment. It came after the step; whether because of it nobody can say."
        if report.by_step
        else "Nothing was recovered in this period.",
    ]
    if report.by_step:
        parts.append(_table(("after the step", "ladders", "customers", "amount"), _steps(report, titles)))
    if doubts:
        shown = [f"- {cell(doubt)}" for doubt in doubts[:_MOST_DOUBTS]]
        more = [f"- … and {len(doubts) - _MOST_DOUBTS} more"] if len(doubts) > _MOST_DOUBTS else []
        parts += ["## Stripe did other than the policy says", _LOOK, "\n".join([*shown, *more])]
    return "\n\n".join(parts) + "\n"


def recovery_message(
    report: Recovery, titles: Mapping[str, str], doubts: Sequence[str] = (), *, run_url: str = ""
) -> Message:
    """The daily message. Parameters as of `recovery_markdown`."""
    subject = f"Recovery report {report.until:{_DAY}}"
    lines = [f"*{name}*: {_one_line(tally)}" for name, tally in _named(report)]
    lines += [f"*{name}*: {said}" for name, said in _figures(report)]
    lines += [f"• {escape_slack(name)}: {_one_line(tally)}" for name, tally in _ordered(report, titles)]
    if doubts:
        ladders = "1 ladder" if len(doubts) == 1 else f"{len(doubts)} ladders"
        lines.insert(0, f"*Stripe did other than the policy says*, seen on {ladders}. {escape_slack(_LOOK)}")
    said = f"{report.open.count} open ({amounts(report.open)}), {report.recovered.count} recovered in {_days(report)}"
    blocks: list[Block] = [
        {"type": "header", "text": {"type": "plain_text", "text": subject[:LONGEST_HEADER], "emoji": False}},
        {"type": "section", "text": {"type": "mrkdwn", "text": _fitting(lines)}},
    ]
    if run_url:
        element = {"type": "mrkdwn", "text": link(run_url, "Open the report")}
        blocks.append({"type": "context", "elements": [element]})
    return Message(text=escape_slack(f"{subject}: {said}"), blocks=tuple(blocks))


def amounts(tally: Tally) -> str:
    """Such as "$1,200.00 USD, €80.00 EUR, 2 of unknown amount"; "nothing" of none."""
    parts = [*map(str, tally.amounts), *([f"{tally.unknown} of unknown amount"] if tally.unknown else [])]
    return ", ".join(parts) or "nothing"


def percent(rate: Fraction | None) -> str:
    """Such as "83.3 %"; "none decided" where nothing was recovered or lost."""
    return "none decided" if rate is None else f"{round(rate * 1000) / 10:g} %"


def _named(report: Recovery) -> Iterator[tuple[str, Tally]]:
    yield "At risk: open now", report.open
    yield "Recovered", report.recovered
    yield "Involuntary churn", report.churned
    yield "Lost in all", report.lost


def _figures(report: Recovery) -> Iterator[tuple[str, str]]:
    yield "Recovery rate", f"{percent(report.rate)} of what was recovered or lost"
    if report.median is not None and report.p90 is not None:
        half, most = span_in_words(report.median), span_in_words(report.p90)
        yield "Time to resolve", f"half within {half}, 90 % within {most}"
    yield "Opened", str(report.opened)
    if report.held:
        yield "On hold", str(report.held)
    if report.other_ends:
        ends = (f"{count} {_ENDS.get(reason, reason)}" for reason, count in report.other_ends.items())
        yield "Ended otherwise", ", ".join(ends)


def _tallies(report: Recovery) -> Iterator[tuple[str, ...]]:
    for name, tally in _named(report):
        yield f"**{name}**", str(tally.count), str(tally.customers), amounts(tally)


def _steps(report: Recovery, titles: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    for name, tally in _ordered(report, titles):
        yield cell(name), str(tally.count), str(tally.customers), amounts(tally)


def _ordered(report: Recovery, titles: Mapping[str, str]) -> Iterator[tuple[str, Tally]]:
    """Without any step first, then by the policy's order, then what no policy names any more."""
    places = {key: place for place, key in enumerate(["", *titles])}
    for key in sorted(report.by_step, key=lambda key: (places.get(key, len(places)), key)):
        yield (titles.get(key, key) if key else _NONE), report.by_step[key]


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    rule = ("---", "---:", "---:", "---:")
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))


def _fitting(lines: list[str]) -> str:
    """As many whole lines as a section holds."""
    text = "\n".join(lines)
    while len(text) > LONGEST_SECTION:
        lines = lines[:-1]
        text = "\n".join([*lines, _REST])
    return text


def _one_line(tally: Tally) -> str:
    return f"{tally.count} ({amounts(tally)})" if tally.count else "none"


def _period(report: Recovery) -> str:
    return f"{report.since:{_DAY}} to {report.until:{_DAY} %H:%M} UTC"


def _days(report: Recovery) -> str:
    return span_in_words(report.until - report.since)
