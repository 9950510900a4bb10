"""`expand`: ids replaced by their objects, includable fields added."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from emulators.stripe.errors import StripeError
from emulators.stripe.model import Obj, Resource

if TYPE_CHECKING:
    from emulators.stripe.world import World

DEEPEST = 4  # docs.stripe.com/api/expanding_objects: four levels


def expand_all(world: World, out: Obj, paths: list[str]) -> Obj:
    """Expand each dotted path in place; raises StripeError for one that cannot be expanded."""
    for position, path in enumerate(paths):
        if not _walk(world, out, _steps(path, position), out, ""):
            raise _refusal(path, position)
    return out


def check_expand(resources: Mapping[str, Resource], kind: str, paths: list[str]) -> None:
    """Refuse by the declarations what a write could not expand: Stripe does so before it writes."""
    for position, path in enumerate(paths):
        if not _declared(resources, resources[kind], _steps(path, position)):
            raise _refusal(path, position)


def _steps(path: str, position: int) -> list[str]:
    """The steps of a path; the `data` of lists count as levels too."""
    steps = path.split(".")
    if len(steps) > DEEPEST:
        message = f"You cannot expand more than {DEEPEST} levels of a property. Property: {path}"
        raise StripeError(message, param=f"expand[{position}]", validation=True)
    return steps


def _declared(resources: Mapping[str, Resource], resource: Resource, steps: list[str]) -> bool:
    path, ends_well = "", False
    for step in steps:
        path = f"{path}.{step}" if path else step
        ends_well = path in resource.includable or path in resource.expandable
        below = resource.expandable.get(path) or resource.holds.get(path)
        if below is not None:
            resource, path = resources[below], ""
    return ends_well


def _refusal(path: str, position: int) -> StripeError:
    message = f"This property cannot be expanded ({path})."
    return StripeError(message, param=f"expand[{position}]", validation=True)


def _walk(world: World, spot: Any, steps: list[str], owner: Obj, owned: str) -> bool:
    """Follow steps from `spot`; `owned` is the dotted path of `spot` below the nearest object, `owner`."""
    if isinstance(spot, list):
        return all(_walk(world, each, steps, each if "object" in each else owner, owned) for each in spot)
    if not steps or spot is None or (isinstance(spot, dict) and spot.get("deleted")):
        return True
    if not isinstance(spot, dict):
        return False
    if isinstance(spot.get("object"), str):  # an event's data holds an object under that name
        owner, owned = spot, ""
    step, rest = steps[0], steps[1:]
    path = f"{owned}.{step}" if owned else step
    resource = world.resources.get(owner.get("object", ""))
    if resource is not None and path in resource.includable and step not in spot:
        stored = world.get(resource.name, owner["id"])
        spot[step] = resource.includable[path](world, stored if stored is not None else owner)
        return _walk(world, spot[step], rest, owner, path)
    if resource is not None and path in resource.expandable:
        _replace(world, spot, step, resource.expandable[path])
        return _walk(world, spot.get(step), rest, owner, path)
    return bool(rest) and step in spot and _walk(world, spot[step], rest, owner, path)


def _replace(world: World, spot: Obj, step: str, kind: str) -> None:
    value = spot.get(step)
    if isinstance(value, str):
        found = world.get(kind, value)
        if found is not None:
            spot[step] = world.render(found)
    if isinstance(value, list):
        found_all = [world.get(kind, each) if isinstance(each, str) else each for each in value]
        spot[step] = [world.render(each) if each is not None else None for each in found_all]
