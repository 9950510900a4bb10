"""A policy from data that people wrote, and what is wrong with it in plain words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from order_to_cash.domain.dunning.policy import DunningPolicy
from order_to_cash.domain.errors import ConfigurationError

_MOST_FAULTS = 10


def read_policy(data: object) -> DunningPolicy:
    """The policy that `data` describes: plain JSON, or YAML read into the same shape.

    Raises ConfigurationError (`policy_invalid`), which names the step and the field of each fault.
    """
    if not isinstance(data, Mapping):
        raise _invalid(["it must be a mapping with the keys charged and sent"])
    try:
        return DunningPolicy.model_validate(data)
    except ValidationError as error:
        faults = dict.fromkeys(_in_words(fault, data) for fault in _true(error.errors(include_url=False)))
        raise _invalid(list(faults)) from None


def _true(faults: Sequence[ErrorDetails]) -> Iterator[ErrorDetails]:
    """Without lists that are too short only because pydantic counts their valid entries (2.14)."""
    places = [fault["loc"] for fault in faults]
    for fault in faults:
        at = fault["loc"]
        if fault["type"] != "too_short" or not any(place[: len(at)] == at != place for place in places):
            yield fault


def _invalid(faults: Sequence[str]) -> ConfigurationError:
    told = [
        *faults[:_MOST_FAULTS],
        *([f"and {len(faults) - _MOST_FAULTS} more"] if faults[_MOST_FAULTS:] else []),
    ]
    return ConfigurationError(
        f"The dunning policy is not valid: {'; '.join(told)}.",
        code="policy_invalid",
        remedy="Correct the policy; `o2c ladder policy` prints one that is valid.",
    )


def _in_words(fault: ErrorDetails, data: Mapping[Any, Any]) -> str:
    where, field = _place(fault["loc"], data)
    said = _said(fault)
    if not where and not field:
        return said
    return f"{where}{', ' if where and field else ''}{field}: {said}"


def _place(loc: tuple[int | str, ...], data: Mapping[Any, Any]) -> tuple[str, str]:
    """The step, named as the reader would, and the path of the field within it."""
    if len(loc) >= 3 and loc[1] == "steps" and isinstance(loc[2], int):
        return _step_name(str(loc[0]), loc[2], data), _path(loc[3:])
    return "", _path(loc)


def _step_name(kind: str, index: int, data: Mapping[Any, Any]) -> str:
    numbered = f"step {index + 1} of {kind}"
    try:
        key = data[kind]["steps"][index]["key"]
    except (KeyError, IndexError, TypeError):
        return numbered
    return f"step {key[:40]} ({numbered[5:]})" if isinstance(key, str) and key.strip() else numbered


def _path(loc: tuple[int | str, ...]) -> str:
    parts = [f"{part + 1}" if isinstance(part, int) else part for part in loc]
    return " ".join(parts)


def _said(fault: ErrorDetails) -> str:
    words = _WORDS.get(fault["type"])
    if words is not None:
        return words.format(**fault.get("ctx", {}))
    return fault["msg"].removeprefix("Value error, ").removeprefix("Input ").rstrip(".")


_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "no such field",
    "enum": "must be {expected}",
    "string_pattern_mismatch": "must be small letters, digits and dashes, beginning with a letter",
    "too_short": "needs at least {min_length}",
    "too_long": "has more than {max_length}",
    "model_type": "must be a mapping of fields",
    "dict_type": "must be a mapping of fields",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
}
