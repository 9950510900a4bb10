"""The one source of configuration: `O2C_*` environment variables, `.env`, and secret files.

A secret file carries the variable's name in lower case, such as `/run/secrets/o2c_stripe_api_key`;
`O2C_SECRETS_DIR` names another directory, `O2C_ENV_FILE` another file than `.env`. The environment wins over
`.env`, `.env` over secret files.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from order_to_cash.domain.errors import ConfigurationError
from order_to_cash.domain.policy import BillingRules, FieldNames, LineSource
from order_to_cash.domain.records import CollectionMethod, Environment
from order_to_cash.environments import EMULATOR_DEFAULTS, check_environment
from order_to_cash.setting_values import bearer_secret, org_ids, signing_secrets

PREFIX = "O2C_"
ENV_FILE = Path(".env")
# Deals of the emulators' small company are recent; nothing older is billed there either.
EMULATOR_GO_LIVE = date(2026, 1, 1)
# Read by tests and by this module, not fields of `Settings`.
OTHER_VARIABLES = {
    "O2C_TEST_POSTGRES_URL",
    "O2C_REQUIRE_POSTGRES",
    "O2C_TEST_LIVE",
    "O2C_CRASH_POINTS",
    "O2C_CRASH_SEED",
    "O2C_CHAOS_ROUNDS",
    "O2C_CHAOS_SEED",
    "O2C_SECRETS_DIR",
    "O2C_ENV_FILE",
}

Names = Annotated[tuple[str, ...], NoDecode]
Limits = Annotated[dict[str, Decimal], NoDecode]
Secrets = Annotated[tuple[SecretStr, ...], NoDecode]


class Settings(BaseSettings):
    """Everything that can be configured. Addresses left empty take the environment's default.

    Construction raises pydantic's ValidationError; `load_settings` turns it into a ConfigurationError that
    names the variables and echoes no value.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    environment: Environment = Environment.EMULATOR
    home: Path = Path(".o2c")
    ledger_url: SecretStr = SecretStr("")

    stripe_api_key: SecretStr = SecretStr("")
    stripe_api_base: str = ""
    stripe_requests_per_second: int | None = Field(default=None, ge=1, le=100)
    stripe_webhook_secrets: Secrets = Field(default=(), max_length=2)

    salesforce_domain: str = ""
    salesforce_base_url: str = ""
    salesforce_client_id: str = ""
    salesforce_client_secret: SecretStr = SecretStr("")
    salesforce_username: str = ""
    salesforce_private_key: SecretStr = SecretStr("")
    salesforce_org_id: Names = ()
    salesforce_nudge_secret: SecretStr = SecretStr("")
    # Above 0.8 nothing is left for people and for what else calls the org.
    salesforce_daily_share: Decimal = Field(default=Decimal("0.5"), gt=0, le=Decimal("0.8"))

    slack_bot_token: SecretStr = SecretStr("")
    slack_channel: str = ""
    slack_base_url: str = ""

    smtp_host: str = ""
    smtp_port: int = Field(default=587, ge=1, le=65535)
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    smtp_username: str = ""
    smtp_password: SecretStr = SecretStr("")
    smtp_from: str = ""
    smtp_reply_to: str = ""
    smtp_redirect_to: str = ""
    mail_templates: Path | None = None

    prefect_api_url: str = "http://127.0.0.1:4200/api"
    poll_seconds: int = Field(default=10, ge=1, le=300)

    receive_host: str = "127.0.0.1"
    receive_port: int = Field(default=8484, ge=0, le=65535)
    unknown_customers: Literal["create", "park"] = "create"

    dunning: bool = True  # of the first save of the Dunning Policy block

    bill_deals_closed_on_or_after: date | None = None
    stage_names: Names = ("Closed Won",)
    excluded_types: Names = ("Renewal",)
    operator_ids: Names = ()
    field_names: FieldNames = FieldNames()
    line_source: LineSource = LineSource.OPPORTUNITY_PRODUCTS
    default_currency: str = "USD"
    multi_currency: bool = False
    collection_method: CollectionMethod = CollectionMethod.SEND_INVOICE
    days_until_due: int = Field(default=30, ge=0, le=3650)
    automatic_tax: bool = False
    stripe_emails_invoices: bool = False
    chatter_posts: bool = False
    max_deals_per_run: int = Field(default=200, ge=1)
    max_amount_per_run: Limits = {}
    approval_limit: Limits = {}

    @field_validator("stage_names", "excluded_types", "operator_ids", mode="before")
    @classmethod
    def _comma_separated(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("stripe_webhook_secrets", mode="before")
    @classmethod
    def _signing_secrets(cls, value: object) -> object:
        return signing_secrets(value) if isinstance(value, str) else value

    @field_validator("salesforce_org_id", mode="before")
    @classmethod
    def _org_ids(cls, value: object) -> object:
        return org_ids(value) if isinstance(value, str) else value

    @field_validator("salesforce_nudge_secret", mode="before")
    @classmethod
    def _bearer_secret(cls, value: object) -> object:
        return bearer_secret(value) if isinstance(value, str) else value

    @field_validator("max_amount_per_run", "approval_limit", mode="before")
    @classmethod
    def _amounts_by_currency(cls, value: object) -> object:
        return parse_limits(value) if isinstance(value, str) else value

    @model_validator(mode="before")
    @classmethod
    def _emulator_defaults(cls, values: dict[str, Any]) -> dict[str, Any]:
        """The emulators need no sign-up: whatever is not set takes a value that works with them."""
        if str(values.get("environment", Environment.EMULATOR)) != Environment.EMULATOR:
            return values
        return {**EMULATOR_DEFAULTS, "bill_deals_closed_on_or_after": EMULATOR_GO_LIVE, **values}

    @property
    def ledger_address(self) -> str:
        """The ledger's database URL. It may hold a password: do not show it."""
        return self.ledger_url.get_secret_value() or f"sqlite:///{(self.home / 'ledger.db').absolute()}"

    @property
    def salesforce_login_url(self) -> str:
        """Where to log in: the org's My Domain, or the emulator."""
        return self.salesforce_base_url or f"https://{self.salesforce_domain}"

    @property
    def salesforce_login(self) -> Literal["client_credentials", "jwt"]:
        return "jwt" if self.salesforce_private_key.get_secret_value() else "client_credentials"

    @property
    def slack_enabled(self) -> bool:
        return bool(self.slack_bot_token.get_secret_value() and self.slack_channel)

    @property
    def smtp_enabled(self) -> bool:
        return bool(self.smtp_host and self.smtp_from)

    @property
    def stripe_pace(self) -> int:
        """Stripe requests a second: what was set, else below the vendor's 25 (sandbox) or 100 (live)."""
        return self.stripe_requests_per_second or (80 if self.environment is Environment.LIVE else 24)

    def billing_rules(self) -> BillingRules:
        """The policy. Raises ConfigurationError naming the variable when a part of it is not valid."""
        names = BillingRules.model_fields.keys()
        try:
            return BillingRules.model_validate({name: getattr(self, name) for name in names})
        except ValidationError as error:
            raise _configuration_error(error) from None


def load_settings(env_file: Path | None = ENV_FILE, **overrides: Any) -> Settings:
    """Settings of this process, complete and free of environment mix-ups. `env_file` None: of the environment alone.

    Raises ConfigurationError, its message naming each wrong variable and what belongs there, no value.
    """
    secrets = Path(os.environ.get("O2C_SECRETS_DIR", "/run/secrets"))
    if env_file == ENV_FILE:
        env_file = _env_file()
    _refuse_unknown(env_file)
    try:
        settings = Settings(
            _env_file=env_file,
            _secrets_dir=secrets if secrets.is_dir() else None,
            **overrides,
        )
    except ValidationError as error:
        raise _configuration_error(error) from None
    except SettingsError as error:  # what JSON is expected of and is none
        named = re.search(r'field "(\w+)"', str(error))
        raise ConfigurationError(
            f"{variable(named[1]) if named else 'A variable'} cannot be read.",
            code="settings_invalid",
            remedy="Set its parts one by one; .env.example explains each variable.",
        ) from None
    check_environment(settings)
    settings.billing_rules()
    return settings


def parse_limits(text: str) -> dict[str, Decimal]:
    """Amounts in major units by upper-case currency, from `USD=50000, EUR=45000`. Raises ValueError."""
    limits = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        matched = re.fullmatch(r"([A-Za-z]{3})\s*=\s*(\d+(?:\.\d+)?)", part)
        if matched is None:
            raise ValueError("write amounts as USD=50000, EUR=45000")
        limits[matched[1].upper()] = Decimal(matched[2])
    return limits


def show_limits(limits: Mapping[str, Decimal]) -> str:
    """The text that `parse_limits` reads."""
    return ", ".join(f"{currency}={amount}" for currency, amount in limits.items())


def variable(name: str) -> str:
    """The environment variable of a settings field."""
    return f"{PREFIX}{name.upper()}"


def unknown_variables(given: Mapping[str, object]) -> list[str]:
    """One sentence for each `O2C_…` name in `given` that means nothing: most are misspelt."""
    known = {variable(name) for name in Settings.model_fields} | OTHER_VARIABLES
    nested = variable("field_names") + "__"
    sentences = []
    for name in sorted(given):
        upper = name.upper()
        if not upper.startswith(PREFIX) or upper in known or upper.startswith(nested):
            continue
        near = difflib.get_close_matches(upper, known, n=1)
        sentences.append(f"{upper} means nothing" + (f"; did you mean {near[0]}?" if near else "."))
    return sentences


def _env_file() -> Path:
    """The file that O2C_ENV_FILE names, else `.env` of the working directory, which need not exist."""
    named = os.environ.get("O2C_ENV_FILE", "")
    if named and not Path(named).exists():
        raise ConfigurationError(
            f"O2C_ENV_FILE names {named}, and there is no such file.",
            code="settings_file_missing",
            remedy=f"Correct it, or unset it to read {ENV_FILE}; {os.devnull} stands for no file.",
        )
    return Path(named) if named else ENV_FILE


def _refuse_unknown(env_file: Path | None) -> None:
    from dotenv import dotenv_values

    in_file = dotenv_values(env_file) if env_file is not None and env_file.is_file() else {}
    sentences = unknown_variables({**in_file, **os.environ})
    if sentences:
        raise ConfigurationError(
            " ".join(sentences),
            code="settings_unknown",
            remedy="Correct its name, or remove it; .env.example lists every variable.",
        )


def _configuration_error(error: ValidationError) -> ConfigurationError:
    parts = []
    for problem in error.errors(include_input=False, include_url=False, include_context=False):
        where = "__".join(str(step) for step in problem["loc"][:2])
        said = problem["msg"].removeprefix("Value error, ").rstrip(".")
        parts.append(f"{variable(where) if where else 'The settings'}: {said}")
    return ConfigurationError(
        " ".join(f"{part}." for part in parts),
        code="settings_invalid",
        remedy="Set it in the environment or in .env; .env.example explains each variable.",
    )
