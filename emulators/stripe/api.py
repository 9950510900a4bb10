"""What an operation may do: find, make, change and delete objects, and say so in events and journal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from emulators.engine import Call, Effect
from emulators.stripe.errors import bad_parameter, no_such
from emulators.stripe.events import emit
from emulators.stripe.model import Obj, Params, Resource, clone

if TYPE_CHECKING:
    from emulators.stripe.service import StripeService
    from emulators.stripe.world import World

HASHES_MERGED = frozenset(
    {"address", "shipping", "invoice_settings", "billing_details", "automatic_tax", "payment_settings"}
)
# Stripe tells of these changes twice: by their own event, and as an update.
TWINNED = frozenset({"invoice.paid", "invoice.voided", "invoice.marked_uncollectible"})


class Api:
    """One operation on one world; without a call it is the account itself acting (a timer, a retry)."""

    def __init__(self, service: StripeService, world: World, call: Call | None = None) -> None:
        self.service, self.world, self.call = service, world, call
        self.settings = service.settings
        self.now = service.clock.epoch()

    def find(self, kind: str, object_id: str, param: str | None = None) -> Obj:
        """A living object; raises StripeError `resource_missing`: 404 for an id in the path (no `param`)."""
        obj = self.world.get(kind, object_id)
        if obj is None or (obj.get("_deleted") and param is not None):
            other = self.service.other_world(self.world)
            elsewhere = other.mode if other.get(kind, object_id) is not None else ""
            raise no_such(
                self.world.resources[kind].called,
                object_id,
                param or "id",
                in_path=param is None,
                elsewhere=elsewhere,
            )
        return obj

    def find_alive(self, kind: str, object_id: str) -> Obj:
        """`find` by the path; a deleted object is missing too."""
        obj = self.find(kind, object_id)
        if obj.get("_deleted"):
            raise no_such(self.world.resources[kind].called, object_id, "id", in_path=True)
        return obj

    def blank(self, kind: str, **values: Any) -> Obj:
        """A new object with its declared defaults, not stored yet."""
        resource = self.world.resources[kind]
        obj: Obj = {"id": self.world.new_id(resource), "object": resource.name}
        if resource.created:
            obj["created"] = self.now
        if resource.livemode:
            obj["livemode"] = self.world.livemode
        obj.update(clone(dict(resource.fields)))
        obj.update(values)
        return obj

    def store(self, obj: Obj, event: str | None = None, action: str = "created") -> Obj:
        """Add a new object and tell the world."""
        self.world.add(obj)
        self.touched(obj, action)
        if event:
            emit(self, event, obj)
        return obj

    def change(
        self, obj: Obj, event: str | None, action: str, *, was: Mapping[str, Any] | None = None, **values: Any
    ) -> Obj:
        """Set fields, note the effect, emit `event` with what they were before; `was`: of parts changed already."""
        before = {name: clone(obj.get(name)) for name in values}
        obj.update(values)
        previous = {name: old for name, old in before.items() if old != obj[name]} | dict(was or {})
        self.touched(obj, action)
        if event:
            emit(self, event, obj, previous if event.endswith(".updated") else None)
        if event in TWINNED:
            emit(self, "invoice.updated", obj, previous)
        return obj

    def rehearsal(self) -> Api:
        """The same operation on a copy: what is made there leaves no trace (shared objects must not change)."""
        return Api(self.service, self.world.scratch())

    def remove(self, obj: Obj, event: str | None) -> Obj:
        if event:
            emit(self, event, obj)
        obj["_deleted"] = True
        self.touched(obj, "deleted")
        return obj

    def emit(self, event: str, obj: Obj) -> None:
        emit(self, event, obj)

    def touched(self, obj: Obj, action: str) -> None:
        """Record the effect in the journal, and let search learn of it after its lag."""
        if self.call is not None:
            self.call.effect(obj["object"], obj["id"], action)
        elif self.service.holds(self.world):
            effect = Effect(obj["object"], obj["id"], action)
            self.service.journal.note(self.service.clock.now(), effect)
        resource: Resource = self.world.resources[obj["object"]]
        if resource.searchable:
            lag = timedelta(seconds=self.settings.search_lag_seconds)
            self.world.search.note(obj, self.service.clock.now() + lag)

    def later(self, seconds: float, work: Callable[[Api], None]) -> None:
        """Do `work` once the clock has moved on, unless the data was reset meanwhile."""
        world = self.world

        def due() -> None:
            if self.service.holds(world):
                work(Api(self.service, world))

        self.service.clock.after(seconds, due)


def merged(obj: Obj, params: Params) -> Params:
    """The new values of the fields that `params` set: metadata and some hashes merged, '' unset."""
    values: Params = {}
    for name, value in params.items():
        if name == "metadata":
            values[name] = merge_metadata(obj.get("metadata") or {}, value)
        elif name in HASHES_MERGED and isinstance(value, dict):
            values[name] = {**(obj.get(name) or {}), **value}
        else:
            values[name] = value
    return values


def merge_metadata(old: dict[str, str], new: dict[str, str] | None) -> dict[str, str]:
    """'' for the whole clears it; '' for a key deletes that key."""
    if new is None:
        return {}
    left = {key: value for key, value in {**old, **new}.items() if value != ""}
    if len(left) > 50:
        raise bad_parameter("You can only have up to 50 metadata keys.", "metadata")
    return left
