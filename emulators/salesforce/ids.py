"""Record ids: 15 case-sensitive characters and their 18-character form with the checksum suffix."""

from functools import lru_cache

from emulators.salesforce.errors import OrgError

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECKSUM = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_ALLOWED = frozenset(_ALPHABET)
_POD = "Hs"  # two characters that name the instance, as in real ids


@lru_cache(maxsize=65_536)  # a parent's id comes with every child
def checksum(short: str) -> str:
    """The three characters that tell which of the 15 are upper case, five to a character."""
    suffix = ""
    for start in (0, 5, 10):
        bits = sum(1 << i for i, char in enumerate(short[start : start + 5]) if "A" <= char <= "Z")
        suffix += _CHECKSUM[bits]
    return suffix


def make_id(prefix: str, number: int) -> str:
    """The 18-character id of the `number`-th record under a three-character key prefix."""
    digits = ""
    for _ in range(9):
        number, digit = divmod(number, 62)
        digits = _ALPHABET[digit] + digits
    short = f"{prefix}{_POD}0{digits}"
    return short + checksum(short)


def is_id(value: object) -> bool:
    """Whether a value has the form of an id: 15 characters, or 18 with the right checksum."""
    if not isinstance(value, str) or not _ALLOWED.issuperset(value):
        return False
    if len(value) == 18:
        return checksum(value[:15]).upper() == value[15:].upper()
    return len(value) == 15


def long_id(value: str) -> str:
    """The 18-character form of an id; raises MALFORMED_ID for what is not one."""
    if not is_id(value):
        raise OrgError("MALFORMED_ID", f"malformed id {value}", [], status=400)
    return value[:15] + checksum(value[:15])
