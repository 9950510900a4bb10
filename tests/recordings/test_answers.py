"""Requests recorded against real orgs, sent to the emulator again: the answers have the same shape."""

from __future__ import annotations

import pytest

from tests.recordings.org import EmulatedOrg, difference
from tests.recordings.wheel import Recorded, exchanges

# Refused here though an org answers: objects outside order-to-cash, fields of Data.com, TYPEOF.
REFUSED = ("RecordType", "CleanStatus", "TYPEOF ", "'Lead'", "'Event'")
SKIPPED_PATHS = ("/tooling", "/connect")
# Bodies trimmed by hand (test_describe compares whole ones); the refusals are compared word by word below.
EDITED = ("ManualEdit", "test_count_sobjects__errors")


def comparable() -> list[Recorded]:
    """One of each kind of request that both sides know."""
    found: dict[str, Recorded] = {}
    for each in exchanges():
        sent = f"{each.query} {each.sent}"
        other = each.path.startswith(SKIPPED_PATHS) or each.path.endswith("/describe")
        edited = each.cassette.startswith(EDITED) or any(word in each.cassette for word in EDITED)
        if not other and not edited and not any(word in sent for word in REFUSED):
            found.setdefault(f"{each.method} {each.path} {sent}", each)
    return list(found.values())


def test_there_is_enough_to_compare() -> None:
    """A wheel whose cassettes moved would leave nothing to compare, and nobody would notice."""
    kinds = {(each.method, each.path.partition("/")[2].partition("/")[0]) for each in comparable()}
    assert {("GET", "query"), ("POST", "composite"), ("PATCH", "composite"), ("POST", "sobjects")} <= kinds
    assert len(comparable()) >= 40


@pytest.mark.parametrize(
    "recorded", comparable(), ids=lambda each: f"{each.method} {each.path} {each.cassette[-20:]}"
)
def test_a_recorded_request_is_answered_alike(org: EmulatedOrg, recorded: Recorded) -> None:
    deal = {"type": "Opportunity", "StageName": "Prospecting", "CloseDate": "2026-12-31"}
    org.seed(
        [
            {"type": "Account", "ref": "account", "Name": "Stand-in", "AccountNumber": "420"},
            {"type": "Contact", "ref": "contact", "LastName": "Stand-in", "AccountId": "@account"},
            {**deal, "Name": "Stand-in", "AccountId": "@account", "ContactId": "@contact"},
        ]
    )
    answer = org.repeat(recorded)
    assert answer.status_code == recorded.status, answer.text
    assert difference(recorded.body, answer.json()) == []


@pytest.mark.parametrize(
    "cassette",
    ["TestCountSObjects.test_count_sobjects__errors", "TestCompositeParallelSalesforce.test_errors"],
)
def test_recorded_refusals_are_repeated_word_by_word(org: EmulatedOrg, cassette: str) -> None:
    recorded = next(each for each in exchanges() if each.cassette == cassette and "composite" in each.path)
    theirs = recorded.body["compositeResponse"]
    ours = org.repeat(recorded).json()["compositeResponse"]
    refused = [each for each in theirs if each["httpStatusCode"] >= 400]
    assert refused
    assert [each for each in ours if each["httpStatusCode"] >= 400] == refused
