from __future__ import annotations

import asyncio
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from prefect.blocks.core import Block
from pydantic import SecretStr, ValidationError

from blocks import BillingPolicy, DunningPolicyBlock, SalesforceOrg, SlackChannel, StripeAccount
from blocks.registry import BLOCK_TYPES, BlockState, blocks_of, compare, save
from order_to_cash.domain.dunning.default_policy import default_policy
from order_to_cash.domain.errors import ConfigurationError
from order_to_cash.domain.records import Environment
from order_to_cash.settings import Settings, load_settings

CANARY = "canary5ecret"


def settings(**changes: Any) -> Settings:
    return load_settings(env_file=None, **changes)


def test_the_policy_survives_the_form() -> None:
    rules = settings(
        stage_names="Closed Won, Signed",
        max_amount_per_run="USD=50000, JPY=7000000",
        approval_limit="EUR=99.50",
        operator_ids="005A",
        days_until_due=14,
    ).billing_rules()
    block = BillingPolicy.from_rules(rules)
    assert block.max_amount_per_run == "USD=50000, JPY=7000000"
    assert block.rules() == rules
    assert BillingPolicy.model_validate(block.model_dump()).rules() == rules


def test_a_policy_needs_its_go_live_date_and_readable_amounts() -> None:
    with pytest.raises(ValidationError):
        BillingPolicy.model_validate({})
    with pytest.raises(ValidationError, match="write amounts as"):
        BillingPolicy(bill_deals_closed_on_or_after=date(2026, 1, 1), approval_limit="a lot")


def test_limits_are_decimals() -> None:
    policy = BillingPolicy(bill_deals_closed_on_or_after=date(2026, 1, 1), approval_limit="USD=0.10")
    assert policy.rules().approval_limit == {"USD": Decimal("0.10")}


@pytest.mark.parametrize("kind", BLOCK_TYPES, ids=lambda kind: kind.__name__)
def test_forms_are_complete_and_plain(kind: type[Block]) -> None:
    """Prefect renders a union with null as a choice of types: no field may be optional that way."""
    schema = kind.model_json_schema()
    for name, field in schema["properties"].items():
        assert field.get("title") or "$ref" in field, name
        choices = field.get("anyOf", [])
        assert {"type": "null"} not in choices, name
    assert kind.get_description()


def test_secrets_are_marked_as_such() -> None:
    secret = {
        f"{kind.__name__}.{name}"
        for kind in BLOCK_TYPES
        for name, field in kind.model_fields.items()
        if field.annotation is SecretStr
    }
    assert secret == {
        "StripeAccount.api_key",
        "SalesforceOrg.client_secret",
        "SalesforceOrg.private_key",
        "SlackChannel.bot_token",
        "SmtpServer.password",
    }


def test_no_block_shows_a_secret() -> None:
    given = settings(
        stripe_api_key=f"sk_test_{CANARY}", salesforce_client_secret=CANARY, slack_bot_token=CANARY
    )
    for block in blocks_of(given):
        assert CANARY not in repr(block) + str(block.model_dump(mode="json"))


async def test_clients_are_the_gateways_of_that_environment() -> None:
    from order_to_cash.gateways.salesforce_gateway import SalesforceGateway
    from order_to_cash.gateways.slack_gateway import SlackGateway
    from order_to_cash.gateways.stripe_gateway import StripeGateway

    given = settings()
    stripe = StripeAccount.from_settings(given).get_client(actor="test")
    assert isinstance(stripe, StripeGateway)
    await stripe.aclose()
    salesforce = SalesforceOrg.from_settings(given).get_client(actor="test")
    assert isinstance(salesforce, SalesforceGateway)
    salesforce.close()
    slack = SlackChannel.from_settings(given).get_client(actor="test")
    assert isinstance(slack, SlackGateway)
    slack.close()


def test_a_block_of_one_environment_makes_no_client_of_another() -> None:
    with pytest.raises(ConfigurationError):
        StripeAccount(environment=Environment.TEST, api_key=SecretStr("rk_live_x")).get_client()
    org = SalesforceOrg(
        environment=Environment.LIVE,
        login_url="http://127.0.0.1:1",
        client_id="c",
        client_secret=SecretStr("s"),
    )
    with pytest.raises(ConfigurationError):
        org.get_client()


def test_slack_is_off_without_token_or_channel() -> None:
    assert SlackChannel.from_settings(settings()).enabled
    assert not SlackChannel(channel="#billing").enabled


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_server")
async def test_saving_is_idempotent_and_tells_what_changed() -> None:
    name = "registry-test"
    first = settings()
    assert {report.state for report in await compare(first, name)} == {BlockState.CREATED}
    assert {report.state for report in await save(first, name)} == {BlockState.CREATED}
    assert {report.state for report in await save(first, name)} == {BlockState.UNCHANGED}

    second = settings(days_until_due=7, slack_bot_token=CANARY)
    told = {report.slug: report for report in await save(second, name)}
    assert told["billing-policy"].fields == ("days_until_due",)
    assert told["slack-channel"].fields == ("bot_token",)
    assert told["stripe-account"].state is BlockState.UNCHANGED
    assert CANARY not in str(told)

    loaded: BillingPolicy = await BillingPolicy.aload(name)
    assert loaded.rules() == second.billing_rules()
    stored: SlackChannel = await SlackChannel.aload(name)
    assert stored.bot_token.get_secret_value() == CANARY
    await asyncio.gather(*(kind.adelete(name) for kind in BLOCK_TYPES))


def test_ladders_are_on_by_the_policy_of_the_repository() -> None:
    assert DunningPolicyBlock.from_settings(settings()).chosen() == default_policy()
    assert DunningPolicyBlock.from_settings(settings(dunning="off")).chosen() is None


def test_what_is_wrong_with_a_policy_is_told_by_its_step() -> None:
    wrong = DunningPolicyBlock()
    wrong.policy["charged"]["steps"][1]["delay"] = "soon"
    with pytest.raises(ConfigurationError, match="step customer-mail"):
        wrong.chosen()
    assert DunningPolicyBlock().chosen() == default_policy()
    wrong.enabled = False
    assert wrong.chosen() is None


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_server")
async def test_a_policy_that_people_wrote_is_never_overwritten() -> None:
    name = "policy-test"
    await save(settings(dunning="off"), name)
    own: DunningPolicyBlock = await DunningPolicyBlock.aload(name)
    assert not own.enabled
    own.enabled = True
    own.policy["quiet_period"] = "30h"
    await own.asave(name, overwrite=True)
    told = {report.slug: report.state for report in await save(settings(dunning="off"), name)}
    assert told["dunning-policy"] is BlockState.UNCHANGED
    kept: DunningPolicyBlock = await DunningPolicyBlock.aload(name)
    chosen = kept.chosen()
    assert chosen is not None
    assert chosen.quiet_period == timedelta(hours=30)
    await asyncio.gather(*(kind.adelete(name) for kind in BLOCK_TYPES))
