"""What must stand in Salesforce before a state's records can refer to it, and what shows a state that has no record."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from order_to_cash.domain.sync.bodies import items, mapping, ref
from order_to_cash.domain.sync.invoices import product_of, subscription_of
from order_to_cash.domain.sync.links import invoice_of, paid_by
from order_to_cash.domain.sync.shapes import Links, ObjectKey, State

_NOTHING = Links()


def parents_of(state: State, links: Links = _NOTHING) -> tuple[ObjectKey, ...]:
    """Objects whose records this state's records refer to. One that is neither in the batch nor applied is fetched.

    Customers are not among them: a customer's Account is sought before anything is mapped.
    """
    find = _FINDERS.get(state.key.type)
    # A deleted draft stays as a record; nothing else that is deleted refers to anything.
    if find is None or (state.deleted and state.key.type != "invoice"):
        return ()
    found = find(state, links)
    return tuple(dict.fromkeys(key for key in found if key.id and key != state.key))


def _of_subscription(state: State, _links: Links) -> Iterator[ObjectKey]:
    for item in items(state.body.get("items"))[:1]:
        yield ObjectKey("product", ref(mapping(item.get("price")).get("product")))


def _of_invoice(state: State, _links: Links) -> Iterator[ObjectKey]:
    yield ObjectKey("subscription", subscription_of(state.body))
    if state.body.get("status") != "draft":
        yield from (ObjectKey("product", product_of(line)) for line in items(state.body.get("lines")))


def _of_charge(state: State, links: Links) -> Iterator[ObjectKey]:
    yield ObjectKey("invoice", invoice_of(state.body, links, state.key.id))


def _of_adjustment(state: State, links: Links) -> Iterator[ObjectKey]:
    yield ObjectKey("charge", ref(state.body.get("charge")))
    yield ObjectKey("invoice", invoice_of(state.body, links))


def _of_invoice_payment(state: State, links: Links) -> Iterator[ObjectKey]:
    yield ObjectKey("invoice", ref(state.body.get("invoice")))
    kind, payer = paid_by(state.body)
    if kind == "charge":
        yield ObjectKey("charge", payer)
    elif kind == "payment_intent":
        yield ObjectKey("charge", links.charge_of.get(payer, ""))


def _named(**kinds: str) -> Callable[[State, Links], Iterator[ObjectKey]]:
    """The objects that the body names under these fields: field → object type."""

    def find(state: State, _links: Links) -> Iterator[ObjectKey]:
        return (ObjectKey(kind, ref(state.body.get(name))) for name, kind in kinds.items())

    return find


_FINDERS: Mapping[str, Callable[[State, Links], Iterator[ObjectKey]]] = {
    "subscription": _of_subscription,
    "invoice": _of_invoice,
    "charge": _of_charge,
    "refund": _of_adjustment,
    "dispute": _of_adjustment,
    "invoice_payment": _of_invoice_payment,
    "credit_note": _named(invoice="invoice"),
    "payment_intent": _named(latest_charge="charge"),
    "checkout.session": _named(
        subscription="subscription", invoice="invoice", payment_intent="payment_intent"
    ),
    "price": _named(product="product"),
}
