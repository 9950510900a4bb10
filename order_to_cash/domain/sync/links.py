"""Which payment pays which invoice, and whose it is, as far as the bodies at hand tell.

Since 2025-03-31 neither a charge nor an invoice names the other: the InvoicePayment between them does. What is learnt
once is written to the payment's record; a row without the link leaves the record's link as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from order_to_cash.domain.sync.bodies import items, mapping, ref
from order_to_cash.domain.sync.shapes import Body, Links, Needs, ObjectKey, State

_KINDS = ("payment_intent", "charge", "payment_record")


def links_of(states: Iterable[State]) -> Links:
    """What `states` say about each other. Does not depend on their order."""
    invoice_of: dict[str, str] = {}
    charges: dict[str, tuple[int, str]] = {}
    customer_of: dict[ObjectKey, str] = {}
    for state in sorted(states, key=lambda one: one.key):
        if state.customer_id:
            customer_of[state.key] = state.customer_id
        invoice_of.update(_payers(state))
        for intent, ranked in _charges(state):
            charges[intent] = max(charges.get(intent, ranked), ranked)
    for intent, (_, charge_id) in charges.items():
        if intent in invoice_of:
            invoice_of.setdefault(charge_id, invoice_of[intent])
    return Links(
        invoice_of=invoice_of,
        charge_of={intent: charge_id for intent, (_, charge_id) in charges.items()},
        customer_of=customer_of,
    )


def needs_of(states: Iterable[State], links: Links) -> Needs:
    """What to read so that each payment, refund and dispute finds its invoice and its customer.

    Only what is rare is asked for: a succeeded charge waits for its `invoice_payment.paid`. What was asked before
    and was not found is asked again: the caller remembers.
    """
    objects: dict[ObjectKey, None] = {}
    intents: dict[str, None] = {}
    for state in states:
        if state.key.type == "invoice_payment":
            objects.update(dict.fromkeys(_wanted_by_invoice_payment(state, links)))
            continue
        failed = state.key.type == "charge" and state.body.get("status") == "failed"
        about_charge = state.key.type in {"refund", "dispute"}
        intent = ref(state.body.get("payment_intent"))
        if (failed or about_charge) and intent and not invoice_of(state.body, links, state.key.id):
            intents[intent] = None
        charge = ref(state.body.get("charge"))
        if about_charge and charge and not customer_of(state, links):
            objects[ObjectKey("charge", charge)] = None
    return Needs(objects=tuple(objects), invoice_payments_of=tuple(intents))


def invoice_of(body: Body, links: Links, charge_id: str = "") -> str:
    """The invoice that a charge, refund or dispute belongs to, "" where nothing at hand tells."""
    direct = ref(body.get("invoice"))  # charges said so until 2025-03-31
    by_charge = links.invoice_of.get(charge_id) or links.invoice_of.get(ref(body.get("charge")))
    return direct or by_charge or links.invoice_of.get(ref(body.get("payment_intent")), "")


def customer_of(state: State, links: Links) -> str:
    """The customer of `state`, by itself or by the charge or invoice it belongs to."""
    if state.customer_id:
        return state.customer_id
    about = [ObjectKey(kind, ref(state.body.get(kind))) for kind in ("charge", "payment_intent", "invoice")]
    if state.key.type == "invoice_payment":
        kind, payer = paid_by(state.body)
        about += [ObjectKey(kind, payer), ObjectKey("charge", links.charge_of.get(payer, ""))]
    return next((links.customer_of[key] for key in about if key in links.customer_of), "")


def paid_by(body: Body) -> tuple[str, str]:
    """(kind, id) of what an InvoicePayment consists of: payment_intent, charge or payment_record; "" for neither."""
    payment = mapping(body.get("payment"))
    return next(((kind, ref(payment[kind])) for kind in _KINDS if payment.get(kind)), ("", ""))


def _payers(state: State) -> Iterator[tuple[str, str]]:
    if state.key.type == "invoice_payment":
        yield from _payer(state.body, ref(state.body.get("invoice")))
    elif state.key.type == "invoice":
        for payment in items(state.body.get("payments")):
            yield from _payer(payment, state.key.id)
    elif state.key.type in {"charge", "payment_intent"}:
        yield from _older(state)


def _payer(body: Body, invoice: str) -> Iterator[tuple[str, str]]:
    _, payer = paid_by(body)
    if payer and invoice:
        yield payer, invoice


def _older(state: State) -> Iterator[tuple[str, str]]:
    """A charge or intent of an API version that still names its invoice."""
    invoice = ref(state.body.get("invoice"))
    if invoice:
        yield state.key.id, invoice
        intent = ref(state.body.get("payment_intent"))
        if intent:
            yield intent, invoice


def _charges(state: State) -> Iterator[tuple[str, tuple[int, str]]]:
    """Payment intents with the charge that brought their money, and when: never with an attempt that failed."""
    body = state.body
    if state.key.type == "charge":
        intent = ref(body.get("payment_intent"))
        if intent and body.get("status") == "succeeded":
            yield intent, (_created(body), state.key.id)
    elif state.key.type == "payment_intent":
        yield from _latest(body, state.key.id)
    elif state.key.type in {"invoice", "invoice_payment"}:
        payments = items(body.get("payments")) if state.key.type == "invoice" else (body,)
        for payment in payments:
            expanded = mapping(payment.get("payment")).get("payment_intent")
            if isinstance(expanded, Mapping):
                yield from _latest(expanded, ref(expanded))


def _latest(intent: Body, intent_id: str) -> Iterator[tuple[str, tuple[int, str]]]:
    charge_id = ref(intent.get("latest_charge"))
    if charge_id and intent_id and intent.get("status") == "succeeded":
        yield intent_id, (_created(intent), charge_id)


def _created(body: Body) -> int:
    created = body.get("created")
    return created if isinstance(created, int) else 0


def _wanted_by_invoice_payment(state: State, links: Links) -> Iterator[ObjectKey]:
    kind, payer = paid_by(state.body)
    if kind == "payment_intent" and state.body.get("status") == "paid" and payer not in links.charge_of:
        yield ObjectKey("payment_intent", payer)
    elif not customer_of(state, links) and ref(state.body.get("invoice")):
        yield ObjectKey("invoice", ref(state.body.get("invoice")))
