"""Commands against the emulators over HTTP, judged by what the org and Stripe then hold."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Iterator
from typing import Any
from xml.etree.ElementTree import Element

import httpx
import pytest
from typer.testing import Result

from blocks.registry import BLOCK_TYPES
from emulators.run import make_services, running
from order_to_cash.cli import doctor, ladder_check
from order_to_cash.cli.ladder_check import check_mail, prefect_findings
from order_to_cash.cli.output import Finding
from order_to_cash.cli.package import NAMESPACE, SourcePackage
from order_to_cash.cli.wiring import salesforce_gateway
from order_to_cash.domain.audit import NoAudit
from order_to_cash.domain.dunning.default_policy import default_policy
from order_to_cash.gateways.salesforce_gateway import SalesforceGateway
from order_to_cash.settings import Settings, load_settings

VARIABLES = {
    "stripe": "O2C_STRIPE_API_BASE",
    "salesforce": "O2C_SALESFORCE_BASE_URL",
    "slack": "O2C_SLACK_BASE_URL",
}
INTEGRATION_USER = "integration@emulator.example"


@pytest.fixture
def vendors(monkeypatch: pytest.MonkeyPatch, clean_place: object) -> Iterator[dict[str, str]]:
    with running(*make_services([*VARIABLES, "mail"])) as urls:
        for name, variable in VARIABLES.items():
            monkeypatch.setenv(variable, urls[name])
        monkeypatch.setenv("O2C_SMTP_PORT", urls["smtp"].rpartition(":")[2])
        monkeypatch.setenv("O2C_PREFECT_API_URL", "http://127.0.0.1:1/api")
        yield urls


@pytest.fixture
def org(vendors: dict[str, str]) -> Iterator[SalesforceGateway]:
    gateway = salesforce_gateway(load_settings(), NoAudit(), "test")
    yield gateway
    gateway.close()


def deploy(o2c: Callable[..., Result], *words: str) -> str:
    done = o2c("salesforce", "deploy", *words)
    assert done.exit_code == 0, done.output
    return done.output


def test_a_dry_run_changes_nothing(o2c: Callable[..., Result], org: SalesforceGateway) -> None:
    told = deploy(o2c, "--check")
    count = sum(component.kind == "CustomField" for component in SourcePackage().components())
    assert ["CustomField", str(count)] in [line.split()[:2] for line in told.splitlines()]
    assert "Next: o2c salesforce deploy" in told
    assert not [field for field in org.describe("Account")["fields"] if field["name"].endswith("__c")]


def test_deployed_fields_appear_once_the_permission_set_is_assigned(
    o2c: Callable[..., Result], org: SalesforceGateway
) -> None:
    told = deploy(o2c)
    assert "Fields are invisible until a permission set is assigned" in told
    assert not [field for field in org.describe("Account")["fields"] if field["name"].endswith("__c")]

    assert "O2C_Integration is assigned." in deploy(o2c, "--assign-integration-user", INTEGRATION_USER)
    fields = {field["name"]: field for field in org.describe("Opportunity")["fields"]}
    assert fields["Stripe_Invoice_Id__c"]["updateable"]
    assert fields["Stripe_Invoice_Id__c"]["unique"]
    assert not fields["Stripe_Collection_Method__c"]["updateable"]
    assert "was assigned already" in deploy(o2c, "--assign-integration-user", INTEGRATION_USER)


def test_a_user_that_is_not_there_is_named_before_anything_is_deployed(
    o2c: Callable[..., Result], vendors: dict[str, str]
) -> None:
    done = o2c("salesforce", "deploy", "--assign-integration-user", "nobody@acme.example")
    assert done.exit_code == 1
    assert "no active user of that name. Nothing was deployed." in done.output
    journal = httpx.get(f"{vendors['salesforce']}/_emulator/journal", trust_env=False).json()["entries"]
    assert not [entry for entry in journal if "deploy" in entry["path"].lower()]


def test_a_refused_package_is_a_table_with_remedies(
    o2c: Callable[..., Result], vendors: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = SourcePackage.objects

    def broken(package: SourcePackage) -> dict[str, Element]:
        objects = sound(package)
        for tag in objects["Opportunity"].iter(f"{{{NAMESPACE}}}type"):
            tag.text = "Hyperlink" if tag.text == "Url" else tag.text
        return objects

    monkeypatch.setattr(SourcePackage, "objects", broken)
    done = o2c("salesforce", "deploy")
    assert done.exit_code == 1
    assert "rolled back" in done.output
    assert "Account.Stripe_MRR__c" not in done.output
    assert "Opportunity.Stripe_Invoice_URL__c" in done.output
    assert "Correct it in Salesforce's Setup" in done.output
    assert "Nothing was changed." in done.output


def stripe_post(url: str, path: str, **form: Any) -> dict[str, Any]:
    answer = httpx.post(f"{url}/v1/{path}", data=form, auth=("sk_test_emulator", ""), trust_env=False)
    answer.raise_for_status()
    made: dict[str, Any] = answer.json()
    return made


def test_the_catalogue_cannot_be_matched_before_the_package_is_there(
    o2c: Callable[..., Result], vendors: dict[str, str]
) -> None:
    done = o2c("catalog", "match")
    assert done.exit_code == 1
    assert "Deploy the package: `o2c salesforce deploy" in done.output
    assert "SELECT" not in done.output


def test_the_catalogue_is_matched_and_written(
    o2c: Callable[..., Result], org: SalesforceGateway, vendors: dict[str, str]
) -> None:
    deploy(o2c, "--assign-integration-user", INTEGRATION_USER)
    product = stripe_post(vendors["stripe"], "products", name="Onboarding")
    price = stripe_post(
        vendors["stripe"],
        "prices",
        product=product["id"],
        currency="usd",
        unit_amount="50000",
        lookup_key="ONB-1",
    )
    org.insert_rows(
        "Product2",
        [
            {"Name": "Onboarding, remote", "ProductCode": "ONB-1", "IsActive": True},
            {"Name": "Crystal ball", "ProductCode": "CB", "IsActive": True},
        ],
    )
    shown = o2c("catalog", "match").output
    assert "1 of 2 products matched" in shown
    assert "1 to write" in shown
    assert re.search(r"ONB-1 +\S+ +lookup key = product code +price and product id$", shown, re.MULTILINE)
    assert "no price: give one the product code as lookup key" in shown
    query = "SELECT Stripe_Price_Id__c, Stripe_Product_Id__c FROM Product2 ORDER BY ProductCode"
    assert org.query(query)[1]["Stripe_Price_Id__c"] is None, "looking writes nothing"

    assert "1 written, 0 refused" in o2c("catalog", "match", "--apply").output
    assert org.query(query) == [
        {"Stripe_Price_Id__c": None, "Stripe_Product_Id__c": None},
        {"Stripe_Price_Id__c": price["id"], "Stripe_Product_Id__c": product["id"]},
    ]
    assert "0 to write" in o2c("catalog", "match", "--apply").output


def test_the_doctor_names_each_failure_with_its_remedy(
    o2c: Callable[..., Result], vendors: dict[str, str]
) -> None:
    done = o2c("doctor")
    assert done.exit_code == 1
    told = done.output
    assert "has no tables yet" in told
    assert "Run `o2c init`" in told
    assert "Product2: not there, or not visible: Stripe_Price_Id__c, Stripe_Product_Id__c" in told
    assert "The Prefect API at http://127.0.0.1:1/api does not answer" in told
    assert " ok   slack" in told


def test_the_doctor_asks_the_prefect_server_of_the_settings(
    vendors: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prefect reads its address when it is imported, which any of the checks may be the first to do."""
    monkeypatch.setenv("O2C_PREFECT_API_URL", "http://127.0.0.1:9/api")
    asked: list[str] = []

    def first(settings: Settings) -> Iterator[Finding]:
        asked.append(os.environ["PREFECT_API_URL"])
        yield Finding(True, "ledger", "fine")

    monkeypatch.setattr(doctor, "check_ledger", first)
    assert next(finding for finding in doctor.examine(None) if finding.subject == "ledger").ok
    assert asked == ["http://127.0.0.1:9/api"]


def test_the_doctor_is_content_once_everything_is_set_up(
    o2c: Callable[..., Result], vendors: dict[str, str]
) -> None:
    deploy(o2c, "--assign-integration-user", INTEGRATION_USER)
    lines = o2c("doctor").output.splitlines()
    failing = [line for line in lines if line.startswith("FAIL")]
    assert [line.split()[1] for line in failing] == ["prefect"]


def test_the_doctor_names_a_mail_server_that_does_not_answer(
    o2c: Callable[..., Result], vendors: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert " ok   mail        127.0.0.1:" in o2c("doctor").output
    monkeypatch.setenv("O2C_SMTP_PORT", "1")
    assert "FAIL  mail" in o2c("doctor").output
    (off,) = check_mail(load_settings(smtp_host=""))
    assert off.ok
    assert "Set O2C_SMTP_HOST and O2C_SMTP_FROM" in off.remedy


def test_the_doctor_shows_a_refused_login_and_goes_on(
    o2c: Callable[..., Result], vendors: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("O2C_SALESFORCE_CLIENT_SECRET", "canary5ecret")
    told = o2c("doctor").output
    assert "FAIL  salesforce" in told
    assert " ok   slack" in told
    assert "canary5ecret" not in told


def test_init_stops_with_a_remedy_when_prefect_does_not_answer(
    o2c: Callable[..., Result], vendors: dict[str, str]
) -> None:
    done = o2c("init")
    assert done.exit_code == 1
    assert re.search(r"^Ledger +ready$", done.output, re.MULTILINE)
    assert "O2C_PREFECT_API_URL" in done.output


async def _as_new() -> None:
    """The session's Prefect server without what other tests made there."""
    from prefect.client.orchestration import get_client

    async with get_client() as client:
        for document in await client.read_block_documents(limit=200):
            await client.delete_block_document(document.id)
        for automation in await client.read_automations():
            await client.delete_automation(automation.id)


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_server", "vendors")
def test_once_everything_is_set_up_init_changes_nothing_and_the_doctor_is_content(
    o2c: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.settings import PREFECT_API_URL

    api_url = PREFECT_API_URL.value()
    assert api_url
    monkeypatch.setenv("O2C_PREFECT_API_URL", api_url)
    monkeypatch.setenv("PREFECT_API_URL", api_url)  # init sets it: this restores it afterwards
    asyncio.run(_as_new())
    deploy(o2c, "--assign-integration-user", INTEGRATION_USER)

    first, second = o2c("init"), o2c("init")
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert re.search(r"^Blocks +stripe-account, .*, alert-thresholds created$", first.output, re.MULTILINE)
    alerts = re.search(r"^Alerts +(\d+) created$", first.output, re.MULTILINE)
    assert alerts is not None
    assert re.search(rf"^Blocks +{len(BLOCK_TYPES)} unchanged$", second.output, re.MULTILINE)
    assert re.search(rf"^Alerts +{alerts[1]} unchanged$", second.output, re.MULTILINE)
    doctor = o2c("doctor")
    assert doctor.exit_code == 0, doctor.output
    assert f"policy default, version {default_policy().version}" in doctor.output
    assert " ok   ladders     0 open, none late, none failing" in doctor.output
    monkeypatch.setattr(ladder_check, "DEPLOYMENTS", ("nowhere",))
    found = [finding.message for finding in prefect_findings(load_settings(slack_channel=""))]
    assert "not registered in Prefect: nowhere" in found
    assert "steps post to Slack, and no channel is set" in found

    monkeypatch.setenv("O2C_DAYS_UNTIL_DUE", "7")
    told = o2c("doctor")
    assert told.exit_code == 1
    assert "block billing-policy/o2c differs from the settings in days_until_due" in told.output
    assert f"billing-policy updated (days_until_due); {len(BLOCK_TYPES) - 1} unchanged" in o2c("init").output
