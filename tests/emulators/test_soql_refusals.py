"""What SOQL refuses: always an error with the org's code, never an empty result in its place."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from simple_salesforce.exceptions import SalesforceMalformedRequest

from tests.emulators.salesforce_client import Client, Emulated, content, emulated


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulated]:
    with emulated() as running:
        yield running


@pytest.fixture(scope="module")
def sf(emulator: Emulated) -> Client:
    return emulator.client()


def refusal(sf: Client, query: str) -> tuple[str, str]:
    with pytest.raises(SalesforceMalformedRequest) as caught:
        sf.query(query)
    (error,) = content(caught)
    return error["errorCode"], error["message"]


@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        ("SELECT", "MALFORMED_QUERY", "unexpected token: '<EOF>'"),
        ("SELECT Id FROM", "MALFORMED_QUERY", "unexpected token: '<EOF>'"),
        ("SELECT Id Account", "MALFORMED_QUERY", "unexpected token"),
        ("SELECT Id, FROM Account", "MALFORMED_QUERY", "unexpected token"),
        ("SELECT * FROM Account", "MALFORMED_QUERY", "unexpected token: '*'"),
        ("SELECT Id FROM Account WHERE", "MALFORMED_QUERY", "unexpected token"),
        ("SELECT Id FROM Account WHERE Name", "MALFORMED_QUERY", "unexpected token"),
        ("SELECT Id FROM Account WHERE Name = Acme", "MALFORMED_QUERY", "unexpected token: 'Acme'"),
        ("SELECT Id FROM Account WHERE Name = 'Acme", "MALFORMED_QUERY", "not closed"),
        ("SELECT Id FROM Account WHERE Name = 'a\\q'", "MALFORMED_QUERY", "Illegal character sequence"),
        ("SELECT Id FROM Account WHERE Name IN ()", "MALFORMED_QUERY", "unexpected token: ')'"),
        (
            "SELECT Id FROM Account WHERE Name = 'a' AND Name = 'b' OR Name = 'c'",
            "MALFORMED_QUERY",
            "unexpected token: 'OR'",
        ),
        ("SELECT Id FROM Account WHERE COUNT(Id) > 1", "MALFORMED_QUERY", "not allowed in WHERE"),
        ("SELECT TYPEOF What WHEN Account THEN Name END FROM Task", "MALFORMED_QUERY", "TYPEOF"),
        ("SELECT toLabel(StageName) FROM Opportunity", "MALFORMED_QUERY", "toLabel"),
        ("SELECT Id FROM Account USING SCOPE mine", "MALFORMED_QUERY", "USING"),
        ("SELECT Id FROM Account WITH SECURITY_ENFORCED", "MALFORMED_QUERY", "WITH"),
        ("SELECT Id FROM Account FOR UPDATE", "MALFORMED_QUERY", "FOR"),
        ("SELECT Id FROM Account LIMIT -1", "MALFORMED_QUERY", "-1"),
        ("SELECT Name, COUNT(Id) FROM Account", "MALFORMED_QUERY", "must be grouped or aggregated: Name"),
        ("SELECT Name n FROM Account", "MALFORMED_QUERY", "aliasing"),
        ("SELECT Name, Name FROM Account", "MALFORMED_QUERY", "duplicate field selected: Name"),
        ("SELECT SUM(Name) FROM Account", "MALFORMED_QUERY", "does not support aggregate operator SUM"),
        ("SELECT FIELDS(ALL) FROM Account", "MALFORMED_QUERY", "LIMIT"),
        ("SELECT Nope FROM Account", "INVALID_FIELD", "No such column 'Nope' on entity 'Account'."),
        ("SELECT Id FROM Account WHERE Nope__c = 1", "INVALID_FIELD", "No such column 'Nope__c'"),
        ("SELECT Id FROM Account ORDER BY Nope", "INVALID_FIELD", "No such column 'Nope'"),
        ("SELECT Owner.Nope FROM Account", "INVALID_FIELD", "No such column 'Nope' on entity 'User'"),
        ("SELECT Boss.Name FROM Account", "INVALID_FIELD", "Didn't understand relationship 'Boss'"),
        ("SELECT What.StageName FROM Task", "INVALID_FIELD", "No such column 'StageName' on entity 'Name'"),
        ("SELECT (SELECT Id FROM Nopes) FROM Account", "INVALID_TYPE", "relationship 'Nopes' in FROM part"),
        ("SELECT Id FROM Stripe_Invoice__c", "INVALID_TYPE", "sObject type 'Stripe_Invoice__c' is not"),
        ("SELECT Id FROM Account WHERE Description = 'x'", "INVALID_FIELD", "can not be filtered"),
        ("SELECT Id FROM Account ORDER BY Description", "INVALID_FIELD", "can not be sorted"),
        ("SELECT Id FROM Opportunity WHERE Amount = '5'", "INVALID_FIELD", "must be of type double"),
        ("SELECT Id FROM Opportunity WHERE IsWon = 'true'", "INVALID_FIELD", "must be of type boolean"),
        (
            "SELECT Id FROM Opportunity WHERE CloseDate = '2026-01-01'",
            "INVALID_FIELD",
            "must be of type date",
        ),
        ("SELECT Id FROM Opportunity WHERE CreatedDate > 2026-01-01", "INVALID_FIELD", "type dateTime"),
        ("SELECT Id FROM Opportunity WHERE Name = 5", "INVALID_FIELD", "type string and should be enclosed"),
        ("SELECT Id FROM Opportunity WHERE CloseDate > 2026-02-30", "MALFORMED_QUERY", "Invalid date"),
        ("SELECT Id FROM Account WHERE Id = 'x'", "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: x"),
        ("SELECT Id FROM Account WHERE Id LIKE '001%'", "INVALID_QUERY_FILTER_OPERATOR", "invalid operator"),
        ("SELECT Id FROM Opportunity WHERE IsWon > false", "INVALID_QUERY_FILTER_OPERATOR", "boolean"),
        ("SELECT Id FROM Account OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE", "offset allowed is 2000"),
    ],
)
def test_a_query_is_refused_with_the_orgs_code(sf: Client, query: str, code: str, words: str) -> None:
    found, message = refusal(sf, query)
    assert found == code
    assert words in message


def test_the_message_points_at_the_mistake(sf: Client) -> None:
    _, message = refusal(sf, "SELECT Id,\n Nope FROM Account")
    assert message.startswith("\n Nope FROM Account\n ^\nERROR at Row:2:Column:2\nNo such column")


def test_a_query_that_is_too_long_is_refused(emulator: Emulated, sf: Client) -> None:
    long_list = ", ".join(f"'{number:018d}'" for number in range(1_000))
    with pytest.raises(Exception, match="URI Too Long"):
        sf.query(f"SELECT Id FROM Account WHERE Name IN ({long_list})")


def test_pages_follow_each_other_until_done(emulator: Emulated, sf: Client) -> None:
    emulator.seed(*({"type": "Account", "Name": f"Company {number:04d}"} for number in range(4_500)))
    first = sf.query("SELECT Id, Name FROM Account ORDER BY Name")
    assert (first["totalSize"], first["done"], len(first["records"])) == (4_500, False, 2_000)
    assert first["nextRecordsUrl"].startswith("/services/data/v66.0/query/01g")
    second = sf.query_more(first["nextRecordsUrl"], identifier_is_url=True)
    last = sf.query_more(second["nextRecordsUrl"], identifier_is_url=True)
    assert (len(second["records"]), len(last["records"]), last["done"]) == (2_000, 500, True)
    assert "nextRecordsUrl" not in last
    small = sf.query("SELECT Id FROM Account", headers={"Sforce-Query-Options": "batchSize=250"})
    assert len(small["records"]) == 250
    assert len(sf.query_all("SELECT Id FROM Account")["records"]) == 4_500


def test_an_unknown_cursor_is_refused(sf: Client) -> None:
    with pytest.raises(SalesforceMalformedRequest, match="INVALID_QUERY_LOCATOR"):
        sf.query_more("01gHs0000000000IAA-2000")
