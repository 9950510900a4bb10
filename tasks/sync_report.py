"""A batch as an artifact: what it did, and which events wait for a person."""

from __future__ import annotations

from collections.abc import Sequence

from prefect.artifacts import acreate_markdown_artifact

from tasks.sync_outcomes import SyncSummary

KEY = "stripe-events"
_SHOWN = 100


async def show_summary(summary: SyncSummary) -> None:
    """Numbers, reasons and remedies. Ids and codes only: nothing personal."""
    await acreate_markdown_artifact(
        key=KEY, markdown=summary_markdown(summary), description="What became of these Stripe events."
    )


def summary_markdown(summary: SyncSummary) -> str:
    """The summary as Markdown."""
    numbers = _table(
        ("Events", "Done", "Parked", "Tried again", "Ignored", "Records written", "Salesforce calls"),
        [
            tuple(
                str(count)
                for count in (
                    *(summary.events, summary.done, len(summary.parked), summary.retried),
                    *(summary.ignored, summary.written, summary.calls),
                )
            )
        ],
    )
    parts = [f"# {summary.in_words}", numbers]
    if summary.parked:
        rows = [
            (f"`{one.event_id}`", one.type, one.object_id, f"`{one.code}`", one.reason, one.remedy)
            for one in summary.parked[:_SHOWN]
        ]
        parts += ["## Parked", _table(("Event", "Type", "Object", "Code", "Reason", "What to do"), rows)]
        if len(summary.parked) > _SHOWN:
            parts.append(f"… and {len(summary.parked) - _SHOWN} more: `o2c events list --parked`.")
    if summary.retry_codes:
        counts = [(f"`{code}`", str(count)) for code, count in summary.retry_codes.most_common()]
        parts += ["## Tried again later", _table(("Code", "Events"), counts)]
    return "\n\n".join(parts)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in cells)} |" for cells in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
