"""Customers who belong to another Account by now: their records follow.

The ledger remembers whose a customer is. A person may say otherwise: in Salesforce, by giving the customer's id to
another Account, or in Stripe, by the customer's metadata. The newer of the two words counts, so the ledger also
remembers which Account each of them was overruled about: a word that has not changed since says nothing new.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from order_to_cash.domain.errors import O2CError
from order_to_cash.domain.sync.problems import SyncReason
from order_to_cash.domain.sync.soql import chunked
from order_to_cash.domain.sync.unknown import Payer, account_queries, decide
from tasks.company import Company
from tasks.sync_accounts import LEFT
from tasks.sync_batch import Batch, rejected
from tasks.sync_calls import alone_on, ask_named, upsert
from tasks.sync_judging import OF_AN_ACCOUNT
from tasks.sync_writes import result_errors

_ROWS = 200
_CUSTOMER = "Stripe_Customer_Id__c"
# In the ledger beside "customer": the Account that the customer's metadata led away from.
_LED_AWAY = "customer.led_away"


async def question(company: Company, batch: Batch, carried: Mapping[str, str]) -> bool:
    """Ask who carries the customers whose remembered Account does not; whether any was led to another one.

    `carried`: Account → the customer's id that it carries, as just read. One that nobody carries stays where it is; of
    one that several carry the events are held, for a person to say.
    """
    strays = [
        customer
        for customer in sorted(batch.remembered)
        if carried.get(batch.account_of.get(customer, ""), customer) != customer
    ]
    batch.remembered -= set(strays)
    if not strays:
        return False
    names, payers = company.rules.field_names, [Payer(customer_id=customer) for customer in strays]
    answers = await ask_named(company, batch, account_queries(payers, names))
    stale = await asyncio.to_thread(company.ledger.links.of_many, _LED_AWAY, strays, "Account")
    led = False
    for payer in payers:
        customer, found = payer.customer_id, decide(payer, answers, names, may_create=False)
        if found.account_id and found.account_id != stale.get(customer):
            batch.lead(customer, found.account_id, by_name=False)
            led = True
        elif found.problem is not None and found.problem.code == SyncReason.CUSTOMER_AMBIGUOUS:
            _hold(batch, customer, rejected(found.problem))
    return led


async def bring_along(company: Company, batch: Batch) -> None:
    """Move the records of customers who were led to another Account. One that is refused holds their events."""
    wanted = {customer: before for customer, (before, _) in batch.left.items()}
    if not wanted:
        return
    queries = {
        sobject: chunked(("Id", "Account__c", _CUSTOMER), sobject, _CUSTOMER, wanted)
        for sobject in sorted(OF_AN_ACCOUNT)
    }
    answers = await ask_named(company, batch, queries)
    async with alone_on(company, {*wanted.values(), *(batch.account_of[customer] for customer in wanted)}):
        for sobject, rows in answers.items():
            left = [row for row in rows if row["Account__c"] == wanted.get(str(row[_CUSTOMER]))]
            for start in range(0, len(left), _ROWS):
                await _move(company, batch, sobject, left[start : start + _ROWS])


async def _move(company: Company, batch: Batch, sobject: str, rows: Sequence[Mapping[str, Any]]) -> None:
    customers = [str(row[_CUSTOMER]) for row in rows]
    moved = [
        {"Id": str(row["Id"]), "Account__c": batch.account_of[customer]}
        for row, customer in zip(rows, customers, strict=True)
    ]
    results = await upsert(company, batch, sobject, "Id", moved)
    errors = result_errors(results, [row["Id"] for row in moved])
    batch.written += len(moved) - len(errors)
    for row, customer in zip(moved, customers, strict=True):
        if row["Id"] in errors:
            _hold(batch, customer, errors[row["Id"]])


async def remember_led(company: Company, batch: Batch, failed: Iterable[str]) -> None:
    """The ledger's word, once all records have followed and both Accounts, none of them `failed`, are rolled up.

    Until then the next event of the customer does it all again.
    """
    unwell = set(failed)
    links: list[tuple[str, str, str, str]] = []
    for customer, (before, by_name) in batch.left.items():
        after = batch.account_of[customer]
        if customer in batch.customer_failures or unwell & {before, after}:
            continue
        links += [
            ("customer", customer, "Account", after),
            (_LED_AWAY, customer, "Account", before if by_name else ""),
            (LEFT, customer, "Account", "" if by_name else before),
        ]
    if links:
        await asyncio.to_thread(company.ledger.links.put_many, links)


def _hold(batch: Batch, customer: str, error: O2CError) -> None:
    batch.customer_failures[customer] = error
    for key, state in list(batch.states.items()):
        if batch.customer(state) == customer:
            batch.fail(key, error)
