"""States as Salesforce records, judged by the expectations once for the whole batch."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from expectations.runner import ExpectationReport, validate
from order_to_cash.domain.errors import FieldRefused, O2CError, RecordRejected, Refused
from order_to_cash.domain.sync.accounts import CARD_FIELDS, METHOD_TYPE, shows_already
from order_to_cash.domain.sync.bodies import mapping, ref
from order_to_cash.domain.sync.fetching import payment_method_of
from order_to_cash.domain.sync.lookups import (
    opportunity_ids,
    opportunity_queries,
    priced_product_queries,
    product_facts,
)
from order_to_cash.domain.sync.rows import merge_rows, rows_of
from order_to_cash.domain.sync.shapes import Body, Context, ObjectKey, ProductFacts, Row, State
from tasks.company import Company
from tasks.retrying import step
from tasks.sync_accounts import CATALOGUE
from tasks.sync_batch import Batch, first_of, rejected
from tasks.sync_calls import ask
from tasks.sync_followed import question
from tasks.sync_judging import SUITE, judged_row
from tasks.sync_products import product_rows
from tasks.sync_rates import exchange_rates

ACCOUNTS_AT_ONCE = 400


@step("map {count} objects")
async def map_rows(company: Company, batch: Batch, count: int) -> None:
    """Fill in `rows` and `prices`; what cannot be mapped or is not fit is held, each with its reason."""
    del count
    context = await _context(company, batch)
    report = await asyncio.to_thread(_mapped, batch, context)
    for failure in report.failures if report else ():
        if failure.severity == "critical":
            key = ObjectKey(*failure.record_id.split(" ", 1))
            batch.fail(key, RecordRejected(failure.message, code=failure.code, remedy=failure.remedy))
    if report and report.held_ids:
        batch.rows = [row for row in batch.rows if not {row.source, *row.also} & batch.failures.keys()]


def _mapped(batch: Batch, context: Context) -> ExpectationReport | None:
    rows: list[Row] = []
    # Products first: who points at one that is not written is written without it.
    for state in sorted(batch.standing(), key=lambda one: one.key.type != "product"):
        account_id = "" if state.key.type in CATALOGUE else batch.account(state)
        try:
            mapped = rows_of(state, account_id, context)
        except Exception as error:  # noqa: BLE001 - one object that breaks the mapping holds up no other
            batch.fail(state.key, _unmappable(state, error))
            context = _without(context, state.key)
            continue
        if mapped.problems:
            batch.fail(state.key, rejected(first_of(mapped.problems), stripe_id=state.key.id))
            context = _without(context, state.key)
            continue
        rows += mapped.rows
        batch.prices += mapped.prices
    # A card that is looked at again, as doubt has it, is mostly the one that is shown.
    batch.rows = [row for row in merge_rows(rows) if not shows_already(row, batch.accounts.get(row.value))]
    judged = [judged_row(row) for row in batch.rows]
    return validate(SUITE, judged) if judged else None


def _without(context: Context, key: ObjectKey) -> Context:
    """Without the product `key`, unless Salesforce has it already."""
    known = context.products.get(key.id) if key.type == "product" else None
    if known is None or known.record_id:
        return context
    return replace(context, products={name: one for name, one in context.products.items() if name != key.id})


async def _context(company: Company, batch: Batch) -> Context:
    states = batch.standing()
    deals = opportunity_ids(states)
    deal_rows, products, account_rows, cards, rates = await asyncio.gather(
        ask(company, batch, opportunity_queries(deals) if deals else ()),
        _products(company, batch, states),
        _accounts(company, batch, states),
        cards_that_pay(company, batch),
        exchange_rates(company, batch, states),
    )
    fields = company.rules.field_names
    carried = {str(row["Id"]): str(row.get(fields.account_customer_id) or "") for row in account_rows}
    # Before the id is written to an Account that a person took it from.
    if await question(company, batch, carried):
        account_rows = await _accounts(company, batch, states)
    batch.accounts = {str(row["Id"]): row for row in account_rows}
    return Context(
        synced_at=batch.now,
        links=batch.links,
        multi_currency=company.rules.multi_currency,
        customer_of_account=_shown_customers(
            batch,
            {str(row["Id"]): str(row.get(fields.account_customer_id) or "") for row in account_rows},
        ),
        cards=cards,
        invoice_of_opportunity={
            str(row["Id"]): str(row.get(fields.opportunity_invoice_id) or "") for row in deal_rows
        },
        products=products,
        rates=rates,
    )


async def _products(company: Company, batch: Batch, states: Sequence[State]) -> dict[str, ProductFacts]:
    """Which Product2 each product is. Before one is made, all its prices are looked at: deals may be billed by one."""
    records = await product_rows(company, batch, states)
    facts = product_facts(states, records)
    new = {product for product, known in facts.items() if not known.record_id}
    if not new:
        return facts
    try:
        prices = await company.stripe.list_prices()
    except Refused:  # a key that may not read prices: what the events tell must do
        return facts
    product_of = {price.price_id: price.product_id for price in prices if price.product_id in new}
    records += await ask(company, batch, priced_product_queries(product_of))
    return product_facts(states, records, product_of)


def _shown_customers(batch: Batch, named: Mapping[str, str]) -> dict[str, str]:
    """Account → the customer that it names or, where it names none yet, the first of those that it gets now."""
    shown = dict(named)
    for state in sorted(batch.standing(), key=lambda one: one.key):
        if state.key.type == "customer" and not state.deleted and shown.get(batch.account(state)) == "":
            shown[batch.account(state)] = state.customer_id
    return shown


async def _accounts(company: Company, batch: Batch, states: Sequence[State]) -> list[Mapping[str, Any]]:
    """Whose id the Accounts carry, and the card that they show, where it may be read."""
    fields = (company.rules.field_names.account_customer_id, METHOD_TYPE, *CARD_FIELDS)
    try:
        return list(await ask(company, batch, _account_queries(batch, states, fields)))
    except FieldRefused:
        return list(await ask(company, batch, _account_queries(batch, states, fields[:1])))


def _account_queries(batch: Batch, states: Sequence[State], fields: Sequence[str]) -> list[str]:
    """Asked only of those that the batch may write to."""
    ids = {batch.account(state) for state in states if state.key.type == "customer"}
    ids |= {batch.account_of.get(customer, "") for customer in batch.cards}
    wanted = sorted(ids - {""})
    return [
        f"SELECT Id, {', '.join(fields)} FROM Account WHERE Id IN ({listed})"  # noqa: S608 - ids of Salesforce's own answers
        for listed in _listed(wanted)
    ]


def _listed(ids: Sequence[str]) -> list[str]:
    return [
        ", ".join(f"'{one}'" for one in ids[start : start + ACCOUNTS_AT_ONCE])
        for start in range(0, len(ids), ACCOUNTS_AT_ONCE)
    ]


async def cards_that_pay(company: Company, batch: Batch) -> Mapping[str, Body | None]:
    """Customer → the payment method that pays, as Stripe says now; None when there is none."""
    wanted = [customer for customer in batch.cards if customer in batch.account_of]
    if not wanted:
        return {}
    customers = await company.stripe.fetch_many([ObjectKey("customer", one) for one in wanted])
    defaults: dict[str, ObjectKey] = {}
    cards: dict[str, Body | None] = {}
    for key, read in customers.items():
        if isinstance(read, O2CError):
            _wait_for_card(batch, key.id, read)
            continue
        body: Body = read.body if read is not None else {}
        chosen = ref(mapping(body.get("invoice_settings")).get("default_payment_method"))
        known = payment_method_of(body)
        if known is not None:
            cards[key.id] = known
        elif chosen:
            defaults[key.id] = ObjectKey("payment_method", chosen)
        else:
            try:
                cards[key.id] = None if body.get("deleted") else await _only_card(company, key.id)
            except O2CError as error:
                _wait_for_card(batch, key.id, error)
    methods = await company.stripe.fetch_many(defaults.values()) if defaults else {}
    for customer, method in defaults.items():
        found = methods.get(method)
        if isinstance(found, O2CError):
            _wait_for_card(batch, customer, found)
        else:
            cards[customer] = found.body if found is not None else None
    return cards


def _wait_for_card(batch: Batch, customer: str, error: O2CError) -> None:
    for state in batch.standing():
        if state.key.type in {"customer", "payment_method"} and batch.customer(state) == customer:
            batch.fail(state.key, error)


async def _only_card(company: Company, customer: str) -> Body | None:
    """Without a default, the newest that is attached: Stripe Checkout leaves it so."""
    async for read in company.stripe.list_objects("payment_method", customer=customer):
        return read.body
    return None


def _unmappable(state: State, error: Exception) -> RecordRejected:
    return RecordRejected(
        f"This {state.key.type} could not be mapped ({type(error).__name__}).",
        code="not_mapped",
        remedy="Report it with the event's id, then replay it with the next version.",
        ids={"stripe_id": state.key.id},
    )
