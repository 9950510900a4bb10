"""How the command line fails: an error of ours is its message and its remedy, never a traceback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from order_to_cash.domain.errors import O2CError


class O2CGroup(TyperGroup):
    """Prints an O2CError and ends with status 1; `--debug` shows the traceback instead."""

    def invoke(self, ctx: Any) -> Any:
        from order_to_cash.domain.errors import O2CError

        try:
            return super().invoke(ctx)
        except O2CError as error:
            if ctx.params.get("debug"):
                raise
            show_error(error)
            raise typer.Exit(1) from None


def show_error(error: O2CError) -> None:
    """What happened, to which record, what to do: on standard error."""
    about = ", ".join(f"{name} {value}" for name, value in error.ids.items())
    typer.secho(f"{error.message} [{error.code}]", fg="red", err=True)
    if about:
        typer.echo(f"  record: {about}", err=True)
    if error.remedy:
        typer.echo(f"  to do:  {error.remedy}", err=True)
