"""The Salesforce gateway against the emulator: what it asks for, and what it makes of the answers."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from order_to_cash.cli.package import SourcePackage
from order_to_cash.domain.errors import ConfigurationError, FieldRefused, RecordGone
from order_to_cash.domain.records import Environment
from order_to_cash.gateways.salesforce_gateway import SalesforceGateway
from tests.gateways.conftest import World, account, org_of

Make = Callable[..., SalesforceGateway]


def test_numbers_are_exact_in_both_directions(salesforce_world: World, salesforce_gateway: Make) -> None:
    gateway = salesforce_gateway()
    won = {"StageName": "Closed Won", "CloseDate": "2026-11-01"}
    given = [Decimal("0.10"), Decimal("123456789012.34")]
    rows = [{"Name": "Deal", **won, "Amount": amount} for amount in given]
    assert all(result.ok for result in gateway.insert_rows("Opportunity", rows))
    found = gateway.query("SELECT Amount FROM Opportunity ORDER BY Amount")
    amounts = [row["Amount"] for row in found]
    assert amounts == given
    assert not any(isinstance(amount, float) for amount in amounts)


def test_rows_are_plain_at_every_depth(salesforce_world: World, salesforce_gateway: Make) -> None:
    org = org_of(salesforce_world).org
    account_id = org.insert("Account", {"Name": "Acme", "OwnerId": org.user_id})
    org.insert("Contact", {"LastName": "Smith", "AccountId": account_id})
    rows = salesforce_gateway().query(
        "SELECT Id, Owner.Name, (SELECT LastName, Account.Name FROM Contacts), (SELECT Id FROM Opportunities) "
        "FROM Account"
    )
    assert rows == [
        {
            "Id": account_id,
            "Owner": rows[0]["Owner"],
            "Contacts": [{"LastName": "Smith", "Account": {"Name": "Acme"}}],
            "Opportunities": None,
        }
    ]
    assert set(rows[0]["Owner"]) == {"Name"}


def test_pages_are_followed_for_rows_and_their_children(
    salesforce_world: World, salesforce_gateway: Make
) -> None:
    base = "/services/data/v66.0/query"

    def page(name: str, more: str | None, **fields: Any) -> dict[str, Any]:
        record = {"attributes": {"type": "Account"}, "Name": name, **fields}
        return {"totalSize": 2, "done": more is None, "nextRecordsUrl": more, "records": [record]}

    children = page("child 1", f"{base}/child-2")
    faults = salesforce_world.service.faults
    faults.add(path="query/$", nth=1, status=200, response=page("a", f"{base}/page-2", Contacts=children))
    faults.add(path="child-2$", nth=1, status=200, response=page("child 2", None))
    faults.add(path="page-2$", nth=1, status=200, response=page("b", None, Contacts=None))
    assert salesforce_gateway().query("SELECT Name FROM Account") == [
        {"Name": "a", "Contacts": [{"Name": "child 1"}, {"Name": "child 2"}]},
        {"Name": "b", "Contacts": None},
    ]


def test_two_hundred_rows_a_call(salesforce_world: World, salesforce_gateway: Make) -> None:
    rows = [{"Name": f"A{number}"} for number in range(401)]
    results = salesforce_gateway().insert_rows("Account", rows)
    assert [result.index for result in results] == list(range(401))
    assert len({result.id for result in results}) == 401
    assert len(salesforce_world.service.journal.select(path="/composite/sobjects")) == 3
    assert salesforce_gateway().insert_rows("Account", []) == []


def test_the_package_is_checked_then_deployed_then_used(
    salesforce_world: World, salesforce_gateway: Make
) -> None:
    gateway, package = salesforce_gateway(), SourcePackage().zip_bytes()
    waits: list[float] = []
    checked = gateway.deploy(package, check_only=True, sleep=waits.append)
    assert (checked.ok, checked.checked_only, checked.failures) == (True, True, ())
    assert waits
    with pytest.raises(FieldRefused):
        gateway.query("SELECT Stripe_Customer_Id__c FROM Account")
    deployed = gateway.deploy(package, check_only=False, sleep=waits.append)
    assert (deployed.ok, deployed.checked_only) == (True, False)
    assert deployed.components > 10
    names = {field["name"] for field in gateway.describe("Account")["fields"]}
    assert "Name" in names


def test_upsert_by_external_id(salesforce_world: World, salesforce_gateway: Make) -> None:
    gateway = salesforce_gateway()
    gateway.deploy(SourcePackage().zip_bytes(), check_only=False, sleep=lambda _: None)
    org_of(salesforce_world).settings.patch({"field_level_security": False})
    rows = [{"Stripe_Customer_Id__c": "cus_1", "Name": "Acme"}]
    (first,) = gateway.upsert_rows("Account", "Stripe_Customer_Id__c", rows)
    (second,) = gateway.upsert_rows("Account", "Stripe_Customer_Id__c", rows)
    assert (first.ok, first.created) == (True, True)
    assert (second.ok, second.created, second.id) == (True, False, first.id)


@pytest.mark.parametrize(
    "write",
    [
        lambda gateway: gateway.update_rows("Account", [{"Name": "x"}]),
        lambda gateway: gateway.upsert_rows("Account", "Stripe_Customer_Id__c", [{"Name": "x"}]),
    ],
)
def test_rows_without_their_key_are_not_sent(
    salesforce_world: World, salesforce_gateway: Make, write: Callable[[SalesforceGateway], Any]
) -> None:
    with pytest.raises(ValueError, match="needs its"):
        write(salesforce_gateway())
    assert salesforce_world.service.journal.entries == []


def test_one_record_and_one_that_is_gone(salesforce_world: World, salesforce_gateway: Make) -> None:
    gateway = salesforce_gateway()
    account_id = account(salesforce_world)
    assert gateway.get(f"sobjects/Account/{account_id}", {"fields": "Name"})["Name"] == "Acme"
    with pytest.raises(RecordGone):
        gateway.get(f"sobjects/Account/{account_id[:14]}9AAA")


def on_a_real_address(gateway: SalesforceGateway, world: World) -> SalesforceGateway:
    """Let a gateway of another environment reach the emulator, past its own checks of the address."""
    gateway._connection._wire._emulator_url = world.url  # the only way to see what it makes of an org's kind
    return gateway


@pytest.mark.parametrize(
    ("environment", "sandbox", "edition", "fits"),
    [
        (Environment.TEST, True, "Enterprise Edition", True),
        (Environment.TEST, False, "Enterprise Edition", False),
        (Environment.TEST, False, "Developer Edition", True),
        (Environment.LIVE, True, "Enterprise Edition", False),
        (Environment.LIVE, False, "Enterprise Edition", True),
        (Environment.LIVE, False, "Developer Edition", False),
    ],
)
def test_the_kind_of_org_must_fit_the_environment(
    salesforce_world: World,
    salesforce_gateway: Make,
    environment: Environment,
    sandbox: bool,
    edition: str,
    fits: bool,
) -> None:
    (org,) = org_of(salesforce_world).org.store.rows("Organization").values()
    org.update(IsSandbox=sandbox, OrganizationType=edition)
    url = "https://acme.my.salesforce.com"
    gateway = on_a_real_address(salesforce_gateway(environment=environment, login_url=url), salesforce_world)
    if fits:
        gateway.query("SELECT Id FROM Account")
        gateway.query("SELECT Id FROM Account")
        assert len(salesforce_world.service.journal.select(path="/query")) == 3
        return
    with pytest.raises(ConfigurationError, match="environment"):
        gateway.query("SELECT Id FROM Account")
    (result,) = gateway.insert_rows("Account", [{"Name": "x"}])
    assert isinstance(result.error, ConfigurationError)
    assert salesforce_world.service.journal.effects() == []
