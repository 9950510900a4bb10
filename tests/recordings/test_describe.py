"""The emulator's objects against the describes of real orgs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.recordings.org import EmulatedOrg, difference
from tests.recordings.wheel import Recorded, matching

OBJECTS = ["Account", "Contact", "Case", "Opportunity", "OpportunityContactRole"]
# Fields of ours that the recorded orgs lack: they come with features that those orgs did not have.
FEATURES = {
    "Account": set[str](),
    "Contact": {"DoNotCall", "HasOptedOutOfEmail"},
    "Case": set[str](),
    "Opportunity": {"ContractId"},
    "OpportunityContactRole": set[str](),
}
# Keys that came with later API versions than some of the recordings have.
NEWER = {"associateEntityType", "associateParentEntity", "sobjectDescribeOption"}
# Traits that mean behaviour; labels and picklist values are each org's own.
TRAITS = [
    "type",
    "createable",
    "updateable",
    "nillable",
    "scale",
    "nameField",
    "calculated",
    "unique",
    "permissionable",
]


def recorded_describe(name: str) -> Recorded:
    """The untouched describe; others were trimmed by hand for their tests."""
    found = [each for each in matching("GET", f"/sobjects/{name}/describe") if len(each.body["fields"]) > 2]
    return next(each for each in found if "PersonAccount" not in each.cassette)


def fields_of(body: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {field["name"]: field for field in body["fields"]}


@pytest.mark.parametrize("name", OBJECTS)
def test_a_describe_has_the_keys_and_types_of_a_real_one(org: EmulatedOrg, name: str) -> None:
    theirs, ours = recorded_describe(name).body, org.send("GET", f"/sobjects/{name}/describe").json()
    newer = {key: ours[key] for key in NEWER}
    # Which `urls` there are depends on the features of the org and the object.
    assert difference({**newer, **theirs, "fields": [], "urls": {}}, {**ours, "fields": [], "urls": {}}) == []
    assert {"sobject", "describe", "rowTemplate"} <= ours["urls"].keys() & theirs["urls"].keys()


@pytest.mark.parametrize("name", OBJECTS)
def test_each_described_field_has_the_keys_and_types_of_a_real_one(org: EmulatedOrg, name: str) -> None:
    pattern = recorded_describe(name).body["fields"][0]
    for field in org.send("GET", f"/sobjects/{name}/describe").json()["fields"]:
        assert difference({**pattern, "defaultValue": None}, field, field["name"]) == []


@pytest.mark.parametrize("name", OBJECTS)
def test_standard_fields_are_what_they_are_in_a_real_org(org: EmulatedOrg, name: str) -> None:
    theirs = fields_of(recorded_describe(name).body)
    ours = fields_of(org.send("GET", f"/sobjects/{name}/describe").json())
    assert ours.keys() - theirs.keys() == FEATURES[name]
    differing = [
        f"{field}.{trait}: {theirs[field][trait]} there, {ours[field][trait]} here"
        for field in sorted(ours.keys() & theirs.keys())
        for trait in TRAITS
        if theirs[field][trait] != ours[field][trait]
    ]
    assert differing == []


@pytest.mark.parametrize("name", OBJECTS)
def test_parents_and_lengths_are_those_of_a_real_org(org: EmulatedOrg, name: str) -> None:
    theirs = fields_of(recorded_describe(name).body)
    ours = fields_of(org.send("GET", f"/sobjects/{name}/describe").json())
    for field in sorted(ours.keys() & theirs.keys()):
        assert theirs[field]["relationshipName"] == ours[field]["relationshipName"], field
        assert set(ours[field]["referenceTo"]) <= set(theirs[field]["referenceTo"]), field
        if theirs[field]["type"] != "picklist":
            assert theirs[field]["length"] == ours[field]["length"], field


@pytest.mark.parametrize("name", OBJECTS)
def test_child_relationships_are_named_as_in_a_real_org(org: EmulatedOrg, name: str) -> None:
    def named(body: dict[str, Any]) -> set[tuple[str, str, str]]:
        return {
            (each["childSObject"], each["field"], each["relationshipName"])
            for each in body["childRelationships"]
            if each["relationshipName"]
        }

    theirs, ours = recorded_describe(name).body, org.send("GET", f"/sobjects/{name}/describe").json()
    known_children = {child for child, _, _ in named(theirs)}
    assert {each for each in named(ours) - named(theirs) if each[0] in known_children} == set()


def test_the_global_describe_lists_objects_as_a_real_one(org: EmulatedOrg) -> None:
    theirs = next(matching("GET", "/sobjects")).body
    ours = org.send("GET", "/sobjects").json()
    assert difference({**theirs, "sobjects": []}, {**ours, "sobjects": []}) == []
    by_name = {each["name"]: each for each in theirs["sobjects"]}
    for each in ours["sobjects"]:
        if each["name"] in by_name:
            assert difference({**by_name[each["name"]], "urls": {}}, {**each, "urls": {}}, each["name"]) == []
            assert by_name[each["name"]]["keyPrefix"] == each["keyPrefix"]
