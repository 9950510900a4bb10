"""What a resource is: its declared fields, operations and relations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from emulators.stripe.params import Spec

if TYPE_CHECKING:
    from emulators.stripe.api import Api
    from emulators.stripe.world import World

Obj = dict[str, Any]
Params = dict[str, Any]


@dataclass(frozen=True)
class Operation:
    """One endpoint. `path` is relative to /v1/ with `{id}` and `{sub}` as placeholders.

    run(api, ids, params) returns an object of the store, or a ready dict such as a list.
    permission: what a restricted key needs, without `rak_` (`invoice_write`).
    sdk: the SDK's parameter type by module name (`invoice_create`), for the conformance test.
    """

    method: str
    path: str
    run: Callable[[Api, list[str], Params], Obj]
    accepts: Mapping[str, Spec]
    permission: str
    sdk: str | None = None
    search: bool = False


@dataclass(frozen=True)
class Resource:
    """One type of object.

    fields: every field it emits, with its default; id, object, created and livemode are the engine's.
    expandable: dotted paths that hold an id, with the type each may expand to.
    includable: fields emitted only when expanded, computed from the stored object.
    holds: dotted paths of embedded objects (`lines.data`), with their type.
    present: fields computed at every rendering (embedded lists).
    """

    name: str
    path: str
    prefix: str
    fields: Mapping[str, Any]
    operations: tuple[Operation, ...] = ()
    expandable: Mapping[str, str] = field(default_factory=dict)
    includable: Mapping[str, Callable[[World, Obj], Any]] = field(default_factory=dict)
    holds: Mapping[str, str] = field(default_factory=dict)
    present: Callable[[World, Obj, Obj], None] | None = None
    id_length: int = 24
    livemode: bool = True
    created: bool = True
    searchable: frozenset[str] = frozenset()
    noun: str = ""  # in "No such …", when it differs from the name

    @property
    def called(self) -> str:
        return self.noun or self.name


def clone(value: Any) -> Any:
    """A deep copy of JSON data without private keys (those that begin with `_`)."""
    if isinstance(value, dict):
        return {key: clone(below) for key, below in value.items() if not key.startswith("_")}
    if isinstance(value, list):
        return [clone(below) for below in value]
    return value
