"""Which of two states of one object is the newer one, and when nobody can tell.

Stripe's `created` has seconds, deliveries come in any order, and two events of one second may show different states.
So a state is believed to be the newest only when it was made in a later second, or shows progress that is never taken
back (`progress`); anything else is doubt, and the object is read from Stripe.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

import orjson

from order_to_cash.domain.sync.bodies import items, ref, text
from order_to_cash.domain.sync.normalize import normalize
from order_to_cash.domain.sync.shapes import Applied, Body

GONE = 9
UNSEEN = 8
"""Gone, and read only when it was: the event of its deletion, whenever it comes, says more."""
_PROGRESS: Mapping[str, Mapping[str, int]] = {
    # https://docs.stripe.com/invoicing/overview: an uncollectible invoice can still be paid or voided.
    "invoice": {"draft": 0, "open": 1, "uncollectible": 2, "paid": 3, "void": 3},
    # https://docs.stripe.com/billing/subscriptions/overview: the two terminal ones.
    "subscription": {"incomplete": 0, "canceled": 2, "incomplete_expired": 2},
    "charge": {"pending": 0, "succeeded": 1, "failed": 1},
    "refund": {"succeeded": 1, "failed": 1, "canceled": 1},
    "payment_intent": {"succeeded": 2, "canceled": 2},
    "invoice_payment": {"open": 0, "paid": 1, "canceled": 1},
    "credit_note": {"issued": 0, "void": 1},
    "checkout.session": {"open": 0, "complete": 1, "expired": 1},
}
# What is left of an object that is only known to be gone.
_NAMED = frozenset({"object", "id", "deleted"})
_DEFAULT_PROGRESS = {"subscription": 1, "payment_intent": 1}

# Shown only when asked for, or changed by deliveries alone: a fetched body and an event's are compared without them.
_ASIDE = {
    "invoice": ("payments", "confirmation_secret", "webhooks_delivered_at"),
    "charge": ("refunds",),
}


class Order(Enum):
    NEWER = "newer"
    SAME = "same"
    OLDER = "older"
    DOUBT = "doubt"


@dataclass(frozen=True, slots=True)
class Version:
    """One state of an object as one event shows it, or as it was read. `previous`: an update's previous_attributes."""

    as_of: datetime
    body: Body
    digest: str
    deleted: bool = False
    previous: Body | None = None


def progress(body: Body, *, deleted: bool = False) -> int:
    """How far the object has come on a way that has no return; a deleted one is at the end of it."""
    if deleted:
        return GONE if body.keys() - _NAMED else UNSEEN
    kind = text(body.get("object"))
    return _PROGRESS.get(kind, {}).get(text(body.get("status")), _DEFAULT_PROGRESS.get(kind, 0))


def state_digest(body: Body, *, deleted: bool = False) -> str:
    """`progress` and a hash of the normalized body: what the ledger remembers of a state, at most 50 characters."""
    plain = orjson.dumps(_bare(body), default=_plain, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    return f"{progress(body, deleted=deleted)}:{hashlib.sha256(plain).hexdigest()[:48]}"


def newest(versions: Sequence[Version]) -> Version | None:
    """The newest of `versions` (one object's, of one batch), None when nobody can tell. Order does not matter."""
    latest: dict[str, Version] = {}
    for version in versions:
        held = latest.get(version.digest)
        if held is None or version.as_of > held.as_of:
            latest[version.digest] = version
    last = max(version.as_of for version in latest.values())
    leaders = [version for version in latest.values() if version.as_of == last]
    furthest = max(map(_rank, latest.values()))
    leaders = [version for version in leaders if _rank(version) == furthest]
    if len(leaders) > 1:
        superseded = _superseded(versions, last)
        leaders = [version for version in leaders if version.digest not in superseded]
    return leaders[0] if len(leaders) == 1 else None


def against(version: Version, applied: Applied | None) -> Order:
    """How `version` stands to what Salesforce shows already.

    What was read from Stripe carries the second since when it holds, by Stripe's clock (`Fetched.at`): it is compared
    as an event of that second is.
    """
    if applied is None or applied.in_doubt:
        return Order.NEWER if applied is None else Order.DOUBT
    if version.digest == applied.digest:
        # Shown again later: an event between the two is older than this one, though newer than what was applied.
        return Order.SAME if version.as_of <= applied.as_of else Order.NEWER
    further = _rank(version) - rank_of(applied.digest)
    if version.deleted and rank_of(applied.digest) == UNSEEN:
        return Order.NEWER
    if version.as_of == applied.as_of:
        return Order.NEWER if further > 0 else Order.OLDER if further < 0 else Order.DOUBT
    if version.as_of > applied.as_of:
        return Order.NEWER if further >= 0 else Order.DOUBT
    return Order.OLDER if further <= 0 else Order.DOUBT


def covered(versions: Sequence[Version], applied: Applied | None) -> bool:
    """Whether all of `versions` are older than what was applied: which of them is the newest does not matter then."""
    if applied is None:
        return False
    return all(against(version, applied) in {Order.OLDER, Order.SAME} for version in versions)


def rank_of(digest: str) -> int:
    """The progress that a digest carries."""
    rank = digest.partition(":")[0]
    return int(rank) if rank.isdigit() else 0


def before(body: Body, previous: Body) -> dict[str, Any]:
    """What an object was before an update: its body with `previous_attributes` put back."""
    made = dict(body)
    for name, value in previous.items():
        held = made.get(name)
        if isinstance(value, Mapping) and isinstance(held, Mapping) and value.get("object") != "list":
            made[name] = before(held, value)
        else:
            made[name] = value
    return made


def _superseded(versions: Sequence[Version], second: datetime) -> set[str]:
    """Digests of that second after which another of its versions came: an update says what was before it."""
    known = {version.digest for version in versions}
    found = set()
    for version in versions:
        if version.as_of == second and version.previous:
            earlier = state_digest(normalize(before(version.body, version.previous)))
            if earlier in known and earlier != version.digest:
                found.add(earlier)
    return found


def _plain(value: Any) -> Any:
    """The SDK turns some decimals that Stripe writes as text into Decimal."""
    return dict(value) if isinstance(value, Mapping) else str(value)


def _rank(version: Version) -> int:
    return rank_of(version.digest)


def _bare(body: Body) -> Body:
    kind = text(body.get("object"))
    made = {name: value for name, value in body.items() if name not in _ASIDE.get(kind, ())}
    if kind == "subscription":
        made["items"] = [_bare_item(item) for item in items(body.get("items"))]
    if kind == "customer" and isinstance(body.get("invoice_settings"), Mapping):
        settings = dict(body["invoice_settings"])
        settings["default_payment_method"] = ref(settings.get("default_payment_method")) or None
        made["invoice_settings"] = settings
    if kind == "product":
        made["default_price"] = ref(body.get("default_price")) or None
    return made


def _bare_item(item: Body) -> Body:
    price = item.get("price")
    if not isinstance(price, Mapping):
        return item
    return {**item, "price": {name: value for name, value in price.items() if name != "tiers"}}
