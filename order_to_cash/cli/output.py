"""What commands print: plain tables that survive a pipe, and lines that say ok or what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import typer


@dataclass(frozen=True)
class Finding:
    """One line of a diagnosis. `remedy` is empty when it is fine; beside `ok` it is only advice."""

    ok: bool
    subject: str
    message: str
    remedy: str = ""


def show_findings(findings: Iterable[Finding]) -> int:
    """Print each finding; 1 when any failed, else 0."""
    status = 0
    for finding in findings:
        typer.echo(f"{_mark(finding)}  {finding.subject:<11} {finding.message}")
        if finding.remedy:
            typer.echo(f"      {'':<11} {'advice' if finding.ok else 'to do'}: {finding.remedy}")
        if not finding.ok:
            status = 1
    return status


def _mark(finding: Finding) -> str:
    if not finding.ok:
        return typer.style("FAIL", fg="red", bold=True)
    return typer.style("note", fg="yellow") if finding.remedy else typer.style(" ok ", fg="green")


def show_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table with left-aligned columns, as wide as their widest cell."""
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    for row in (headings, ["─" * width for width in widths], *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo("  ".join(cells).rstrip())


def show_remedies(found: Iterable[tuple[str, str]]) -> None:
    """What to do about which record, from pairs of remedy and record: each remedy once. Nothing where there is none."""
    concerned: dict[str, list[str]] = {}
    for remedy, record in found:
        if remedy:
            concerned.setdefault(remedy, []).append(record)
    if not concerned:
        return
    typer.echo("\nWhat to do:")
    for remedy, records in concerned.items():
        typer.echo(f"  {remedy}\n    {', '.join(dict.fromkeys(records))}")
