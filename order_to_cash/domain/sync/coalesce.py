"""A batch of events as the newest state of each object, and what happened on the way (design, walk 2).

State is coalesced, signals never are. The result depends neither on the order of the events nor on how often one comes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from order_to_cash.domain.errors import RecordRejected
from order_to_cash.domain.events import StripeEvent
from order_to_cash.domain.records import Problem
from order_to_cash.domain.sync.bodies import items, mapping, ref
from order_to_cash.domain.sync.handled import DELETIONS, OBJECT_TYPES, is_handled, snapshot_type
from order_to_cash.domain.sync.normalize import lacks, normalize
from order_to_cash.domain.sync.problems import problem_of, unreadable
from order_to_cash.domain.sync.shapes import Applied, Body, Coalesced, ObjectKey, Signal, State
from order_to_cash.domain.sync.signals import signals_of
from order_to_cash.domain.sync.versions import Order, Version, against, covered, newest, state_digest

_CHARGES_WITHOUT_REFUNDS = "2022-11-15"  # https://docs.stripe.com/upgrades#2022-11-15
_CARD_SETTINGS = frozenset({"invoice_settings", "default_source"})


@dataclass(slots=True)
class _Object:
    """All that a batch says about one object."""

    versions: list[Version] = field(default_factory=list)
    event_ids: set[str] = field(default_factory=set)
    thin: bool = False
    customer_id: str = ""
    card: bool = False


def coalesce(events: Sequence[StripeEvent], applied: Mapping[ObjectKey, Applied]) -> Coalesced:
    """What `events` come to, beside what was `applied` (asked for `keys_of(events)`). Nothing is raised."""
    objects: dict[ObjectKey, _Object] = defaultdict(_Object)
    signals: dict[str, Signal] = {}
    ignored: set[str] = set()
    bad: dict[str, Problem] = {}
    for event in sorted(events, key=lambda one: (one.created, one.event_id)):
        if not is_handled(event.type):
            ignored.add(event.event_id)
            continue
        try:
            for signal in _take(event, objects):
                signals.setdefault(signal.key, signal)
        except RecordRejected as error:
            bad[event.event_id] = problem_of(error)
        except _UNREADABLE as error:
            bad[event.event_id] = unreadable(event.object_type, event.object_id, type(error).__name__)
    return _decided(objects, applied, signals, ignored, bad)


def keys_of(events: Sequence[StripeEvent]) -> tuple[ObjectKey, ...]:
    """The objects whose applied states `coalesce` asks for."""
    found: dict[ObjectKey, None] = {}
    for event in events:
        if is_handled(event.type):
            found[ObjectKey(event.object_type, event.object_id)] = None
            found.update(dict.fromkeys(_refund_keys(event)))
    return tuple(found)


# What reading a body that Stripe would not have sent may raise; anything else is a fault of ours.
_UNREADABLE = (ValueError, TypeError, KeyError, OverflowError, AttributeError, RecursionError)


def _take(event: StripeEvent, objects: dict[ObjectKey, _Object]) -> tuple[Signal, ...]:
    if event.object_type not in OBJECT_TYPES or not event.object_id:
        raise ValueError("no object that a handled event is about")
    key = ObjectKey(event.object_type, event.object_id)
    if event.thin:
        held = objects[key]
        held.thin = True
        held.event_ids.add(event.event_id)
        return ()
    data = orjson.loads(event.body)["data"]
    given: Body = data["object"]
    previous = mapping(data.get("previous_attributes"))
    body = normalize(given)
    deleted = snapshot_type(event.type) in DELETIONS or body.get("deleted") is True
    found = signals_of(event, body, previous)
    made = Version(
        as_of=event.created,
        body=body,
        digest=state_digest(body, deleted=deleted),
        deleted=deleted,
        previous=_whole_previous(given, previous),
    )
    refunds = tuple(_refunds(event, body))
    held = objects[key]
    held.versions.append(made)
    held.event_ids.add(event.event_id)
    held.customer_id = customer_of_event(key, body, previous) or held.customer_id
    held.card |= _touches_card(key, previous)
    for refund_key, refund in refunds:
        objects[refund_key].versions.append(refund)
        objects[refund_key].event_ids.add(event.event_id)
        objects[refund_key].customer_id = ref(body.get("customer"))
    return found


def customer_of_event(key: ObjectKey, body: Body, previous: Body | None = None) -> str:
    """Whose object this is; a detached payment method says it only in what it was before."""
    if key.type == "customer":
        return key.id
    return ref(body.get("customer")) or ref(mapping(previous).get("customer"))


def _whole_previous(given: Body, previous: Body) -> Body | None:
    """What undoes an update. Only for bodies that normalizing leaves alone: an older shape's moves cannot be undone."""
    return previous if previous and not given.get("deleted") else None


def _refunds(event: StripeEvent, body: Body) -> Iterator[tuple[ObjectKey, Version]]:
    """The refunds that a charge carries in API versions before 2022-11-15, each a state of its own."""
    if event.object_type != "charge":
        return
    for refund in items(body.get("refunds")):
        if ref(refund) and refund.get("object") == "refund":
            version = Version(as_of=event.created, body=refund, digest=state_digest(refund))
            yield ObjectKey("refund", ref(refund)), version


def _refund_keys(event: StripeEvent) -> Iterator[ObjectKey]:
    if event.object_type == "charge" and not event.thin and event.api_version < _CHARGES_WITHOUT_REFUNDS:
        try:
            yield from [key for key, _ in _refunds(event, orjson.loads(event.body)["data"]["object"])]
        except _UNREADABLE:
            return  # said when it is taken


def _touches_card(key: ObjectKey, previous: Body) -> bool:
    return key.type == "payment_method" or (key.type == "customer" and bool(_CARD_SETTINGS & previous.keys()))


def _decided(
    objects: Mapping[ObjectKey, _Object],
    applied: Mapping[ObjectKey, Applied],
    signals: Mapping[str, Signal],
    ignored: set[str],
    bad: Mapping[str, Problem],
) -> Coalesced:
    states: list[State] = []
    refetch: dict[ObjectKey, tuple[str, ...]] = {}
    stale: set[str] = set()
    cards: set[str] = set()
    for key, held in sorted(objects.items(), key=lambda item: item[0]):
        event_ids = tuple(sorted(held.event_ids))
        version, order = _verdict(held, applied.get(key))
        if order in {Order.OLDER, Order.SAME}:
            stale.update(event_ids)
        elif version is None or order is Order.DOUBT or (not version.deleted and lacks(version.body)):
            refetch[key] = event_ids
        else:
            states.append(_state(key, version, held, applied.get(key), event_ids))
        if held.card and held.customer_id and order not in {Order.OLDER, Order.SAME}:
            cards.add(held.customer_id)
    busy = {event_id for state in states for event_id in state.event_ids}
    busy.update(event_id for ids in refetch.values() for event_id in ids)
    return Coalesced(
        states=tuple(states),
        refetch=refetch,
        stale=tuple(sorted(stale - busy)),
        ignored=tuple(sorted(ignored)),
        unreadable=dict(sorted(bad.items())),
        signals=tuple(signals[name] for name in sorted(signals)),
        cards=tuple(sorted(cards)),
    )


def _verdict(held: _Object, applied: Applied | None) -> tuple[Version | None, Order]:
    """The newest version and how it stands to what was applied. None: a thin event, or nobody can tell."""
    if held.thin or not held.versions:
        return None, Order.DOUBT
    if covered(held.versions, applied):
        return None, Order.OLDER
    version = newest(held.versions)
    return version, Order.DOUBT if version is None else against(version, applied)


def _state(
    key: ObjectKey, version: Version, held: _Object, applied: Applied | None, event_ids: tuple[str, ...]
) -> State:
    # Progress can outrank a later stamp; what the ledger remembers never goes back in time.
    kept = applied if applied is not None and applied.as_of > version.as_of else None
    return State(
        key=key,
        body=version.body,
        as_of=version.as_of if kept is None else kept.as_of,
        fetched=kept is not None and kept.fetched,
        deleted=version.deleted,
        customer_id=customer_of_event(key, version.body, version.previous) or held.customer_id,
        event_ids=event_ids,
        digest=version.digest,
    )
