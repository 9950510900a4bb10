"""Nonsense by the thousand: the org answers or refuses it, and never breaks."""

from __future__ import annotations

import random
from typing import Any

import pytest

from emulators.engine import Clock
from emulators.salesforce.api import Api, Ask
from emulators.salesforce.errors import OrgError
from emulators.salesforce.org import Org
from emulators.salesforce.routes import ROUTES
from emulators.salesforce.seeding import seed
from emulators.salesforce.settings import SalesforceSettings
from emulators.salesforce.soql.execute import run

WORDS = r"""
    SELECT FROM WHERE AND OR NOT IN LIKE ORDER BY GROUP HAVING LIMIT OFFSET Id Name Account Account.Name ( ) , =
    Opportunity Amount CloseDate CreatedDate IsWon != < >= '001' 'x' 5 2026-01-01 TODAY LAST_N_DAYS:3 null true
    COUNT() COUNT(Id) SUM(Amount) MAX(Name) FIELDS(ALL) What.Name Task BillingAddress Description DESC NULLS LAST
    1 * ' \ .
    """.split()  # noqa: SIM905 - fifty words read better as text
LEAVES: list[Any] = [None, 1, 1.5, True, "x", "001Hs0000000001IAA", "2026-13-45", {"type": "Account"}, [None]]
KEYS = ["records", "allOrNone", "Name", "OwnerId", "attributes", "Id", "compositeRequest", "batchRequests"]
KEYS += ["referenceId", "method", "url", "body", "ids", "fields", "Parent"]
PATHS = [
    ("POST", "sobjects/Account"),
    ("PATCH", "sobjects/Account/001Hs0000000001IAA"),
    ("PATCH", "sobjects/Contact/Email/a@b.example"),
    ("POST", "composite/sobjects"),
    ("PATCH", "composite/sobjects"),
    ("PATCH", "composite/sobjects/Contact/Email"),
    ("POST", "composite/sobjects/Account"),
    ("DELETE", "composite/sobjects"),
    ("POST", "composite"),
    ("POST", "composite/batch"),
    ("POST", "metadata/deployRequest"),
    ("GET", "query/nothing"),
]


@pytest.fixture
def org() -> Org:
    made = Org(Clock(), SalesforceSettings())
    won = {"type": "Opportunity", "Name": "d", "StageName": "Closed Won", "CloseDate": "2026-01-01"}
    account = {"type": "Account", "ref": "a", "Name": "x"}
    seed(made, {"records": [account, {**won, "AccountId": "@a"}, {"type": "Contact", "LastName": "z"}]})
    return made


def query(dice: random.Random) -> str:
    def words(count: int) -> str:
        return " ".join(dice.choices(WORDS, k=count))

    if dice.random() < 0.3:
        return words(dice.randint(1, 14))
    head = f"SELECT {words(1)} FROM {dice.choice(['Account', 'Opportunity', 'Task', 'Contact'])}"
    tail = f" ORDER BY {words(1)}" if dice.random() < 0.3 else ""
    return f"{head} WHERE {words(3)}{tail}" if dice.random() < 0.7 else f"{head} {words(2)}"


def body(dice: random.Random, depth: int = 0) -> Any:
    if depth > 3 or dice.random() < 0.3:
        return dice.choice(LEAVES)
    if dice.random() < 0.6:
        return {dice.choice(KEYS): body(dice, depth + 1) for _ in range(dice.randint(0, 4))}
    return [body(dice, depth + 1) for _ in range(dice.randint(0, 3))]


def test_any_text_is_answered_or_refused(org: Org) -> None:
    dice = random.Random(20261120)
    outcomes = set()
    for _ in range(5_000):
        try:
            found = run(org.world(org.access(org.user_id)), query(dice), "v66.0")
            outcomes.add("answered")
            assert all(found.render(row) for row in found.rows)
        except OrgError as refused:
            outcomes.add(refused.code)
    assert {"answered", "MALFORMED_QUERY", "INVALID_FIELD"} <= outcomes


def test_any_body_is_answered_or_refused(org: Org) -> None:
    dice = random.Random(20261120)
    api = Api(org, ROUTES)
    statuses = set()
    for _ in range(5_000):
        method, path = dice.choice(PATHS)
        content = body(dice)
        if dice.random() < 0.5:
            record = {"attributes": {"type": "Account"}, "Name": body(dice, 2)}
            content = {"records": [record], "allOrNone": body(dice, 3)}
        ask = Ask(method, tuple(path.split("/")), "v66.0", org.user_id, {"ids": "a,b"}, content)
        statuses.add(api.answer(ask).status)
    assert statuses <= {200, 201, 204, 400, 404}
