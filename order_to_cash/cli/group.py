"""How the command line fails: an error of ours is its message and its remedy, never a traceback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from pydantic import ValidationError

    from order_to_cash.domain.errors import O2CError

# Typer 0.29 hands on what pydantic says of an argument; here it is said as the rest is.
_SAID = {
    "greater_than_equal": "{input} is too small: at least {ge}.",
    "less_than_equal": "{input} is too large: at most {le}.",
    "int_parsing": "{input!r} is no whole number.",
    "float_parsing": "{input!r} is no number.",
}


class O2CGroup(TyperGroup):
    """Prints an O2CError and ends with status 1; `--debug` shows the traceback instead."""

    def invoke(self, ctx: Any) -> Any:
        from order_to_cash.domain.errors import O2CError

        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = _plain(error)
            raise
        except O2CError as error:
            if ctx.params.get("debug"):
                raise
            show_error(error)
            raise typer.Exit(1) from None


def _plain(error: typer.BadParameter) -> str:
    """What is wrong with an argument, in our words where pydantic found it."""
    found = error.__cause__
    if type(found).__name__ == "ValidationError":  # the class would cost help its 300 ms
        first = cast("ValidationError", found).errors(include_url=False)[0]
        if first["type"] in _SAID:
            return _SAID[first["type"]].format(input=first["input"], **first.get("ctx", {}))
    return error.message.replace("Value error, ", "", 1)


def show_error(error: O2CError) -> None:
    """What happened, to which record, what to do: on standard error."""
    about = ", ".join(f"{name} {value}" for name, value in error.ids.items())
    typer.secho(f"{error.message} [{error.code}]", fg="red", err=True)
    if about:
        typer.echo(f"  record: {about}", err=True)
    if error.remedy:
        typer.echo(f"  to do:  {error.remedy}", err=True)
