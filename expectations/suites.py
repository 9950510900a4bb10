"""Reads the hand-written suites beside this module and checks that they can be run record by record.

A suite is plain Great Expectations 1.x JSON that any tool can load. What we add stands in its `meta`:

- of the suite: `record_id` and `part_id` (columns that name the record and the line within it) and `columns`
  (name → ``string``, ``integer`` or ``boolean``; a trailing ``?`` says that text or number may be absent);
- of each expectation: `code` (the reason code of the quarantine; unique with its column), `column`, `why`,
  `remedy`, `per` (``record`` or ``line``: what a failing row accuses) and `observe` (columns whose values may
  be shown to people).

Great Expectations is not imported here: the codes of a suite are known without it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from order_to_cash.domain.errors import ConfigurationError

FOLDER = Path(__file__).parent
SEVERITIES = (
    "critical",
    "warning",
    "info",
)  # Great Expectations' own scale; only critical holds a record back
_TYPES: Mapping[str, type] = {"string": str, "integer": int, "boolean": bool}


@dataclass(frozen=True)
class Column:
    """What a column holds. Text that is empty counts as absent, as it does in Salesforce."""

    name: str
    type_name: str
    nullable: bool

    def accepts(self, kind: type) -> bool:
        """Whether a value of Python type `kind` belongs here. A bool is no integer, a float nothing."""
        if kind is type(None):
            return self.nullable
        if self.type_name == "integer" and issubclass(kind, bool):
            return False
        return issubclass(kind, _TYPES[self.type_name])


@dataclass(frozen=True)
class Rule:
    """One expectation of a suite, as people and the quarantine see it."""

    code: str
    column: str
    severity: str
    why: str
    remedy: str
    per: str
    observe: tuple[str, ...]

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from the other rules of its suite."""
        return self.code, self.column


@dataclass(frozen=True)
class Suite:
    """A checked suite. `definition`: the keyword arguments of ``great_expectations.ExpectationSuite``."""

    name: str
    record_id: str
    part_id: str
    columns: tuple[Column, ...]
    rules: tuple[Rule, ...]
    definition: Mapping[str, Any]

    @property
    def codes(self) -> frozenset[str]:
        return frozenset(rule.code for rule in self.rules)


@cache
def load(name: str, folder: Path = FOLDER) -> Suite:
    """The suite `name`, read once per process.

    Raises:
        ConfigurationError: there is no such suite, or it cannot be run record by record.
    """
    path = folder / f"{name}.json"
    known = sorted(entry.stem for entry in folder.glob("*.json"))
    if name not in known:
        raise ConfigurationError(
            f"There is no expectation suite named {name!r}",
            code="expectation_suite_unknown",
            remedy=f"Known suites: {', '.join(known) or 'none'}.",
        )
    try:
        definition = json.loads(path.read_text(encoding="utf-8"))
        meta = definition["meta"]
        columns = tuple(_column(column, kind) for column, kind in meta["columns"].items())
        rules = tuple(_rule(entry) for entry in definition["expectations"])
        suite = Suite(
            name=name,
            record_id=meta["record_id"],
            part_id=meta.get("part_id", ""),
            columns=columns,
            rules=rules,
            definition=definition,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise broken(name, f"it cannot be read ({type(error).__name__}: {error})") from error
    _check(suite)
    return suite


def broken(name: str, what: str) -> ConfigurationError:
    """The error for a suite that cannot be trusted to judge."""
    return ConfigurationError(
        f"Expectation suite {name!r}: {what}",
        code="expectation_suite_broken",
        remedy=f"Nothing of the batch was judged. Correct expectations/{name}.json.",
    )


def _column(name: str, kind: str) -> Column:
    type_name = kind.removesuffix("?")
    if type_name not in _TYPES:
        raise ValueError(f"column {name} has the unknown type {kind}")
    if kind == "boolean?":  # an expectation passes over what is null: a missing verdict would be a good one
        raise ValueError(f"column {name} is a verdict and must be given")
    return Column(name=name, type_name=type_name, nullable=kind.endswith("?"))


def _rule(entry: Mapping[str, Any]) -> Rule:
    meta = entry["meta"]
    return Rule(
        code=meta["code"],
        column=meta["column"],
        severity=entry["severity"],
        why=meta["why"],
        remedy=meta["remedy"],
        per=meta["per"],
        observe=tuple(meta["observe"]),
    )


def _check(suite: Suite) -> None:
    names = {column.name for column in suite.columns}
    faults = [f"{suite.record_id!r} is not among its columns"] if suite.record_id not in names else []
    if len({rule.key for rule in suite.rules}) != len(suite.rules):
        faults.append("two expectations carry one code for one column")
    for rule, entry in zip(suite.rules, suite.definition["expectations"], strict=True):
        kwargs = entry["kwargs"]
        if kwargs.get("column") != rule.column:
            faults.append(f"{rule.code} judges another column than its meta names")
        if unknown := {rule.column, *rule.observe} - names:
            faults.append(f"{rule.code} names unknown columns: {', '.join(sorted(unknown))}")
        if rule.per not in {"record", "line"} or (rule.per == "line" and not suite.part_id):
            faults.append(f"{rule.code} accuses neither a record nor a line")
        if rule.severity not in SEVERITIES:
            faults.append(f"{rule.code} has the unknown severity {rule.severity!r}")
        if "mostly" in kwargs:  # a share of bad rows that passes would let single records through
            faults.append(f"{rule.code} uses `mostly`")
    if faults:
        raise broken(suite.name, "; ".join(faults))
