"""How an operation's parameters are declared, and how a form is held against the declaration."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any

from emulators.stripe.countries import COUNTRY_CODES
from emulators.stripe.currencies import CURRENCIES
from emulators.stripe.errors import bad_parameter, empty_parameter, missing_parameter, unknown_parameters

Form = Mapping[str, Any]
Reader = Callable[[Any, str], Any]
EMAIL = re.compile(r"^[^@\s,;<>()\"']+@[^@\s.,;<>()]+(\.[^@\s.,;<>()]+)+$")


@dataclass(frozen=True)
class Spec:
    """One parameter. `read` turns the form's text into a value or raises; unsettable: '' means None."""

    read: Reader
    required: bool = False
    unsettable: bool = False
    fields: Mapping[str, Spec] | None = None  # of a hash
    items: Spec | None = None  # of a list


def required(spec: Spec) -> Spec:
    return replace(spec, required=True)


def unsettable(spec: Spec) -> Spec:
    return replace(spec, unsettable=True)


def text(limit: int = 5000) -> Spec:
    def read(value: Any, name: str) -> str:
        if not isinstance(value, str):
            raise bad_parameter("Invalid string: " + str(value), name)
        if len(value) > limit:
            message = f"Invalid string: {value[:9]}...{value[-9:]}; must be at most {limit} characters"
            raise bad_parameter(message, name)
        return value

    return Spec(read)


def integer(minimum: int | None = None, maximum: int | None = None) -> Spec:
    def read(value: Any, name: str) -> int:
        if not isinstance(value, str) or not re.fullmatch(r"-?\d+", value):
            raise bad_parameter(f"Invalid integer: {value}", name, "parameter_invalid_integer")
        number = int(value)
        if minimum is not None and number < minimum:
            message = f"This value must be greater than or equal to {minimum}."
            raise bad_parameter(message, name, "parameter_invalid_integer")
        if maximum is not None and number > maximum:
            message = f"This value must be less than or equal to {maximum}."
            raise bad_parameter(message, name, "parameter_invalid_integer")
        return number

    return Spec(read)


def amount() -> Spec:
    """Minor units: Stripe takes at most eight digits (docs.stripe.com/currencies#minimum-and-maximum)."""
    return integer(-99_999_999, 99_999_999)


def timestamp() -> Spec:
    return integer(0)


def decimal(places: int = 12, minimum: int | None = None) -> Spec:
    def read(value: Any, name: str) -> Decimal:
        try:
            number = Decimal(value)
        except (InvalidOperation, TypeError):
            raise bad_parameter(f"Invalid decimal: {value}", name) from None
        exponent = number.as_tuple().exponent
        if not isinstance(exponent, int):
            raise bad_parameter(f"Invalid decimal: {value}", name)
        if -exponent > places:
            raise bad_parameter(f"Invalid decimal: {value}; must have at most {places} decimal places", name)
        if minimum is not None and number < minimum:
            raise bad_parameter(f"This value must be greater than or equal to {minimum}.", name)
        return number

    return Spec(read)


def boolean() -> Spec:
    def read(value: Any, name: str) -> bool:
        if value not in ("true", "false"):
            raise bad_parameter(f"Invalid boolean: {value}", name)
        return bool(value == "true")

    return Spec(read)


def choice(*options: str) -> Spec:
    def read(value: Any, name: str) -> str:
        if value not in options:
            listed = ", ".join(options[:-1]) + (f", or {options[-1]}" if len(options) > 1 else options[0])
            raise bad_parameter(f"Invalid {name}: must be one of {listed}", name)
        return str(value)

    return Spec(read)


def currency() -> Spec:
    def read(value: Any, name: str) -> str:
        code = str(value).lower()
        if code not in CURRENCIES:
            listed = ", ".join(sorted(CURRENCIES))
            raise bad_parameter(
                f"Invalid currency: {code}. Stripe currently supports these currencies: {listed}", name
            )
        return code

    return Spec(read)


def country() -> Spec:
    def read(value: Any, name: str) -> str:
        if value not in COUNTRY_CODES:
            message = (
                f"Country '{value}' is unknown. Try using a 2-character alphanumeric country code instead, "
                "such as 'US', 'EG', or 'GB'. A full list of country codes is available at "
                "https://stripe.com/docs/api#country_codes"
            )
            raise bad_parameter(message, name, "country_code_invalid")
        return str(value)

    return unsettable(Spec(read))


def email() -> Spec:
    def read(value: Any, name: str) -> str:
        if not EMAIL.match(str(value)) or len(value) > 512:
            raise bad_parameter(f"Invalid email address: {value}", name, "email_invalid")
        return str(value)

    return unsettable(Spec(read))


def metadata() -> Spec:
    """At most 50 keys of 40 characters with values of 500; '' deletes a key, '' for the whole deletes all."""

    def read(value: Any, name: str) -> dict[str, str]:
        if not isinstance(value, Mapping):
            raise bad_parameter("Metadata must be a hash of keys and values.", name)
        for key, below in value.items():
            if not isinstance(below, str):
                raise bad_parameter(f"Invalid string: {below}", f"{name}[{key}]")
            if len(key) > 40 or len(below) > 500:
                part, limit, length = ("keys", 40, len(key)) if len(key) > 40 else ("values", 500, len(below))
                message = f"Metadata {part} can have up to {limit} characters, but you passed in one that is "
                raise bad_parameter(f"{message}{length} characters.", name)
        if len(value) > 50:
            raise bad_parameter("You can only have up to 50 metadata keys.", name)
        return dict(value)

    return unsettable(Spec(read))


def hash_of(**fields: Spec) -> Spec:
    def read(value: Any, name: str) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise bad_parameter("Invalid object", name)
        return read_form(value, fields, name)

    return Spec(read, fields=fields)


def list_of(item: Spec, limit: int | None = None) -> Spec:
    def read(value: Any, name: str) -> list[Any]:
        if not isinstance(value, Mapping):
            raise bad_parameter("Invalid array", name)
        if limit is not None and len(value) > limit:
            raise bad_parameter(f"Array too long: at most {limit} elements are allowed", name)
        try:
            keys = sorted(value, key=int)
        except ValueError:
            raise bad_parameter("Invalid array", name) from None
        return [_read_one(value[key], item, f"{name}[{position}]") for position, key in enumerate(keys)]

    return Spec(read, items=item)


def mapping_of(item: Spec) -> Spec:
    """A hash with free keys (currency_options)."""

    def read(value: Any, name: str) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise bad_parameter("Invalid object", name)
        return {key: _read_one(below, item, f"{name}[{key}]") for key, below in value.items()}

    return Spec(read, items=item)


def either(*specs: Spec) -> Spec:
    """The first that fits (a range filter is a timestamp or a hash); a hash goes to the one with fields."""

    def read(value: Any, name: str) -> Any:
        wants_hash = isinstance(value, Mapping)
        for spec in specs:
            if bool(spec.fields) == wants_hash:
                return spec.read(value, name)
        return specs[0].read(value, name)

    nested = next((spec.fields for spec in specs if spec.fields), None)
    return Spec(read, fields=nested)


def created_range() -> Spec:
    return either(timestamp(), hash_of(gt=timestamp(), gte=timestamp(), lt=timestamp(), lte=timestamp()))


EXPAND = list_of(text())


def read_form(form: Form, fields: Mapping[str, Spec], prefix: str = "") -> dict[str, Any]:
    """The typed parameters of a form; raises StripeError for the first thing wrong."""
    unknown = [_full(name, prefix) for name in form if name not in fields]
    if unknown:
        raise unknown_parameters(unknown)
    values: dict[str, Any] = {}
    for name, spec in fields.items():
        if name in form:
            values[name] = _read_one(form[name], spec, _full(name, prefix))
        elif spec.required:
            raise missing_parameter(_full(name, prefix))
    return values


def _full(name: str, prefix: str) -> str:
    return f"{prefix}[{name}]" if prefix else name


def _read_one(value: Any, spec: Spec, name: str) -> Any:
    if value == "":
        if spec.unsettable:
            return None
        raise empty_parameter(name)
    return spec.read(value, name)


def form_tree(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """Form pairs as nested dicts; `a[]` counts up. StripeError: a key is value and hash at once."""
    root: dict[str, Any] = {}
    for key, value in pairs:
        steps = key.replace("]", "").split("[")
        spot = root
        for step in steps[:-1]:
            below = spot.setdefault(step or str(len(spot)), {})
            if not isinstance(below, dict):
                raise bad_parameter("Invalid request parameters", key)
            spot = below
        last = steps[-1] or str(len(spot))
        if isinstance(spot.get(last), dict):
            raise bad_parameter("Invalid request parameters", key)
        spot[last] = value
    return root


def as_form(value: Any) -> Any:
    """A JSON value as a form would give it: texts in dicts."""
    if isinstance(value, Mapping):
        return {name: as_form(below) for name, below in value.items()}
    if isinstance(value, list):
        return {str(position): as_form(below) for position, below in enumerate(value)}
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
