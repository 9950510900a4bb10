"""The data of one mode (test or live) of the account."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping

from emulators.stripe.model import Obj, Resource, clone
from emulators.stripe.search import SearchIndex

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
ACCOUNT_ID = "acct_1EmulatorO2C0000"


_RANDOM = random.SystemRandom()


def token(length: int) -> str:
    return "".join(_RANDOM.choices(ALPHABET, k=length))


class World:
    """Objects by type and id, in the order of their creation; deleted ones stay, marked `_deleted`."""

    def __init__(self, resources: Mapping[str, Resource], *, livemode: bool) -> None:
        self.resources = resources
        self.livemode = livemode
        self.tables: dict[str, dict[str, Obj]] = {name: {} for name in resources}
        self.search = SearchIndex()

    @property
    def mode(self) -> str:
        return "live" if self.livemode else "test"

    def new_id(self, resource: Resource) -> str:
        return resource.prefix + token(resource.id_length)

    def get(self, kind: str, object_id: str) -> Obj | None:
        return self.tables.get(kind, {}).get(object_id)

    def add(self, obj: Obj) -> Obj:
        self.tables[obj["object"]][obj["id"]] = obj
        return obj

    def all(self, kind: str) -> Iterator[Obj]:
        """Newest first, without the deleted."""
        return (obj for obj in reversed(self.tables.get(kind, {}).values()) if not obj.get("_deleted"))

    def scratch(self) -> World:
        """A copy to compute in: sees every object, keeps nothing, tells nobody."""
        copy = World(self.resources, livemode=self.livemode)
        copy.tables = {kind: dict(table) for kind, table in self.tables.items()}
        copy.tables["webhook_endpoint"] = copy.tables["v2.core.event_destination"] = {}
        return copy

    def render(self, obj: Obj) -> Obj:
        """The object as the API shows it, ids unexpanded."""
        if obj.get("_deleted"):
            return {"id": obj["id"], "object": obj["object"], "deleted": True}
        out: Obj = clone(obj)
        resource = self.resources.get(obj["object"])
        if resource is not None and resource.present is not None:
            resource.present(self, obj, out)
        return out
