"""Suites are checked before anything is judged by them."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from expectations import suites
from order_to_cash.domain.errors import ConfigurationError
from order_to_cash.domain.problems import Reason, problem

SOUND: dict[str, Any] = {
    "name": "small",
    "meta": {
        "record_id": "id",
        "part_id": "part",
        "columns": {"id": "string", "part": "string?", "n": "integer"},
    },
    "expectations": [
        {
            "type": "expect_column_values_to_not_be_null",
            "severity": "critical",
            "kwargs": {"column": "n"},
            "meta": {
                "code": "n_missing",
                "column": "n",
                "per": "line",
                "observe": ["n"],
                "why": "There is no n",
                "remedy": "Give it one.",
            },
        }
    ],
}


def load(folder: Path, definition: object) -> suites.Suite:
    (folder / "small.json").write_text(json.dumps(definition))
    return suites.load("small", folder)


def test_a_sound_suite_is_read(tmp_path: Path) -> None:
    suite = load(tmp_path, SOUND)
    assert suite.codes == {"n_missing"}
    assert suite.rules[0].observe == ("n",)
    assert (suite.record_id, suite.part_id) == ("id", "part")


def test_an_unknown_suite_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="Known suites: billing_record") as caught:
        suites.load("nothing_like_it")
    assert caught.value.code == "expectation_suite_unknown"


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("meta", "columns", "n"), "float", "unknown type float"),
        (("meta", "columns", "n"), "boolean?", "a verdict and must be given"),
        (("meta", "record_id"), "nowhere", "'nowhere' is not among its columns"),
        (("meta",), {}, "KeyError"),
        (("expectations", 0, "meta", "code"), None, "KeyError"),
        (("expectations", 0, "meta", "column"), "part", "judges another column"),
        (("expectations", 0, "meta", "observe"), ["secret"], "unknown columns: secret"),
        (("expectations", 0, "meta", "per"), "page", "neither a record nor a line"),
        (("expectations", 0, "severity"), "fatal", "unknown severity 'fatal'"),
        (("expectations", 0, "kwargs"), {"column": "n", "mostly": 0.9}, "uses `mostly`"),
    ],
)
def test_a_faulty_suite_is_refused(tmp_path: Path, path: tuple[Any, ...], value: Any, says: str) -> None:
    definition = copy.deepcopy(SOUND)
    spot = definition
    for step in path[:-1]:
        spot = spot[step]
    if value is None:
        del spot[path[-1]]
    else:
        spot[path[-1]] = value
    with pytest.raises(ConfigurationError, match=says) as caught:
        load(tmp_path, definition)
    assert caught.value.code == "expectation_suite_broken"


def test_two_expectations_of_one_code_and_column_are_refused(tmp_path: Path) -> None:
    definition = copy.deepcopy(SOUND)
    definition["expectations"] *= 2
    with pytest.raises(ConfigurationError, match="two expectations carry one code for one column"):
        load(tmp_path, definition)


def test_a_suite_that_is_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "small.json").write_text("{")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        suites.load("small", tmp_path)


@pytest.mark.parametrize("path", sorted(suites.FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_every_suite_of_the_house_is_sound_and_speaks_to_people(path: Path) -> None:
    suite = suites.load(path.stem)
    assert suite.definition["name"] == path.stem
    for rule in suite.rules:
        assert rule.why, rule.code
        assert not rule.why.endswith("."), rule.code  # what was seen follows it in brackets
        assert rule.remedy.endswith("."), rule.code


def test_the_billing_suite_gives_the_reasons_and_remedies_of_the_domain() -> None:
    for rule in suites.load("billing_record").rules:
        assert rule.remedy == problem(Reason(rule.code), "").remedy, rule.code
