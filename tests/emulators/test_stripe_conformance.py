"""The emulator held to the SDK's generated types: every emitted field, every accepted parameter."""

from __future__ import annotations

import builtins
import re
import typing
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType, NoneType
from typing import Any, Literal

import pytest
import stripe
from stripe._object_classes import OBJECT_CLASSES, V2_OBJECT_CLASSES
from stripe.events._event_classes import get_v2_event_class
from stripe.params import _invoice_create_params

import emulators.stripe
from emulators.stripe.events import API_VERSION
from emulators.stripe.model import Operation
from emulators.stripe.params import Spec
from emulators.stripe.registry import OPERATIONS
from emulators.stripe.service import StripeService
from tests.emulators.stripe_story import tell

TRANSPORT_OPTIONS = frozenset(_invoice_create_params.InvoiceCreateParams.__annotations__) & frozenset(
    {
        "api_key",
        "stripe_version",
        "stripe_account",
        "stripe_context",
        "max_network_retries",
        "idempotency_key",
        "content_type",
        "headers",
    }
)


SOURCES = "".join(each.read_text() for each in Path(emulators.stripe.__path__[0]).glob("*.py"))
KINDS = {**V2_OBJECT_CLASSES, **OBJECT_CLASSES}
WRAPPERS = (typing.NotRequired, typing.Required, typing.Union, list)


def object_class(kind: str) -> type[stripe.StripeObject]:
    module, name = KINDS[kind]
    found: type[stripe.StripeObject] = getattr(import_module(module), name)
    return found


class Names(dict[str, Any]):
    """What the SDK's annotations may name: its modules import other objects for type checkers only."""

    def __missing__(self, name: str) -> Any:
        for module, class_name in OBJECT_CLASSES.values():
            if class_name == name.removesuffix("Resource"):
                return getattr(import_module(module), class_name)
        return getattr(builtins, name)


def alternatives(types: Any) -> Iterator[Any]:
    """What an annotation allows, NotRequired, Union and List taken off."""
    if typing.get_origin(types) in WRAPPERS:
        for each in typing.get_args(types):
            yield from alternatives(each)
    else:
        yield types


def names_of(types: Any) -> Iterator[Any]:
    """`alternatives` without None."""
    return (each for each in alternatives(types) if each is not NoneType)


def resolved(annotation: Any, module: ModuleType) -> Any:
    """An annotation whose forward references (strings within strings too) are looked up in its module."""
    if isinstance(annotation, str):
        return resolved(
            eval(annotation, {}, Names(vars(typing) | vars(module))), module
        )  # the SDK's own source
    if isinstance(annotation, typing.ForwardRef):
        return resolved(annotation.__forward_arg__, module)
    arguments = typing.get_args(annotation)
    if arguments and typing.get_origin(annotation) in WRAPPERS:
        flat = [part for each in arguments for part in alternatives(resolved(each, module))]
        return typing.Union[tuple(flat)]  # noqa: UP007 - built at run time
    return annotation


def params_type(name: str) -> tuple[Any, ModuleType]:
    """`invoice_create` → InvoiceCreateParams and the module that defines it; `v2.core.event_retrieve` alike."""
    package, _, name = name.rpartition(".")
    module = import_module(f"stripe.params{'.' if package else ''}{package}._{name}_params")
    wanted = name.replace("_", "") + "params"
    found = [each for each in vars(module) if each.lower() == wanted]
    return getattr(module, found[0]), module


def unknown_params(fields: Mapping[str, Spec], typed: Any, module: ModuleType, path: str = "") -> list[str]:
    hints = typed.__annotations__
    wrong = [path + name for name in fields if name not in hints or name in TRANSPORT_OPTIONS]
    for name, spec in fields.items():
        below = spec.items.fields if spec.items is not None else spec.fields
        if name not in hints or not below:
            continue
        inner = [each for each in names_of(resolved(hints[name], module)) if typing.is_typeddict(each)]
        for each in inner[:1]:
            wrong += unknown_params(below, each, module, f"{path}{name}.")
    return wrong


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: f"{each.method} {each.path}")
def test_accepted_parameters_are_the_sdks(operation: Operation) -> None:
    assert operation.sdk is not None
    typed, module = params_type(operation.sdk)
    assert unknown_params(operation.accepts, typed, module) == []


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: f"{each.method} {each.path}")
def test_what_the_sdk_requires_is_required(operation: Operation) -> None:
    assert operation.sdk is not None
    typed, _ = params_type(operation.sdk)
    assert typed.__required_keys__ - TRANSPORT_OPTIONS <= {
        name for name, spec in operation.accepts.items() if spec.required
    }


def test_the_sdk_pins_the_version_that_is_emulated() -> None:
    assert stripe.api_version == API_VERSION


def wrong_fields(value: Any, typed: Any, path: str) -> list[str]:
    """Fields of `value` that the SDK's class does not have, and values of a plainly other type."""
    if isinstance(value, list):
        return [each for below in value for each in wrong_fields(below, typed, path + "[]")]
    if not isinstance(value, dict):
        return []
    if isinstance(value.get("object"), str) and value["object"] in KINDS:
        typed = object_class(value["object"])
    hints = getattr(typed, "__annotations__", {})
    if value.get("object") == "v2.core.event":  # its related object stands in the class of its type only
        hints = {**hints, **get_v2_event_class(value["type"]).__annotations__}
    module = import_module(typed.__module__)
    wrong = []
    for name, below in value.items():
        if name not in hints:
            wrong.append(f"{path}.{name}")
            continue
        wrong += mismatches(below, resolved(hints[name], module), f"{path}.{name}")
    return wrong


def mismatches(value: Any, annotation: Any, path: str) -> list[str]:
    options = list(names_of(annotation))
    if value is None:
        return [] if _may_be_missing(annotation) else [f"{path} is null"]
    numbers_only = bool(options) and all(each in (int, bool, float) for each in options)
    if (isinstance(value, bool | int) and not _fits_number(value, options)) or (
        isinstance(value, str) and numbers_only
    ):
        return [f"{path}: {value!r} is not {options}"]
    if isinstance(value, dict) and value.get("object") == "list":
        return [each for below in value["data"] for each in wrong_fields(below, None, path)]
    listed = {
        part for each in options if typing.get_origin(each) is Literal for part in typing.get_args(each)
    }
    if isinstance(value, str) and listed and value not in listed:
        return [f"{path}: {value!r} is not one of {sorted(listed)}"]
    classes = [each for each in options if isinstance(each, type) and issubclass(each, stripe.StripeObject)]
    if isinstance(value, dict | list) and classes:
        return wrong_fields(value, classes[0], path)
    return []


def _fits_number(value: int, options: list[Any]) -> bool:
    wanted = bool if isinstance(value, bool) else int
    return (
        not options
        or wanted in options
        or Any in options
        or any(typing.get_origin(each) is Literal for each in options)
    )


@pytest.fixture(scope="module")
def emitted() -> dict[str, list[Any]]:
    """Every object that a long story made the API emit, by type, events' snapshots included."""
    service = StripeService()
    tell(service)
    found: dict[str, list[Any]] = {}
    for entry in service.journal.entries:
        for each in objects_in(entry.response):
            found.setdefault(each["object"], []).append(each)
    return found


def objects_in(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, list):
        for each in value:
            yield from objects_in(each)
    elif isinstance(value, dict):
        if isinstance(value.get("object"), str) and value["object"] not in ("list", "search_result"):
            yield value
        for each in value.values():
            yield from objects_in(each)


def test_every_event_is_of_a_type_the_sdk_knows(emitted: dict[str, list[Any]]) -> None:
    known = set(typing.get_args(typing.get_type_hints(stripe.Event)["type"]))
    assert {event["type"] for event in emitted["event"]} <= known
    in_source = re.findall(r'"((?:[a-z_]+\.)+[a-z_]+)"', SOURCES)
    others = {*KINDS, *(operation.sdk for operation in OPERATIONS)}
    first = {kind.split(".")[0] for kind in known}
    assert {each for each in in_source if each.split(".")[0] in first} - others <= known


def test_every_error_code_is_one_the_sdk_knows() -> None:
    module = import_module("stripe._invoice")
    hint = resolved(stripe.Invoice.LastFinalizationError.__annotations__["code"], module)
    known = {value for each in names_of(hint) for value in typing.get_args(each)}
    used = set(re.findall(r'code="([a-z_]+)"', SOURCES))
    assert used - known == set()
    assert "parameter_unknown" in used


STORY_OBJECTS = sorted(
    {
        "account",
        "billing_portal.session",
        "charge",
        "checkout.session",
        "credit_note",
        "credit_note_line_item",
        "customer",
        "dispute",
        "event",
        "invoice",
        "invoice_payment",
        "invoiceitem",
        "line_item",
        "payment_intent",
        "payment_method",
        "payment_record",
        "plan",
        "price",
        "product",
        "refund",
        "subscription",
        "subscription_item",
        "v2.core.event",
        "v2.core.event_destination",
        "webhook_endpoint",
    }
)


@pytest.mark.parametrize("kind", STORY_OBJECTS)
def test_emitted_objects_are_the_sdks(emitted: dict[str, list[Any]], kind: str) -> None:
    assert emitted.get(kind), f"the story makes no {kind}"
    wrong = {each for obj in emitted[kind] for each in wrong_fields(obj, object_class(kind), kind)}
    assert wrong == set()


@pytest.mark.parametrize("kind", STORY_OBJECTS)
def test_fields_that_are_always_there_are_emitted(emitted: dict[str, list[Any]], kind: str) -> None:
    """What the SDK types as present and not null must not be missing."""
    typed = object_class(kind)
    module = import_module(typed.__module__)
    always = {
        name
        for name, hint in typed.__annotations__.items()
        if name != "OBJECT_NAME" and not _may_be_missing(resolved(hint, module))
    }
    missing = {name for obj in emitted[kind] if not obj.get("deleted") for name in always - obj.keys()}
    assert missing == set()


def _may_be_missing(annotation: Any) -> bool:
    return annotation is NoneType or NoneType in typing.get_args(annotation)
