"""What commands print: plain tables that survive a pipe, and lines that say ok or what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import typer


@dataclass(frozen=True)
class Finding:
    """One line of a diagnosis. `remedy` is empty when it is fine."""

    ok: bool
    subject: str
    message: str
    remedy: str = ""


def show_findings(findings: Iterable[Finding]) -> int:
    """Print each finding; 1 when any failed, else 0."""
    status = 0
    for finding in findings:
        mark = typer.style(" ok ", fg="green") if finding.ok else typer.style("FAIL", fg="red", bold=True)
        typer.echo(f"{mark}  {finding.subject:<11} {finding.message}")
        if finding.remedy:
            typer.echo(f"      {'':<11} to do: {finding.remedy}")
        if not finding.ok:
            status = 1
    return status


def show_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table with left-aligned columns, as wide as their widest cell."""
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    for row in (headings, ["─" * width for width in widths], *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo("  ".join(cells).rstrip())
