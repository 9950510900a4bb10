from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from order_to_cash.domain.errors import ConfigurationError
from order_to_cash.domain.records import Environment
from order_to_cash.environments import key_mode, sandbox_domain
from order_to_cash.settings import (
    Settings,
    load_settings,
    parse_limits,
    show_limits,
    unknown_variables,
    variable,
)

CANARY = "canary5ecret"
TEST_ENVIRONMENT = {
    "O2C_ENVIRONMENT": "test",
    "O2C_STRIPE_API_KEY": f"rk_test_{CANARY}",
    "O2C_SALESFORCE_DOMAIN": "acme--uat.sandbox.my.salesforce.com",
    "O2C_SALESFORCE_CLIENT_ID": "consumer",
    "O2C_SALESFORCE_CLIENT_SECRET": CANARY,
    "O2C_BILL_DEALS_CLOSED_ON_OR_AFTER": "2026-03-01",
}
LIVE_ENVIRONMENT = {
    **TEST_ENVIRONMENT,
    "O2C_ENVIRONMENT": "live",
    "O2C_STRIPE_API_KEY": f"rk_live_{CANARY}",
    "O2C_SALESFORCE_DOMAIN": "acme.my.salesforce.com",
}


def given(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], **changes: str) -> None:
    for name, value in {**variables, **changes}.items():
        monkeypatch.setenv(name, value)


def test_with_nothing_set_everything_points_at_the_emulators() -> None:
    settings = load_settings()
    assert settings.environment is Environment.EMULATOR
    assert settings.stripe_api_base == "http://127.0.0.1:12111"
    assert settings.salesforce_base_url == "http://127.0.0.1:12112"
    assert settings.slack_base_url == "http://127.0.0.1:12113"
    assert settings.slack_enabled
    assert settings.billing_rules().bill_deals_closed_on_or_after == date(2026, 1, 1)
    assert settings.ledger_address.endswith("/.o2c/ledger.db")


@pytest.mark.parametrize("variables", [TEST_ENVIRONMENT, LIVE_ENVIRONMENT], ids=["test", "live"])
def test_a_complete_environment_loads(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    given(monkeypatch, variables)
    settings = load_settings()
    assert settings.stripe_api_base == ""
    assert settings.stripe_pace == (80 if settings.environment is Environment.LIVE else 24)
    assert CANARY not in repr(settings) + str(settings.model_dump())


@pytest.mark.parametrize(
    "missing", [name for name in TEST_ENVIRONMENT if name != "O2C_ENVIRONMENT"], ids=lambda name: name[4:]
)
def test_what_is_missing_is_named_with_what_belongs_there(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    given(monkeypatch, {name: value for name, value in TEST_ENVIRONMENT.items() if name != missing})
    with pytest.raises(ConfigurationError, match=f"{missing} is not set: put ") as caught:
        load_settings()
    assert CANARY not in str(caught.value)


MIX_UPS = [
    (TEST_ENVIRONMENT, {"O2C_STRIPE_API_KEY": f"rk_live_{CANARY}"}, "O2C_STRIPE_API_KEY is a live key"),
    (LIVE_ENVIRONMENT, {"O2C_STRIPE_API_KEY": f"sk_test_{CANARY}"}, "O2C_STRIPE_API_KEY is a test key"),
    (LIVE_ENVIRONMENT, {"O2C_STRIPE_API_KEY": f"pk_live_{CANARY}"}, "not a Stripe secret or restricted key"),
    (TEST_ENVIRONMENT, {"O2C_SALESFORCE_DOMAIN": "acme.my.salesforce.com"}, "names a production org"),
    (LIVE_ENVIRONMENT, {"O2C_SALESFORCE_DOMAIN": "acme--uat.sandbox.my.salesforce.com"}, "names a sandbox"),
    (TEST_ENVIRONMENT, {"O2C_SALESFORCE_DOMAIN": "https://acme.my.salesforce.com"}, "a host name without"),
    (
        TEST_ENVIRONMENT,
        {"O2C_STRIPE_API_BASE": "http://127.0.0.1:12111"},
        "O2C_STRIPE_API_BASE is for the emul",
    ),
    (TEST_ENVIRONMENT, {"O2C_SLACK_CHANNEL": "#billing"}, "belong together"),
    (TEST_ENVIRONMENT, {"O2C_SALESFORCE_PRIVATE_KEY": CANARY}, "O2C_SALESFORCE_USERNAME is not set"),
    ({}, {"O2C_STRIPE_API_KEY": f"sk_live_{CANARY}"}, "O2C_STRIPE_API_KEY is a live key"),
    ({}, {"O2C_STRIPE_API_BASE": "https://api.stripe.com"}, "O2C_STRIPE_API_BASE is not on this machine"),
    ({}, {"O2C_SALESFORCE_DOMAIN": "acme.my.salesforce.com"}, "names a real org"),
]


@pytest.mark.parametrize(("variables", "changes", "message"), MIX_UPS, ids=[mix_up[2] for mix_up in MIX_UPS])
def test_a_mix_up_of_environments_is_refused_without_echoing_a_secret(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], changes: dict[str, str], message: str
) -> None:
    given(monkeypatch, variables, **changes)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert message in caught.value.message
    assert CANARY not in str(caught.value)


def test_all_problems_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("O2C_ENVIRONMENT", "live")
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert caught.value.message.count("is not set") == 5


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("O2C_POLL_SECONDS", "soon"),
        ("O2C_DAYS_UNTIL_DUE", "-1"),
        ("O2C_BILL_DEALS_CLOSED_ON_OR_AFTER", "31.12.2026"),
        ("O2C_MAX_AMOUNT_PER_RUN", "50000 USD"),
        ("O2C_APPROVAL_LIMIT", "ZZZ=5"),
        ("O2C_DEFAULT_CURRENCY", "ZZZ"),
        ("O2C_STAGE_NAMES", " , "),
        ("O2C_FIELD_NAMES__ACCOUNT_BILLING_EMAIL", "Billing Email"),
    ],
)
def test_a_wrong_value_is_named_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert name in caught.value.message or caught.value.message.startswith(
        "The settings: name at least one stage"
    )


def test_lists_amounts_and_field_names_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("O2C_STAGE_NAMES", "Closed Won, Signed")
    monkeypatch.setenv("O2C_MAX_AMOUNT_PER_RUN", "usd=50000, JPY=7000000")
    monkeypatch.setenv("O2C_FIELD_NAMES__ACCOUNT_BILLING_EMAIL", "Invoice_Email__c")
    rules = load_settings().billing_rules()
    assert rules.stage_names == ("Closed Won", "Signed")
    assert rules.max_amount_per_run == {"USD": Decimal(50000), "JPY": Decimal(7000000)}
    assert rules.field_names.account_billing_email == "Invoice_Email__c"
    assert rules.field_names.account_customer_id == "Stripe_Customer_Id__c"


def test_sources_in_order_environment_then_dotenv_then_secret_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "o2c_slack_bot_token").write_text("xoxb-file")
    (secrets / "o2c_slack_channel").write_text("#from-file")
    monkeypatch.setenv("O2C_SECRETS_DIR", str(secrets))
    (tmp_path / ".env").write_text(
        "O2C_SLACK_CHANNEL=#from-dotenv\nO2C_POLL_SECONDS=12\nO2C_STRIPE_API_KEY=\n"
    )
    monkeypatch.setenv("O2C_POLL_SECONDS", "15")
    settings = load_settings()
    assert settings.slack_bot_token.get_secret_value() == "xoxb-file"
    assert settings.slack_channel == "#from-dotenv"
    assert settings.poll_seconds == 15
    assert settings.stripe_api_key.get_secret_value() == "sk_test_emulator", "an empty line sets nothing"


def test_a_misspelt_variable_is_noticed() -> None:
    assert unknown_variables({"O2C_STAGE_NAME": "x", "PATH": "y", "O2C_POLL_SECONDS": "5"}) == [
        "O2C_STAGE_NAME means nothing; did you mean O2C_STAGE_NAMES?"
    ]
    assert not unknown_variables({"O2C_FIELD_NAMES__PRODUCT_PRICE_ID": "x", "O2C_SECRETS_DIR": "y"})


def test_limits_round_trip() -> None:
    text = "USD=50000, EUR=450.50"
    assert show_limits(parse_limits(text)) == text
    assert parse_limits("") == {}


def test_kinds_of_keys_and_orgs() -> None:
    kinds = {"rk_live_a": "live", "sk_test_a": "test", "whsec_x_y": "", "sk_": "", "": ""}
    assert {key: key_mode(key) for key in kinds} == kinds
    assert sandbox_domain("acme-dev-ed.develop.my.salesforce.com")
    assert not sandbox_domain("acme.my.salesforce.com")


EXAMPLE = Path(__file__).resolve().parents[2] / ".env.example"


def test_the_example_explains_every_variable_and_no_other() -> None:
    told = set(re.findall(r"^#(O2C_[A-Z_]+)=", EXAMPLE.read_text(encoding="utf-8"), re.MULTILINE))
    nested = {name for name in told if name.startswith("O2C_FIELD_NAMES__")}
    assert nested
    assert told - nested == {variable(name) for name in Settings.model_fields if name != "field_names"}


def test_the_example_sets_nothing_by_itself(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(EXAMPLE.read_text(encoding="utf-8"), encoding="utf-8")
    assert load_settings() == load_settings(env_file=None)
