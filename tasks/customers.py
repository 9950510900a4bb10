"""Who pays: the Account's one Stripe customer in the deal's currency, matched before one is created (R3)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import count

from order_to_cash.domain.errors import (
    AmbiguousCustomer,
    ClaimedElsewhere,
    ClaimLost,
    RecordRejected,
    Refused,
    RowLocked,
)
from order_to_cash.domain.identity import adoption_key, customer_key, digest, salesforce_id
from order_to_cash.domain.matching import fits, score_candidates
from order_to_cash.domain.queries import soql_literal
from order_to_cash.domain.records import BillTo, CustomerMatch, StripeCustomer
from order_to_cash.domain.wire import Params, customer_changes, customer_params
from order_to_cash.ledger.intents import Operation
from order_to_cash.ledger.leases import Lease
from tasks.company import Company
from tasks.customer_search import check_addressee, named_on_account, read_customer, search
from tasks.effects import CLOCK_SKEW, Effect, LonePage, Outcome, once
from tasks.leases import leased
from tasks.retrying import step

# A customer that changes hands while it is looked at is looked for again, this often.
MOST_LOOKS = 3


@dataclass(frozen=True)
class Payer:
    """The Stripe customer of an Account. `is_new`: made by this run, so it cannot have earlier invoices.

    `named_gone`: the customer whose id the Account has is deleted in Stripe, or never was there.
    """

    customer_id: str
    is_new: bool
    found_by: CustomerMatch
    named_gone: bool = False


@step("customer · {label}")
async def customer_for(company: Company, bill_to: BillTo, currency: str, run_id: str, label: str) -> Payer:
    """The customer to bill: found, or created, and like the Account in name, e-mail and addresses (R1, R3).

    Looking and creating go under one lease, so that no two runs both find nobody and both create; so do two deals
    of one run. Raises AmbiguousCustomer when a person must choose, RecordRejected when the Account has to say where
    its invoices go, ClaimedElsewhere while another run is at this customer.
    """
    del label
    async with company.lock(f"customer:{bill_to.account_id}"):
        named = await named_on_account(company, bill_to)
        if _is_as_wanted(company, bill_to, currency, named):
            payer = Payer(bill_to.stripe_customer_id, False, CustomerMatch.STRIPE_ID)
        else:
            async with leased(company, customer_key(bill_to.account_id, currency), run_id):
                payer = await _found_or_made(company, bill_to, currency, run_id, named)
    await asyncio.to_thread(
        company.ledger.links.put, "customer", payer.customer_id, "Account", bill_to.account_id
    )
    return payer


def _is_as_wanted(
    company: Company, bill_to: BillTo, currency: str, named: tuple[StripeCustomer, ...]
) -> bool:
    """Whether the customer that the Account names can be billed as it is."""
    if score_candidates(bill_to, currency, named).customer_id is None:
        return False
    check_addressee(company, bill_to, named[0])
    return not customer_changes(bill_to, named[0], currency)


async def _found_or_made(
    company: Company, bill_to: BillTo, currency: str, run_id: str, named: tuple[StripeCustomer, ...]
) -> Payer:
    for _ in range(MOST_LOOKS):
        decision, found = await search(company, bill_to, currency, named)
        is_new, named_gone = False, bool(bill_to.stripe_customer_id) and all(one.deleted for one in named)
        if found is None:
            found, is_new = await _create(company, bill_to, currency, run_id)
        if not is_new:
            found = await _adopt(company, bill_to, currency, found, run_id)
        if found is not None:
            return Payer(found.customer_id, is_new, decision.kind, named_gone)
        named = await named_on_account(company, bill_to)
    raise RowLocked("The Account's customer changes in Stripe again and again.", code="customer_changing")


async def _create(
    company: Company, bill_to: BillTo, currency: str, run_id: str
) -> tuple[StripeCustomer, bool]:
    """The customer made for this Account, and whether that was now.

    One that was made earlier, and deleted or given to another Account since, is followed by another.
    """
    made: set[str] = set()
    for generation in count(1):
        effect = _creation(
            company, bill_to, currency, customer_key(bill_to.account_id, currency, generation), made
        )
        customer = await once(LonePage(company.ledger.operations, "customer", run_id, effect), effect)
        await asyncio.to_thread(company.ledger.customers.upsert_many, [customer])
        if fits(bill_to, currency, customer):
            return customer, customer.customer_id in made
    raise AssertionError("count() does not end")


def _creation(
    company: Company, bill_to: BillTo, currency: str, name: str, made: set[str]
) -> Effect[StripeCustomer]:
    params = customer_params(bill_to, currency)

    async def make(idempotency_key: str) -> StripeCustomer:
        # Other parameters need another key at Stripe, and remain the same effect to us.
        customer = await company.stripe.create_customer(params, f"{idempotency_key}:{digest(params)[:16]}")
        made.add(customer.customer_id)
        return customer

    async def look_up(operation: Operation) -> StripeCustomer | None:
        since = await company.stripe.list_customers(created_gte=operation.intended_at - CLOCK_SKEW)
        ours = [one for one in since if (one.account_id, one.currency) == (bill_to.account_id, currency)]
        return ours[0] if ours else None

    async def recall(outcome: Outcome) -> StripeCustomer:
        return await company.stripe.retrieve_customer(str(outcome["customer_id"]))

    return Effect(
        name,
        {"account_id": bill_to.account_id, "currency": currency},
        make,
        look_up,
        record=lambda customer: {"customer_id": customer.customer_id},
        recall=recall,
    )


async def _adopt(
    company: Company, bill_to: BillTo, currency: str, matched: StripeCustomer, run_id: str
) -> StripeCustomer | None:
    """The matched customer, like the Account and marked as its own; None when it is not the one any more.

    Two Accounts may both have been matched to a customer of nobody. So it is read again under a lease: whoever
    comes second finds the other's mark, and a person decides (AmbiguousCustomer).
    """
    if not customer_changes(bill_to, matched, currency):
        return matched
    async with leased(company, adoption_key(matched.customer_id), run_id) as lease:
        customer = await read_customer(company, matched.customer_id)
        await _refuse_taken(company, bill_to, customer)
        if not fits(bill_to, currency, customer.model_copy(update={"account_id": ""})):
            return None
        check_addressee(company, bill_to, customer)
        return await _update(company, bill_to, currency, customer, lease)


async def _update(
    company: Company, bill_to: BillTo, currency: str, customer: StripeCustomer, lease: Lease
) -> StripeCustomer:
    """Stripe answers a key of the last 24 hours with what it did then: each update has a key of its own.

    Repeating one is harmless, for it says how things are to be. What Stripe writes otherwise is tried once more.
    """
    changes: Params = customer_changes(bill_to, customer, currency)
    for number in (1, 2):
        if not changes:
            break
        await _still_held(company, lease)
        key = f"{lease.key}:{lease.token}:{number}"
        customer = await company.stripe.update_customer(customer.customer_id, changes, key)
        await asyncio.to_thread(company.ledger.customers.upsert_many, [customer])
        changes = customer_changes(bill_to, customer, currency)
    await _still_held(company, lease)
    wanted_email = changes.get("email", customer.email)
    if (customer.account_id, customer.email.lower()) != (bill_to.account_id, wanted_email.lower()):
        raise Refused(
            "Stripe took an update of the customer and shows another Account or e-mail address than was sent.",
            code="customer_not_updated",
            remedy="Look at the customer's history in Stripe: something else may be changing it.",
            ids={"customer": customer.customer_id, "account": bill_to.account_id},
        )
    return customer


async def _refuse_taken(company: Company, bill_to: BillTo, customer: StripeCustomer) -> None:
    """Raises AmbiguousCustomer for another Account's customer.

    An Account that names it takes it over where the other one is gone: it was merged into this one.
    """
    owner = customer.account_id
    if owner in {"", bill_to.account_id}:
        return
    if customer.customer_id == bill_to.stripe_customer_id and not await _exists(company, owner):
        return
    raise AmbiguousCustomer(
        f"The Stripe customer that fits this Account belongs to another one ({customer.customer_id}).",
        remedy="If it is this Account's, set its metadata salesforce_account_id to this Account's id. If not, see that "
        "Stripe_Customer_Id__c does not name it here: the next run makes a customer for this Account.",
        ids={"account": bill_to.account_id, "customers": customer.customer_id, "other_account": owner},
    )


async def _exists(company: Company, account_id: str) -> bool:
    try:
        wanted = soql_literal(salesforce_id(account_id))
    except RecordRejected:
        return False
    return bool(
        await asyncio.to_thread(company.salesforce.query, f"SELECT Id FROM Account WHERE Id = {wanted}")  # noqa: S608 - an id, quoted
    )


async def _still_held(company: Company, lease: Lease) -> None:
    """Raises ClaimedElsewhere when the lease ran out and another run may be at this customer."""
    try:
        await asyncio.to_thread(company.ledger.leases.renew, lease)
    except ClaimLost as lost:
        raise ClaimedElsewhere("Another run took this customer over.", ids=lost.ids) from lost
