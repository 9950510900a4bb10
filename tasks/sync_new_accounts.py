"""Accounts, with a Contact, for customers that Salesforce does not know: each made once, whatever is lost."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence

from order_to_cash.domain.errors import ClaimedElsewhere, O2CError, Retryable
from order_to_cash.domain.queries import soql_literal
from order_to_cash.domain.sync.fields import ACCOUNT, CONTACT
from order_to_cash.domain.sync.unknown import AccountDecision, Payer, account_queries, contact_of, decide
from order_to_cash.ledger.intents import Operation
from tasks.company import Company
from tasks.sync_batch import Batch
from tasks.sync_calls import ask, ask_named, insert, upsert


async def make_accounts(
    company: Company, batch: Batch, payers: Mapping[str, Payer]
) -> dict[str, AccountDecision]:
    """What was decided at last: the new Accounts, and those that another run made meanwhile. Call it alone.

    Customers with one e-mail address get one Account. What was made and not answered is found by the next try, by the
    customer's id or its address: that is what is asked before.
    """
    fields = company.rules.field_names
    answers = await ask_named(company, batch, account_queries(list(payers.values()), fields))
    decided = {name: decide(payer, answers, fields, may_create=True) for name, payer in payers.items()}
    families: defaultdict[str, list[str]] = defaultdict(list)
    for name, decision in decided.items():
        if decision.create_account:
            families[payers[name].email.strip().lower() or name].append(name)
    heads = [names[0] for names in families.values()]
    intents = {_key(name): {"payer": name} for name in heads}
    begun = await asyncio.to_thread(company.ledger.effects.begin, "account", intents, run_id=batch.run_id)
    claimed = {name: begun[_key(name)] for name in heads}
    made: dict[str, str | O2CError] = {
        name: operation for name, operation in claimed.items() if isinstance(operation, ClaimedElsewhere)
    }
    made |= await _insert(company, batch, {name: decided[name] for name in heads if name not in made})
    for names in families.values():
        ended = made[names[0]]
        for name in names:
            if isinstance(ended, O2CError):
                batch.customer_failures[name] = ended
                del decided[name]
            else:
                decided[name] = AccountDecision(account_id=ended, reason="made")
    return decided


async def _insert(
    company: Company, batch: Batch, new: Mapping[str, AccountDecision]
) -> dict[str, str | O2CError]:
    key = company.rules.field_names.account_customer_id
    known = [name for name in new if (new[name].create_account or {}).get(key)]
    guests = [name for name in new if name not in known]
    ended: dict[str, str | O2CError] = {}
    for names, external_id in ((known, key), (guests, "")):
        rows = [new[name].create_account or {} for name in names]
        for start in range(0, len(rows), 200):
            some = rows[start : start + 200]
            if external_id:
                results = await upsert(company, batch, ACCOUNT, external_id, some)
            else:
                results = await insert(company, batch, ACCOUNT, some)
            for name, result in zip(names[start : start + 200], results, strict=True):
                ended[name] = result.id if result.error is None else result.error
    return ended


async def make_contacts(
    company: Company, batch: Batch, payers: Mapping[str, Payer], accounts: Mapping[str, str]
) -> None:
    """The persons of those among `accounts` (payer → Account) that were made here, now or by a run that was killed.

    An Account without its Contact is worth more than none: one that Salesforce refuses is not tried again.
    """
    effects = company.ledger.effects
    keys = {_key(name): name for name in accounts}
    left = await asyncio.to_thread(effects.begun, list(keys))
    if not left:
        return
    intents = {key: {"payer": keys[key]} for key in left}
    begun = await asyncio.to_thread(effects.begin, "account", intents, run_id=batch.run_id)
    held: dict[str, Operation] = {}
    for key, operation in begun.items():
        if isinstance(operation, ClaimedElsewhere):
            batch.customer_failures[keys[key]] = operation
        else:
            held[keys[key]] = operation
    persons = {name: contact_of(payers[name]) for name in held}
    there = await _there(company, batch, [accounts[name] for name in held])
    missing = {
        name: {**person, "AccountId": accounts[name]}
        for name, person in persons.items()
        if person and (accounts[name], payers[name].email.lower()) not in there
    }
    names = list(missing)
    for start in range(0, len(names), 200):
        some = names[start : start + 200]
        results = await insert(company, batch, CONTACT, [missing[name] for name in some])
        for name, result in zip(some, results, strict=True):
            if isinstance(result.error, Retryable):
                batch.customer_failures[name] = result.error
                await asyncio.to_thread(effects.release, [held.pop(name)])
    done = {_key(name): (operation, {"account": accounts[name]}) for name, operation in held.items()}
    await asyncio.to_thread(effects.succeed, done)


async def half_made(company: Company, names: Sequence[str]) -> set[str]:
    """Payers whose Account a run began to make and did not finish: its Contact may be missing."""
    keys = {_key(name): name for name in names}
    return {keys[key] for key in await asyncio.to_thread(company.ledger.effects.begun, list(keys))}


async def _there(company: Company, batch: Batch, accounts: Sequence[str]) -> set[tuple[str, str]]:
    """Account and e-mail address of its Contacts."""
    queries = [
        "SELECT AccountId, Email FROM Contact WHERE AccountId IN "  # noqa: S608 - ids pass soql_literal
        f"{soql_literal(list(accounts[start : start + 200]))}"
        for start in range(0, len(accounts), 200)
    ]
    rows = await ask(company, batch, queries)
    return {(str(row["AccountId"]), str(row.get("Email") or "").lower()) for row in rows}


def _key(name: str) -> str:
    """What making the Account of a payer, with its Contact, is called."""
    return f"o2c:account:{name}"
