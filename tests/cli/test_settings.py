from __future__ import annotations

import os
import re
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from order_to_cash.cli.configuration import describe
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

ROOT = Path(__file__).resolve().parents[2]
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
        ("O2C_FIELD_NAMES", "Billing_Email__c"),
    ],
)
def test_a_wrong_value_is_named_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert ".." not in caught.value.message
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


@pytest.mark.parametrize("place", ["environment", "file"])
def test_a_misspelt_variable_is_refused_wherever_it_is_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: str
) -> None:
    if place == "environment":
        monkeypatch.setenv("O2C_STRIPE_APIKEY", CANARY)
    else:
        (tmp_path / ".env").write_text(f"O2C_STRIPE_APIKEY={CANARY}\n")
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert caught.value.message == "O2C_STRIPE_APIKEY means nothing; did you mean O2C_STRIPE_API_KEY?"
    assert CANARY not in str(caught.value)


def test_every_variable_that_the_project_itself_sets_is_known() -> None:
    places = [ROOT / "Makefile", ROOT / "compose.yaml", *(ROOT / ".ci").iterdir()]
    places += [file for folder in ("bench", "tests") for file in (ROOT / folder).rglob("*.py")]
    set_there = {
        name
        for file in places
        if file != Path(__file__)
        for name in re.findall(r"\bO2C_[A-Z][A-Z_]*[A-Z]\b", file.read_text(encoding="utf-8"))
    }
    misspelt_on_purpose = {"O2C_STAGE_NAME"}
    assert {"O2C_CRASH_POINTS", "O2C_TEST_LIVE"} <= set_there
    assert unknown_variables(dict.fromkeys(set_there - misspelt_on_purpose, "")) == []


def test_an_env_file_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("O2C_ENV_FILE", str(tmp_path / "o2c.env"))
    with pytest.raises(ConfigurationError, match=r"O2C_ENV_FILE names .*o2c\.env, and there is"):
        load_settings()
    (tmp_path / "o2c.env").write_text("O2C_POLL_SECONDS=7\n")
    assert load_settings().poll_seconds == 7


@pytest.mark.parametrize("named", ["", os.devnull])
def test_no_env_file_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, named: str) -> None:
    (tmp_path / ".env").write_text("O2C_POLL_SECONDS=7\n")
    monkeypatch.setenv("O2C_ENV_FILE", named)
    assert load_settings().poll_seconds == (10 if named else 7)


def test_limits_round_trip() -> None:
    text = "USD=50000, EUR=450.50"
    assert show_limits(parse_limits(text)) == text
    assert parse_limits("") == {}


def test_kinds_of_keys_and_orgs() -> None:
    kinds = {"rk_live_a": "live", "sk_test_a": "test", "whsec_x_y": "", "sk_": "", "": ""}
    assert {key: key_mode(key) for key in kinds} == kinds
    assert sandbox_domain("acme-dev-ed.develop.my.salesforce.com")
    assert not sandbox_domain("acme.my.salesforce.com")


EXAMPLE = ROOT / ".env.example"


def test_the_example_explains_every_variable_and_no_other() -> None:
    told = set(re.findall(r"^#(O2C_[A-Z_]+)=", EXAMPLE.read_text(encoding="utf-8"), re.MULTILINE))
    nested = {name for name in told if name.startswith("O2C_FIELD_NAMES__")}
    assert nested
    assert told - nested == {variable(name) for name in Settings.model_fields if name != "field_names"}


def test_the_example_shows_defaults_with_its_lines_in_force_or_not(tmp_path: Path) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    for lines in (text, re.sub(r"^#(O2C_)", r"\1", text, flags=re.MULTILINE)):
        (tmp_path / ".env").write_text(lines, encoding="utf-8")
        assert load_settings() == load_settings(env_file=None)


OLD, NEW = f"whsec_{CANARY}old", f"whsec_{CANARY}new"


def test_both_signing_secrets_are_known_while_one_is_rolled(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, TEST_ENVIRONMENT, O2C_STRIPE_WEBHOOK_SECRETS=f" {OLD}, {NEW},")
    settings = load_settings()
    assert [each.get_secret_value() for each in settings.stripe_webhook_secrets] == [OLD, NEW]
    assert CANARY not in repr(settings) + str(settings.model_dump())
    assert describe(settings.stripe_webhook_secrets) == "(secret, 2 set)"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("O2C_STRIPE_WEBHOOK_SECRETS", CANARY),
        ("O2C_STRIPE_WEBHOOK_SECRETS", f"{OLD},whsec_"),
        ("O2C_STRIPE_WEBHOOK_SECRETS", f"{OLD},{NEW},{OLD}x"),
        ("O2C_SALESFORCE_NUDGE_SECRET", "canary5"),
        ("O2C_SALESFORCE_NUDGE_SECRET", f"{CANARY} with spaces"),
        ("O2C_SALESFORCE_ORG_ID", "acme"),
        ("O2C_SALESFORCE_ORG_ID", "001000000000001AAA"),
        ("O2C_SALESFORCE_DAILY_SHARE", "0.81"),
        ("O2C_SALESFORCE_DAILY_SHARE", "0"),
        ("O2C_RECEIVE_PORT", "70000"),
        ("O2C_UNKNOWN_CUSTOMERS", "guess"),
    ],
)
def test_a_wrong_value_names_its_variable_and_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    given(monkeypatch, TEST_ENVIRONMENT, **{name: value})
    with pytest.raises(ConfigurationError, match=name) as caught:
        load_settings()
    assert "canary" not in str(caught.value)


def test_org_ids_take_their_long_form(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, TEST_ENVIRONMENT, O2C_SALESFORCE_ORG_ID="00D000000000001, 00D000000000002EAA")
    assert load_settings().salesforce_org_id == ("00D000000000001EAA", "00D000000000002EAA")
