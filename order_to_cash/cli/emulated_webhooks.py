"""With the emulators the receiver needs no set-up: `o2c up` and `o2c demo` make its webhook endpoint there."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import SecretStr

from order_to_cash.domain.audit import NoAudit
from order_to_cash.domain.records import Environment
from order_to_cash.domain.sync.handled import HANDLED
from order_to_cash.settings import Settings

_FILE = "emulator-webhook.json"


def needed(settings: Settings) -> bool:
    """In the emulator environment alone, and only where nobody has set a secret."""
    return settings.environment is Environment.EMULATOR and not settings.stripe_webhook_secrets


def kept_for(settings: Settings) -> str:
    """The id of the emulator's endpoint whose secret is kept here; "" for none."""
    return _known(settings.home / _FILE)[0] if needed(settings) else ""


async def registered(settings: Settings, url: str) -> SecretStr:
    """The secret of the emulator's endpoint `url`: of the one that is there, if we made it, else of a new one.

    Stripe tells a secret once, so it is kept in `O2C_HOME`. Raises Unavailable when the emulator does not answer.
    """
    from order_to_cash.cli.wiring import make_home, stripe_gateway

    assert settings.environment is Environment.EMULATOR
    file = make_home(settings) / _FILE
    known_id, secret = _known(file)
    gateway = stripe_gateway(settings, NoAudit(), "o2c up")
    try:
        for endpoint in await gateway.webhook_endpoints():
            if endpoint.url != url:
                continue
            if endpoint.endpoint_id == known_id and endpoint.enabled and not endpoint.lacks(HANDLED):
                return SecretStr(secret)
            await _delete(settings, endpoint.endpoint_id)
        made = await gateway.create_webhook_endpoint(url, HANDLED)
    finally:
        await gateway.aclose()
    file.touch(mode=0o600)
    kept = {"endpoint": made.endpoint_id, "secret": made.secret.get_secret_value()}
    file.write_text(json.dumps(kept), encoding="utf-8")
    return made.secret


def _known(file: Path) -> tuple[str, str]:
    """Endpoint and secret of an earlier time, or nothing."""
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        return str(kept["endpoint"]), str(kept["secret"])
    except (OSError, ValueError, KeyError, TypeError):
        return "", ""


async def _delete(settings: Settings, endpoint_id: str) -> None:
    """Of the emulator only: what the product asks of a real account never includes deleting an endpoint."""
    import httpx

    url = f"{settings.stripe_api_base.rstrip('/')}/v1/webhook_endpoints/{endpoint_id}"
    async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
        answer = await client.delete(url, auth=(settings.stripe_api_key.get_secret_value(), ""))
    answer.raise_for_status()
