"""What is known of each ladder now: from Stripe, from Salesforce, from the ledger. Read at each waking, never kept."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import chain
from typing import Any

from order_to_cash.domain.dunning import account_rows
from order_to_cash.domain.dunning.account_rows import Colleague, Row, Rows
from order_to_cash.domain.dunning.calendar import ContactHours, known_zone
from order_to_cash.domain.dunning.decision import end_reason
from order_to_cash.domain.dunning.facts import Facts, Hold, InvoiceFacts, InvoiceStatus, read_facts
from order_to_cash.domain.dunning.steps import Owner
from order_to_cash.domain.errors import O2CError, PermissionMissing
from order_to_cash.domain.identity import METADATA_ACCOUNT, full_id
from order_to_cash.domain.sync.bodies import mapping, metadata, ref, text, walk
from order_to_cash.domain.sync.normalize import normalize
from order_to_cash.domain.sync.shapes import Body, Fetched, ObjectKey
from order_to_cash.gateways.calls import acting_as
from order_to_cash.gateways.salesforce_together import QUERIES_A_CALL
from order_to_cash.ledger.ladder_records import ClaimedLadder
from tasks.company import Company
from tasks.dunning_items import NOBODY, AccountFacts, LadderItem
from tasks.dunning_meanwhile import let_wait
from tasks.dunning_policies import kept_policies
from tasks.retrying import step

_PAYMENTS = ("payments", "payments.data.payment.payment_intent")
_SUBSCRIPTION = ("parent", "subscription_details", "subscription")
EXPANDED = (*_PAYMENTS, "customer", ".".join(_SUBSCRIPTION))
"""`expand` of an invoice: with it one call tells all that Stripe knows of a ladder."""

_NOBODY = Colleague(NOBODY)


@step("read the facts of ladders")
async def read_ladders(company: Company, claims: Sequence[ClaimedLadder], run_id: str) -> list[LadderItem]:
    """One item a claim, in their order, with `facts` and `policy`, or with the `error` for which it cannot be moved.

    One call to Stripe for each invoice, one to Salesforce for about 200 ladders. An Account that is not known is no
    error: its facts are empty, and the ladder climbs all the same. Raises Unavailable when the ledger does not answer.
    """
    with acting_as(run_id):
        return await _read(company, [LadderItem(claim=claim) for claim in claims])


async def _read(company: Company, items: list[LadderItem]) -> list[LadderItem]:
    invoices = await _read_invoices(company, items)
    policies = await asyncio.to_thread(kept_policies, company, {_version(item) for item in items})
    for item in items:
        chosen = policies[_version(item)]
        if isinstance(chosen, O2CError):
            item.error = item.error or chosen
        else:
            item.policy = chosen
    told = [item for item in items if item.error is None]
    await _read_accounts(company, told, invoices)
    return items


async def still_owed(company: Company, items: Iterable[LadderItem]) -> set[str]:
    """The invoices that are to be chased even now, read from Stripe once more; for right before a contact.

    Their items are brought up to date. An invoice that could not be read, is on hold by now or about to be paid is
    not among them, and its item has an `error`; one without is not owed any more.
    """
    wanted = [item for item in items if item.error is None and item.facts is not None]
    read = await _read_invoices(company, wanted)
    owed = set()
    for item in wanted:
        if item.error is not None or item.facts is None:
            continue
        item.facts = replace(item.facts, invoice=read[item.invoice_id])
    await let_wait(company, wanted)
    for item in wanted:
        if item.error is not None or item.facts is None:
            continue
        if item.facts.invoice.status is InvoiceStatus.OPEN and end_reason(item.facts) is None:
            owed.add(item.invoice_id)
    return owed


@dataclass(frozen=True, slots=True)
class PeoplesWord:
    """What people said in Salesforce, of which no event tells.

    `on_hold`: customers whose Account is on hold by its fields. `written_off`: invoices, open by what Salesforce shows.
    """

    on_hold: frozenset[str]
    written_off: frozenset[str]


@step("look for holds and write-offs in Salesforce")
async def peoples_word(company: Company) -> PeoplesWord:
    """For a sweep: one call. A held ladder whose customer is not on hold any more wants to be woken."""
    fields = company.rules.field_names
    queries = account_rows.peoples_word_queries(fields)
    listed, given_up = await asyncio.to_thread(company.salesforce.query_together, queries)
    hours = ContactHours() if company.dunning is None else company.dunning.contact_hours
    held = [row for row in listed if _held_by_people(company, row, hours) is not None]
    return PeoplesWord(
        frozenset(text(row.get(fields.account_customer_id)) for row in held),
        frozenset(text(row.get("Stripe_Invoice_Id__c")) for row in given_up),
    )


async def named_owners(company: Company, owners: Collection[Owner]) -> dict[Owner, Colleague]:
    """Users and queues that a policy names, those of them that Salesforce has and that are active."""
    queries = account_rows.owner_queries(owners)
    return account_rows.owners_from(owners, await _ask(company, queries)) if queries else {}


async def _read_invoices(company: Company, items: Sequence[LadderItem]) -> dict[str, InvoiceFacts]:
    """Fill in what Stripe says; the facts of each invoice that could be read."""
    keys = {item.invoice_id: ObjectKey("invoice", item.invoice_id) for item in items}
    found = await company.stripe.fetch_many(keys.values(), EXPANDED)
    denied = [key for key, one in found.items() if isinstance(one, PermissionMissing)]
    if denied:  # a key that may read invoices only
        found |= await company.stripe.fetch_many(denied, _PAYMENTS)
    facts = {}
    for item in items:
        read = found[keys[item.invoice_id]]
        if isinstance(read, O2CError):
            item.error = read
        else:
            facts[item.invoice_id] = _fill_in(item, read)
    return facts


def _fill_in(item: LadderItem, read: Fetched | None) -> InvoiceFacts:
    if read is None or read.body.get("deleted") is True:
        return InvoiceFacts(gone=True)
    body = normalize(read.body)
    customer, subscription = _expanded(body.get("customer")), _expanded(walk(body, *_SUBSCRIPTION))
    item.invoice, item.subscription = _with_ids(body), subscription
    item.customer = customer or {}
    return read_facts(item.invoice, subscription, customer)


def _expanded(value: Any) -> Body | None:
    return normalize(value) if isinstance(value, Mapping) else None


def _with_ids(body: Body) -> Body:
    """The invoice as Stripe shows it without expanding its customer and subscription."""
    made = {**body, "customer": ref(body.get("customer")) or None}
    parent = mapping(body.get("parent"))
    details = mapping(parent.get("subscription_details"))
    if details:
        subscription = {**details, "subscription": ref(details.get("subscription")) or None}
        made["parent"] = {**parent, "subscription_details": subscription}
    return made


def _version(item: LadderItem) -> str:
    return item.claim.ladder.state.policy_version


async def _read_accounts(
    company: Company, items: Sequence[LadderItem], invoices: Mapping[str, InvoiceFacts]
) -> None:
    """Fill in what Salesforce says, and with it the facts. When it does not answer, every item has the error."""
    if not items:
        return
    fields = company.rules.field_names
    customers = {item.claim.ladder.customer_id for item in items}
    linked = await asyncio.to_thread(company.ledger.links.of_many, "customer", customers, "Account")
    named = {item.invoice_id: (linked.get(_customer(item), ""), _named_account(item)) for item in items}
    queries = account_rows.row_queries(
        {*chain.from_iterable(named.values())} - {""}, customers, [item.invoice_id for item in items], fields
    )
    try:
        rows = account_rows.rows_from(await _ask(company, queries), fields)
        accounts = {item.invoice_id: rows.account(_customer(item), *named[item.invoice_id]) for item in items}
        fallback = await _fallbacks(company, items, accounts)
    except O2CError as error:
        for item in items:
            item.error = error
        return
    for item in items:
        account = accounts[item.invoice_id]
        hold = _account_hold(company, item, rows.concerned(_customer(item), *named[item.invoice_id]))
        item.account = _account_facts(company, item, account, rows, fallback, hold)
        item.facts = _facts(company, item, account, rows, invoices[item.invoice_id], hold)


def _customer(item: LadderItem) -> str:
    return item.claim.ladder.customer_id


def _named_account(item: LadderItem) -> str:
    """The Account that the customer's metadata names, where that is an Account's id at all."""
    named = next((full_id(value) for value in metadata(item.customer, METADATA_ACCOUNT)), "")
    return named if len(named) == 18 and named.startswith("001") and named.isalnum() else ""


async def _fallbacks(
    company: Company, items: Sequence[LadderItem], accounts: Mapping[str, Row]
) -> dict[Owner, Colleague]:
    """Who stands in, by the policies of those whose Account nobody active looks after."""
    owners = {
        item.policy.fallback_owner
        for item in items
        if item.policy is not None
        and item.policy.fallback_owner is not None
        and account_rows.colleague(accounts[item.invoice_id], "CSM__r", "Owner") is None
    }
    return await named_owners(company, owners)


def _account_facts(
    company: Company,
    item: LadderItem,
    account: Row,
    rows: Rows,
    fallback: Mapping[Owner, Colleague],
    hold: Hold | None,
) -> AccountFacts:
    stand_in = item.policy.fallback_owner if item.policy is not None else None
    owner = account_rows.colleague(account, "CSM__r", "Owner")
    if owner is None:
        owner = fallback.get(stand_in, _NOBODY) if stand_in is not None else _NOBODY
    account_owner = account_rows.colleague(account, "Owner") or _NOBODY
    executive = account_rows.colleague(account, "Executive_Sponsor__r") or owner
    name = text(account.get("Name"))
    return AccountFacts(
        account_id=text(account.get("Id")),
        account_name=name,
        owner=owner.person,
        owner_email=owner.email,
        account_owner=account_owner.person,
        account_owner_email=account_owner.email,
        executive=executive.person,
        executive_email=executive.email,
        billing_name=text(item.customer.get("name")).strip() or name,
        billing_email=account_rows.billing_email(account, item.customer, company.rules.field_names),
        invoice_record_id=text(rows.invoices.get(item.invoice_id, {}).get("Id")),
        on_hold=hold is not None,
    )


def _account_hold(company: Company, item: LadderItem, accounts: Iterable[Row]) -> Hold | None:
    if item.policy is None:
        return None
    holds = (_held_by_people(company, account, item.policy.contact_hours) for account in accounts)
    return reduce(account_rows.longer, holds, None)


def _held_by_people(company: Company, account: Row, hours: ContactHours) -> Hold | None:
    return account_rows.account_hold(account, hours, _time_zone(company, account), company.clock.now())


def _time_zone(company: Company, account: Row) -> str | None:
    return known_zone(text(account.get(company.rules.field_names.account_time_zone)).strip())


def _facts(
    company: Company, item: LadderItem, account: Row, rows: Rows, invoice: InvoiceFacts, hold: Hold | None
) -> Facts:
    ladder = item.claim.ladder
    return Facts(
        invoice=invoice,
        ladder=ladder.state,
        hold=account_rows.longer(ladder.hold, hold),
        written_off=rows.invoices.get(item.invoice_id, {}).get("Written_Off__c") is True,
        last_contact_at=item.claim.last_contact_at,
        segment=text(account.get(company.rules.field_names.account_segment)).strip() or None,
        time_zone=_time_zone(company, account),
    )


async def _ask(company: Company, queries: Sequence[str]) -> list[Row]:
    """The rows of all queries, five of them a call."""
    parts = [queries[start : start + QUERIES_A_CALL] for start in range(0, len(queries), QUERIES_A_CALL)]
    answers = await asyncio.gather(
        *(asyncio.to_thread(company.salesforce.query_together, part) for part in parts)
    )
    return [row for rows in chain.from_iterable(answers) for row in rows]
