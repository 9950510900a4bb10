"""Whose is it? Each customer's Account: remembered, found, or made (R26)."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from order_to_cash.domain.errors import ClaimedElsewhere, O2CError, RecordGone, RecordRejected
from order_to_cash.domain.sync.bodies import ref
from order_to_cash.domain.sync.fetching import fetched_state
from order_to_cash.domain.sync.fields import ACCOUNT
from order_to_cash.domain.sync.shapes import Fetched, ObjectKey, State
from order_to_cash.domain.sync.soql import chunked
from order_to_cash.domain.sync.unknown import AccountDecision, Payer, account_queries, decide, payer_of
from tasks.company import Company
from tasks.leases import leased
from tasks.retrying import step
from tasks.sync_batch import Batch, rejected
from tasks.sync_calls import ask, ask_named
from tasks.sync_new_accounts import half_made, make_accounts, make_contacts

# Their records hang on no Account.
CATALOGUE = frozenset({"product", "price"})
_OF_AN_ACCOUNT = frozenset(
    {"subscription", "invoice", "charge", "refund", "credit_note", "dispute", "customer"}
)
# In the ledger beside "customer": the Account that a person took the customer's id from.
LEFT = "customer.left"
_GUESTS = ("charge", "checkout.session")

Answers = Mapping[str, Sequence[Mapping[str, Any]]]


@step("find the Accounts of {count} customers")
async def find_accounts(company: Company, batch: Batch, count: int) -> None:
    """Fill in `account_of` and `account_of_key`. What has no Account is held with its reason."""
    del count
    known = await asyncio.to_thread(company.ledger.links.of_many, "customer", customers_of(batch), "Account")
    moved = await _moved(company, batch, known)
    batch.remembered = known.keys() - moved.keys()
    batch.account_of.update({name: known[name] for name in batch.remembered})
    payers = await _payers(company, batch, moved)
    if payers:
        await _decide(company, batch, payers, moved)
    for customer, before in moved.items():
        account_id = batch.account_of.pop(customer, before)
        batch.account_of[customer] = before
        if account_id != before:
            batch.lead(customer, account_id, by_name=True)
        else:  # what its metadata names is not there, such as after a merge
            batch.customer_failures.pop(customer, None)
    _hold_homeless(batch)


async def _moved(company: Company, batch: Batch, known: Mapping[str, str]) -> dict[str, str]:
    """Customer → the Account remembered, of those whose metadata, as the batch shows it, names another one.

    Not where a person took the customer from that one in Salesforce since: then it says nothing new.
    """
    named: dict[str, str] = {}
    for customer, account_id in known.items():
        state = batch.states.get(ObjectKey("customer", customer))
        name = "" if state is None or state.deleted else payer_of(state.body).account_id
        if name not in {"", account_id}:
            named[customer] = name
    left = await asyncio.to_thread(company.ledger.links.of_many, LEFT, named, "Account")
    return {customer: known[customer] for customer, name in named.items() if left.get(customer) != name}


def customers_of(batch: Batch) -> list[str]:
    """Every customer that the batch is about."""
    about = (*batch.standing(), *batch.about_signals())
    named = {batch.customer(state) for state in about if state.key.type not in CATALOGUE}
    named |= {signal.customer_id for signal in batch.signals} | set(batch.cards)
    return sorted(named - {""})


async def _payers(company: Company, batch: Batch, moved: Collection[str]) -> dict[str, Payer]:
    """Customer, or a guest's object, → who it is; of those that neither the ledger nor an Account's id tells."""
    unknown = [customer for customer in customers_of(batch) if customer not in batch.account_of]
    begun = await half_made(company, unknown)
    named = await by_customer_id(company, batch, [name for name in unknown if name not in {*moved, *begun}])
    await _remember(company, batch, named)
    keys = {customer: ObjectKey("customer", customer) for customer in unknown if customer not in named}
    absent = [key for key in keys.values() if key not in batch.states]
    found = await company.stripe.fetch_many(absent) if absent else {}
    payers: dict[str, Payer] = {}
    for customer, key in keys.items():
        read = found.get(key)
        if key in batch.states:
            payers[customer] = payer_of(batch.states[key].body)
        elif isinstance(read, Fetched):
            payers[customer] = payer_of(read.body)
            # Its Account gets its id with this batch, not with the customer's next event.
            batch.states[key] = fetched_state(key, read.body, read.at, ())
        else:
            batch.customer_failures[customer] = read or _customer_gone(customer)
    for state in (*batch.standing(), *batch.about_signals()):
        if not batch.customer(state) and state.key.type not in CATALOGUE:
            guest = _guest(batch, state)
            if guest is not None:
                payers[state.key.id] = payer_of(guest.body)
    return payers


async def by_customer_id(company: Company, batch: Batch, customers: Sequence[str]) -> dict[str, str]:
    """Customer → the one Account that carries its id."""
    if not customers:
        return {}
    payers = [Payer(customer_id=customer) for customer in customers]
    fields = company.rules.field_names
    answers = await ask_named(company, batch, account_queries(payers, fields))
    decisions = {payer.customer_id: decide(payer, answers, fields, may_create=False) for payer in payers}
    return {customer: one.account_id for customer, one in decisions.items() if one.account_id}


async def _remember(company: Company, batch: Batch, accounts: Mapping[str, str]) -> None:
    batch.account_of.update(accounts)
    if accounts:
        links = [("customer", customer, "Account", account) for customer, account in accounts.items()]
        await asyncio.to_thread(company.ledger.links.put_many, links)


def _guest(batch: Batch, state: State) -> State | None:
    """The charge or session that says who paid without being a customer."""
    if state.key.type in _GUESTS:
        return state
    key = ObjectKey("charge", ref(state.body.get("charge")) or ref(state.body.get("latest_charge")))
    return batch.states.get(key) or batch.aside.get(key)


async def _decide(
    company: Company, batch: Batch, payers: Mapping[str, Payer], moved: Collection[str]
) -> None:
    fields = company.rules.field_names
    answers = await ask_named(company, batch, account_queries(list(payers.values()), fields))
    history = batch.history(payers)
    decisions = {
        name: decide(payer, answers, fields, may_create=company.may_create_accounts and name not in history)
        for name, payer in payers.items()
    }
    new = {name: payers[name] for name, decision in decisions.items() if decision.create_account}
    if new:
        decisions |= await _made(company, batch, new)
    found = {name: decision.account_id for name, decision in decisions.items() if decision.account_id}
    await make_contacts(company, batch, payers, found)
    accounts = {}
    for name, decision in decisions.items():
        if name in batch.customer_failures:
            continue
        if decision.account_id and payers[name].customer_id:
            accounts[name] = decision.account_id
        elif decision.account_id:
            _of_guest(batch, name, decision.account_id)
        elif decision.problem is not None:
            batch.customer_failures[name] = rejected(decision.problem)
    batch.account_of.update(accounts)
    # Of one that moves when its records have followed.
    await _remember(company, batch, {name: one for name, one in accounts.items() if name not in moved})


async def _made(company: Company, batch: Batch, new: Mapping[str, Payer]) -> dict[str, AccountDecision]:
    """Accounts for strangers, by one run at a time: two batches that know an address would make it two Accounts."""
    try:
        async with leased(company, "accounts:new", batch.run_id):
            return await make_accounts(company, batch, new)
    except ClaimedElsewhere as error:
        batch.customer_failures.update(dict.fromkeys(new, error))
        return {}


def _of_guest(batch: Batch, object_id: str, account_id: str) -> None:
    for state in (*batch.states.values(), *batch.aside.values()):
        if state.key.id == object_id:
            batch.account_of_key[state.key] = account_id


def _hold_homeless(batch: Batch) -> None:
    """Without an Account its records are not written: the event says why. What has no record of its own goes on."""
    for state in batch.standing():
        if batch.account(state) or state.key.type in CATALOGUE or state.deleted:
            continue
        name = batch.customer(state) or state.key.id
        error = batch.customer_failures.get(name)
        if error is not None or state.key.type in _OF_AN_ACCOUNT:
            batch.fail(state.key, error or nobody(state.key))


def _customer_gone(customer: str) -> RecordGone:
    return RecordGone(
        "The customer was deleted in Stripe before its Account was known.",
        code="customer_deleted",
        remedy="Set Stripe_Customer_Id__c on the Account that it belonged to, then replay the event.",
        ids={"customer": customer},
    )


def nobody(key: ObjectKey) -> RecordRejected:
    """Why an object waits that neither a customer nor a charge leads to an Account."""
    return RecordRejected(
        f"Nothing says to whom this {key.type} belongs.",
        code="customer_missing",
        remedy="Replay it once its charge names a customer or an e-mail address in Stripe.",
        ids={"stripe_id": key.id},
    )


async def find_again(company: Company, batch: Batch, customers: Iterable[str]) -> dict[str, str | O2CError]:
    """Customers whose remembered Account is gone → the one that took its place, as after a merge, or why none did.

    The Account that carries the customer's id, else the one that theirs was merged into: that one may carry another
    customer's. None is made in place of one that somebody deleted. Customers whose Account is there are left out.
    """
    wanted = list(customers)
    carrying = await by_customer_id(company, batch, wanted)
    before = {name: batch.account_of.get(name, "") for name in wanted}
    queries = chunked(("Id", "IsDeleted", "MasterRecordId"), ACCOUNT, "Id", before.values())
    rows = {str(row["Id"]): row for row in await ask(company, batch, queries, deleted=True)}
    found: dict[str, str | O2CError] = {}
    for name, account_id in before.items():
        row = rows.get(account_id, {})
        other = carrying.get(name, account_id)
        if other != account_id:
            found[name] = other
        elif row.get("IsDeleted") is not False:
            found[name] = str(row.get("MasterRecordId") or "") or _account_gone(account_id)
    await _remember(company, batch, {name: one for name, one in found.items() if isinstance(one, str)})
    return found


def _account_gone(account_id: str) -> RecordGone:
    return RecordGone(
        "The Account of this customer was deleted in Salesforce.",
        code="account_gone",
        remedy="Restore it, or set Stripe_Customer_Id__c on the Account that takes its place, then replay the event.",
        ids={"account": account_id, "field": "Account__c"},
    )
