"""Secrets as the gateways hold them: wrapped, so that no repr, log line or traceback shows one."""

from __future__ import annotations

import base64
import binascii

from pydantic import SecretStr

from order_to_cash.domain.errors import ConfigurationError

_PEM = "-----BEGIN"


def as_secret(value: str | SecretStr) -> SecretStr:
    return value if isinstance(value, SecretStr) else SecretStr(value)


def private_key_pem(value: str | SecretStr) -> SecretStr:
    r"""A private key in PEM, from PEM, PEM with its line ends written as ``\n``, or base64 of PEM.

    Environment variables and secret stores often cannot hold line ends. Raises ConfigurationError.
    """
    text = as_secret(value).get_secret_value().strip()
    if not text.startswith(_PEM):
        try:
            text = base64.b64decode("".join(text.split()), validate=True).decode("ascii").strip()
        except (binascii.Error, ValueError):
            text = ""
    text = text.replace("\\r", "").replace("\\n", "\n")
    if not text.startswith(_PEM):
        raise ConfigurationError(
            "The Salesforce private key is not in PEM format.",
            code="private_key",
            remedy="Give the PEM text (line ends may be written \\n) or its base64.",
        )
    return SecretStr(text + "\n")
