"""Which addresses and keys belong to which environment (R87): one of one never talks to another."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from order_to_cash.domain.errors import ConfigurationError
from order_to_cash.domain.records import Environment


def is_loopback(url: str) -> bool:
    """Whether `url` points at this machine, by name or address."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def require_emulator_address(system: str, url: str) -> None:
    if not is_loopback(url):
        raise ConfigurationError(
            f"The emulator environment may only talk to this machine, and {system}'s address is not on it.",
            code="wrong_environment",
            remedy="Point it at the local emulators, or set O2C_ENVIRONMENT to test or live.",
        )


def require_stripe_place(environment: Environment, api_base: str, key: str) -> None:
    """Raise ConfigurationError unless key, address and environment belong together. The key is not shown."""
    kind, _, rest = key.partition("_")
    mode = rest.partition("_")[0]
    if kind not in {"sk", "rk"} or mode not in {"test", "live"}:
        raise ConfigurationError(
            "The Stripe key is not a secret or restricted key (sk_… or rk_…).",
            code="stripe_key_kind",
            remedy="Use a restricted key (rk_…) with the rights that `o2c doctor` lists.",
        )
    if (mode == "live") != (environment is Environment.LIVE):
        raise ConfigurationError(
            f"A {mode}-mode Stripe key is set in the {environment} environment.",
            code="wrong_environment",
            remedy="A live key belongs to live only; use a key of the same environment.",
        )
    if environment is Environment.EMULATOR:
        require_emulator_address("Stripe", api_base)
    elif api_base.rstrip("/") != "https://api.stripe.com":
        raise ConfigurationError(
            f"In the {environment} environment Stripe is only reached at https://api.stripe.com.",
            code="wrong_environment",
            remedy="Remove the Stripe address from the settings.",
        )


def require_salesforce_place(environment: Environment, url: str) -> None:
    """Raise ConfigurationError unless a login or instance address fits the environment."""
    if environment is Environment.EMULATOR:
        require_emulator_address("Salesforce", url)
        return
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "https" or not host.endswith(".salesforce.com"):
        raise ConfigurationError(
            f"In the {environment} environment Salesforce is only reached at https://….salesforce.com.",
            code="wrong_environment",
            remedy="Use the org's My Domain address, such as https://acme.my.salesforce.com.",
        )


def salesforce_audience(login_url: str) -> str:
    """The `aud` of a JWT login: the authorization server, which is another for sandboxes."""
    host = urlsplit(login_url).hostname or ""
    sandbox = "--" in host or ".sandbox.my." in host or ".scratch.my." in host
    return "https://test.salesforce.com" if sandbox else "https://login.salesforce.com"
