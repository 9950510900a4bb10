"""What may be shown: secrets removed, personal data masked. For audit rows, logs, artifacts and error texts.

Company names, record ids and amounts stay readable; e-mail, phone and postal addresses, card numbers, keys,
tokens and signatures do not. The result is JSON-like and redacting it again changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from functools import lru_cache
from typing import Any

from pydantic import BaseModel

SECRET = "[secret]"  # noqa: S105 — the mark that replaces a secret, not one
PHONE = "[phone]"
CARD = "[card]"
ADDRESS = "[address]"
EMAIL = "[email]"

_SECRET_KEY = re.compile(
    r"(?i)(authorization|password|passwd|secret|api[_-]?key|private[_-]?key|access[_-]?token|refresh[_-]?token"
    r"|id[_-]?token|bot[_-]?token|signature|assertion|session[_-]?id|cookie|bearer|credential|^token$|^sid$|^cvc$)"
)
_ADDRESS_KEY = re.compile(
    r"(?i)^(line[12]|city|postal_?code|zip|(billing|shipping|mailing|other)?(street|city|postal_?code|latitude|longitude))$"
)
_CARD_KEY = re.compile(r"(?i)^(card_?number|pan)$")
_PHONE_KEY = re.compile(r"(?i)(phone|^mobile$|^fax$)")
_EMAIL_KEY = re.compile(r"(?i)e_?mail(__c)?$|^email_address$")
_MARKS = ((_SECRET_KEY, SECRET), (_ADDRESS_KEY, ADDRESS), (_PHONE_KEY, PHONE), (_CARD_KEY, CARD))

# Shapes of secrets: Stripe keys and signing secrets, Slack tokens, Salesforce sessions, JWTs, client secrets
# of payments, PEM blocks, passwords in addresses, sessions of the customer portal, v1 signatures of webhooks.
_SECRETS = re.compile(
    r"""
      \b(?:sk|rk|pk|ek)_(?:test|live)_[A-Za-z0-9_]+
    | \bwhsec_[A-Za-z0-9+/=_-]+
    | \bxox[a-z]-[A-Za-z0-9-]+ | \bxapp-[A-Za-z0-9-]+
    | \b00D[A-Za-z0-9]{12,15}(?:!|%21)[A-Za-z0-9._]+
    | \beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?
    | \b(?:pi|seti)_[A-Za-z0-9]+_secret_[A-Za-z0-9]+
    | -----BEGIN[ A-Z]*PRIVATE\ KEY-----.*?(?:-----END[ A-Z]*PRIVATE\ KEY-----|\Z)
    | (?<=://)[^\s/@:]*:[^\s/@]+(?=@)
    | (?<=/p/session/)[A-Za-z0-9_-]+
    | (?<=[,\s]v1=)[0-9a-f]{32,}
    """,
    re.VERBOSE | re.DOTALL,
)
_SCHEME = re.compile(r"(?i)\b(bearer|basic)(\s+)(?!\[secret\])[A-Za-z0-9+/=._~-]{8,}")
# name=value, name='value', "name": "value" and name%5D=value inside longer texts: form bodies, JSON, query strings
# and the representations of records in tracebacks.
_HEAD = re.compile(
    r"""(?ix)
    (?<![a-z0-9_-])(?:(?<=%)5B)?(?P<name>[a-z][a-z0-9_-]{0,60})(?![a-z0-9_-])
    (?:\]|%5D)? (?: \\?["']\s*:\s* | = )
    """
)
_VALUE = re.compile(r"""(?s)(?P<quote>\\?["'])(?P<quoted>(?:(?!(?P=quote)).)*)|(?P<bare>[^&\s"'\\,})]+)""")
_LOCAL = r"[^\s@<>\"'(),;:=&/\\|\[\]]{1,128}?"
_DOMAIN = r"[^\s@%<>\"'(),;:=&/\\|\[\]]{1,255}"
_EMAILS = re.compile(rf"{_LOCAL}(?:@|%40){_DOMAIN}\.{_DOMAIN}")
_PHONES = re.compile(
    r"(?<![\w+])(?<!\d\.)"
    r"(?:(?:\+|%2B)\d[\d\s().+-]{6,30}\d|(?:\(\d{3}\)\s?|\d{3}[-.\s])\d{3}[-.\s]\d{4})(?![\w-])"
)
# Issuer numbers start with 2 (Mastercard), 3 (Amex, Diners, JCB), 4 (Visa), 5 (Mastercard) or 6 (Discover).
_CARDS = re.compile(r"(?<!\w)(?<!\d\.)[2-6]\d{3}(?:[ +-]?\d){9,15}(?!\w|\.\d)")


def redact(value: Any) -> Any:
    """`value` with secrets removed and personal data masked; mappings and lists are copied, never changed."""
    return _redact(value, "")


def mask_email(email: str) -> str:
    """`ada@example.com` → `a…@example.com`; what has no @ becomes ``[email]``."""
    local, at, domain = email.strip().rpartition("@")
    if not at or not domain:
        return EMAIL if email.strip() else ""
    return f"{local[:1]}…@{domain}"


def _redact(value: Any, key: str) -> Any:
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    elif is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        inherited = key if _SECRET_KEY.search(_last(key)) else ""
        return {
            _redact_text(str(name), ""): _redact(item, inherited or str(name)) for name, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_redact(item, key) for item in value]
    return _redact_scalar(value, key)


def _redact_scalar(value: Any, key: str) -> Any:
    if value is None or isinstance(value, bool | float):
        return _by_key(value, key)
    if isinstance(value, int):
        return _redact_number(value, key)
    if isinstance(value, bytes | bytearray):
        value = bytes(value).decode("utf-8", "replace")
    return _redact_text(str(value), key)


def _redact_number(value: int, key: str) -> Any:
    marked = _by_key(value, key)
    if marked is not value:
        return marked
    return CARD if _CARDS.fullmatch(str(value)) and _luhn(str(value)) else value


def _redact_text(text: str, key: str) -> str:
    marked = _by_key(text, key) if text else text
    if marked is not text:
        return str(marked)
    if text.isalnum() and text.isascii() and not text.isdigit():
        return text  # all that is sought below has signs in it, or is a number: most of an answer is ids and names
    text = _SECRETS.sub(SECRET, text)
    text = _SCHEME.sub(rf"\1\2{SECRET}", text)
    text = _redact_named(text)
    text = _EMAILS.sub(lambda found: mask_email(found[0].replace("%40", "@")), text)
    text = _CARDS.sub(lambda found: CARD if _luhn(found[0]) else found[0], text)
    return _PHONES.sub(PHONE, text)


def _redact_named(text: str) -> str:
    """`text` with the values masked that stand beside a name which demands it."""
    shown: list[str] = []
    at = 0
    for head in _HEAD.finditer(text):
        if head.start() < at or _by_key("x", head["name"]) == "x":
            continue
        value = _VALUE.match(text, head.end())
        if value is not None:
            group = "bare" if value["quote"] is None else "quoted"
            shown += [text[at : value.start(group)], str(_by_key(value[group], head["name"]))]
            at = value.end(group)
    return "".join([*shown, text[at:]])


def _by_key(value: Any, key: str) -> Any:
    """`value` itself, or the mark that the name of its field demands."""
    name = _last(key)
    if not name or value is None or isinstance(value, bool):
        return value
    mark = _mark(name)
    if mark == EMAIL:
        return mask_email(str(value))
    return mark or value


@lru_cache(maxsize=4096)
def _mark(name: str) -> str:
    """What stands for the value of a field of this name; empty where nothing need."""
    if _EMAIL_KEY.search(name):
        return EMAIL
    return next((mark for pattern, mark in _MARKS if pattern.search(name)), "")


def _last(key: str) -> str:
    """The innermost name of a form key: ``address[line1]`` → ``line1``."""
    return key.rstrip("]").rpartition("[")[2]


def _luhn(text: str) -> bool:
    """Whether 12 to 19 digits carry a valid check digit (ISO/IEC 7812-1)."""
    digits = [int(char) for char in text if char.isdigit()]
    if not 12 <= len(digits) <= 19:
        return False
    doubled = (digit * 2 for digit in digits[-2::-2])
    return (sum(digits[-1::-2]) + sum(digit - 9 if digit > 9 else digit for digit in doubled)) % 10 == 0
