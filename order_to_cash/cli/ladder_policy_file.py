"""A dunning policy from a file that a person wrote: JSON, or YAML by its name's ending."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from order_to_cash.domain.dunning.policy import DunningPolicy
from order_to_cash.domain.dunning.reading import read_policy
from order_to_cash.domain.errors import ConfigurationError

_LARGEST_BYTES = 1_000_000


class _Wrong(Exception):  # noqa: N818 - what is wrong, in a sentence
    pass


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """What stands in a file: `data` as it was written, and the policy that it describes."""

    data: Mapping[str, Any]
    policy: DunningPolicy


def read_policy_file(path: Path, argument: str = "--policy") -> PolicyFile:
    """Raises BadParameter for `argument`, which names the step and field, or the line, of what is wrong."""
    try:
        return _read(path)
    except _Wrong as error:
        raise typer.BadParameter(str(error), param_hint=argument) from None


def _read(path: Path) -> PolicyFile:
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise _Wrong(f"{path.name} is larger than a policy can be.")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _Wrong(f"{path.name} cannot be read ({type(error).__name__}).") from None
    data = _yaml(path, text) if path.suffix.lower() in {".yaml", ".yml"} else _json(path, text)
    try:
        return PolicyFile(data, read_policy(data))
    except ConfigurationError as error:
        raise _Wrong(f"{error.message} {error.remedy}") from None


def _json(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise _Wrong(f"{path.name} is no JSON: {error.msg}, line {error.lineno}.") from None
    except (RecursionError, ValueError):
        raise _Wrong(f"{path.name} is no JSON that can be read.") from None


def _yaml(path: Path, text: str) -> Any:
    import yaml

    class Plain(yaml.SafeLoader):
        """Leaves words as they are written: YAML 1.1 takes 17:00 for 1020 and `on` for true. `null` stays null."""

        yaml_implicit_resolvers = {  # noqa: RUF012 - the class variable that PyYAML looks at
            first: [(tag, pattern) for tag, pattern in resolvers if tag.endswith(":null")]
            for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }

    try:
        return yaml.load(text, Loader=Plain)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        raise _Wrong(f"{path.name} is no YAML that can be read{where}.") from None
