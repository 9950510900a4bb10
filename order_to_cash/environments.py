"""Which environment talks to what (R87). A component of one environment never talks to another's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from order_to_cash.domain.errors import ConfigurationError
from order_to_cash.domain.records import Environment
from order_to_cash.gateways.places import is_loopback

if TYPE_CHECKING:
    from order_to_cash.settings import Settings

EMULATOR_URLS = {
    "stripe": "http://127.0.0.1:12111",
    "salesforce": "http://127.0.0.1:12112",
    "slack": "http://127.0.0.1:12113",
}
EMULATOR_DEFAULTS: dict[str, Any] = {
    "stripe_api_key": "sk_test_emulator",
    "stripe_api_base": EMULATOR_URLS["stripe"],
    "salesforce_base_url": EMULATOR_URLS["salesforce"],
    "salesforce_client_id": "emulator-client",
    "salesforce_client_secret": "emulator-secret",
    "slack_bot_token": "xoxb-emulator",
    "slack_base_url": EMULATOR_URLS["slack"],
    "slack_channel": "#billing",
    "smtp_host": "127.0.0.1",
    "smtp_port": 12115,
    "smtp_security": "none",
    "smtp_from": "Billing <billing@emulator.example>",
}
"""What the emulators work with where nothing is set."""
_EMULATOR_ADDRESSES = ("stripe_api_base", "salesforce_base_url", "slack_base_url")
# My Domain partitions of orgs that hold no production data (Salesforce Help, "My Domain URL Formats").
_SANDBOX_PARTITIONS = (".sandbox.my.", ".scratch.my.", ".develop.my.", ".demo.my.", ".trailblaze.my.")


def check_environment(settings: Settings) -> None:
    """Raises ConfigurationError naming every variable that is missing or belongs to another environment."""
    problems = list(_problems(settings))
    if problems:
        raise ConfigurationError(
            f"The settings do not fit the environment {settings.environment}. " + " ".join(problems),
            code="environment_mixed",
            remedy="Correct the variables in the environment or in .env; .env.example explains each.",
        )


def key_mode(key: str) -> str:
    """ "live" or "test" by the prefix of a Stripe key (`sk_live_`, `rk_test_` …), else ""."""
    parts = key.split("_")
    if len(parts) >= 3 and parts[0] in {"sk", "rk"} and parts[1] in {"live", "test"}:
        return parts[1]
    return ""


def sandbox_domain(domain: str) -> bool:
    """Whether a Salesforce My Domain host is a sandbox, scratch or developer org."""
    host = domain.lower()
    return "--" in host or any(partition in host for partition in _SANDBOX_PARTITIONS)


def _problems(settings: Settings) -> list[str]:
    if settings.environment is Environment.EMULATOR:
        return _emulator_problems(settings)
    return [
        *_missing(settings),
        *_stripe_problems(settings),
        *_salesforce_problems(settings),
        *_address_problems(settings),
        *_mail_problems(settings),
    ]


def _emulator_problems(settings: Settings) -> list[str]:
    problems = []
    if key_mode(settings.stripe_api_key.get_secret_value()) == "live":
        problems.append("O2C_STRIPE_API_KEY is a live key: the emulator takes sk_test_… or rk_test_….")
    if settings.salesforce_domain:
        problems.append(
            "O2C_SALESFORCE_DOMAIN names a real org: leave it empty, or set O2C_ENVIRONMENT=test."
        )
    problems += [
        f"O2C_{name.upper()} is not on this machine: an emulator's address belongs there."
        for name in _EMULATOR_ADDRESSES
        if not is_loopback(getattr(settings, name))
    ]
    if settings.smtp_host and not is_loopback(f"smtp://{settings.smtp_host}"):
        problems.append("O2C_SMTP_HOST is not on this machine: the emulators' mail server belongs there.")
    return problems


def _missing(settings: Settings) -> list[str]:
    needed = {
        "O2C_STRIPE_API_KEY": (settings.stripe_api_key.get_secret_value(), "a restricted Stripe key (rk_…)"),
        "O2C_SALESFORCE_DOMAIN": (settings.salesforce_domain, "the My Domain host, acme.my.salesforce.com"),
        "O2C_SALESFORCE_CLIENT_ID": (settings.salesforce_client_id, "the External Client App's consumer key"),
        "O2C_BILL_DEALS_CLOSED_ON_OR_AFTER": (
            settings.bill_deals_closed_on_or_after,
            "the go-live date as YYYY-MM-DD: no deal closed before it is ever billed",
        ),
    }
    problems = [
        f"{name} is not set: put {what} there." for name, (value, what) in needed.items() if not value
    ]
    if settings.salesforce_login == "jwt":
        if not settings.salesforce_username:
            problems.append("O2C_SALESFORCE_USERNAME is not set: put the integration user's name there.")
    elif not settings.salesforce_client_secret.get_secret_value():
        problems.append(
            "O2C_SALESFORCE_CLIENT_SECRET is not set: put the consumer secret there, "
            "or a PEM key into O2C_SALESFORCE_PRIVATE_KEY for the JWT login."
        )
    if bool(settings.slack_bot_token.get_secret_value()) != bool(settings.slack_channel):
        problems.append("O2C_SLACK_BOT_TOKEN and O2C_SLACK_CHANNEL belong together: set both or neither.")
    return problems


def _stripe_problems(settings: Settings) -> list[str]:
    key = settings.stripe_api_key.get_secret_value()
    if not key:
        return []
    mode = key_mode(key)
    wanted = str(settings.environment)
    if mode == wanted:
        return []
    is_a = f"a {mode} key" if mode else "not a Stripe secret or restricted key"
    return [f"O2C_STRIPE_API_KEY is {is_a}: put one that starts with rk_{wanted}_ there."]


def _salesforce_problems(settings: Settings) -> list[str]:
    domain = settings.salesforce_domain
    if not domain:
        return []
    if "/" in domain or "." not in domain:
        return [
            "O2C_SALESFORCE_DOMAIN is a host name without https:// and path, such as acme.my.salesforce.com."
        ]
    if settings.environment is Environment.LIVE and sandbox_domain(domain):
        return ["O2C_SALESFORCE_DOMAIN names a sandbox: the live environment takes the production org."]
    if settings.environment is Environment.TEST and not sandbox_domain(domain):
        return ["O2C_SALESFORCE_DOMAIN names a production org: the test environment takes a sandbox."]
    return []


def _address_problems(settings: Settings) -> list[str]:
    return [
        f"O2C_{name.upper()} is for the emulators: leave it empty in {settings.environment}."
        for name in _EMULATOR_ADDRESSES
        if getattr(settings, name)
    ]


def _mail_problems(settings: Settings) -> list[str]:
    """A sandbox may hold copies of real Accounts: from test no customer may be written to."""
    if bool(settings.smtp_host) != bool(settings.smtp_from):
        return ["O2C_SMTP_HOST and O2C_SMTP_FROM belong together: set both or neither."]
    if not settings.smtp_host:
        return []
    problems = []
    if settings.smtp_security == "none" and not is_loopback(f"smtp://{settings.smtp_host}"):
        problems.append("O2C_SMTP_SECURITY=none is for a relay on this machine only: use starttls or tls.")
    if bool(settings.smtp_username) != bool(settings.smtp_password.get_secret_value()):
        problems.append("O2C_SMTP_USERNAME and O2C_SMTP_PASSWORD belong together: set both or neither.")
    if settings.environment is Environment.TEST and not settings.smtp_redirect_to:
        problems.append(
            "O2C_SMTP_REDIRECT_TO is not set: in test every mail goes there, and none to a customer."
        )
    if settings.environment is Environment.LIVE and settings.smtp_redirect_to:
        problems.append("O2C_SMTP_REDIRECT_TO is set: in live mail goes to the customers; leave it empty.")
    return problems
