"""What a deal owes, held by one run at a time: claimed before anything is touched, closed when all is done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

from order_to_cash.domain.errors import ClaimedElsewhere, ClaimLost, O2CError, RecordGone, RecordRejected
from order_to_cash.domain.identity import salesforce_id
from order_to_cash.domain.money import Money
from order_to_cash.domain.records import BillingPlan, StripeInvoice
from order_to_cash.ledger.claims import Claim, ObligationState
from order_to_cash.ledger.intents import OperationState
from order_to_cash.ledger.tables import Obligation
from tasks.beside import beside, renewing
from tasks.company import Company
from tasks.invoices import record_finalized
from tasks.outcomes import DealOutcome
from tasks.retrying import step

LEASE_SECONDS = 120


async def read_begun(company: Company, opportunity_ids: Sequence[str]) -> dict[str, Obligation]:
    """Opportunity id → its latest obligation, of the named deals; without names, of all that a killed run left."""
    obligations = company.ledger.obligations
    if opportunity_ids:
        ids = [salesforce_id(one) for one in opportunity_ids]
        found = list((await asyncio.to_thread(obligations.latest_many, ids)).values())
    else:
        found = await asyncio.to_thread(obligations.unfinished)
    return {owed.opportunity_id: owed for owed in found}


async def maybe_out(company: Company, begun: Mapping[str, Obligation]) -> dict[str, Obligation]:
    """Those of `begun` whose invoice is final, or may be, but which are not closed. `settled` finds out which are."""
    keys = [owed.key for owed in begun.values()]
    maybe = await asyncio.to_thread(company.ledger.obligations.maybe_finalized, keys)
    return {
        key: owed
        for key, owed in begun.items()
        if owed.state == ObligationState.FINALIZED or owed.key in maybe
    }


async def settled(
    company: Company, owed: dict[str, Obligation], run_id: str, *, anew: bool
) -> dict[str, Obligation]:
    """Of `owed`, those whose invoice is out. What is a draft still is judged like any other deal.

    `anew`: a person approved that a deal is billed again if its invoice was voided; such a one is left out as well.
    """
    known = {}
    for key, one in owed.items():
        certain = one.state == ObligationState.FINALIZED and not anew
        found = one if certain else await settle(company, one, run_id, anew, key)
        if found is not None:
            known[key] = found
    return known


@step("settle · {label}")
async def settle(
    company: Company, owed: Obligation, run_id: str, anew: bool, label: str
) -> Obligation | None:
    """Learn from Stripe what became of an invoice whose finalizing was begun.

    The obligation, recorded as finalized; None when it was not, or was voided and is to be billed `anew`, or while
    another run holds it.
    """
    try:
        claim = await _claim_as_recorded(company, owed, run_id)
    except ClaimedElsewhere:
        return None
    try:
        invoice = await _retrieve(company, claim.stripe_invoice_id)
        if invoice is not None and invoice.status != "draft":
            await record_finalized(company, claim, invoice)
            if not (anew and invoice.status == "void"):
                return await asyncio.to_thread(company.ledger.obligations.get, claim.key)
            await begin_anew(company, claim, label)
        elif not claim.already_finalized:
            unfinished = RecordRejected("The invoice was not finalized.", code="not_finalized")
            await asyncio.to_thread(company.ledger.operations.refuse, claim, "finalize", unfinished)
        return None
    finally:
        await asyncio.to_thread(company.ledger.obligations.release, claim)


@step("claim · {label}")
async def claim_deal(company: Company, plan: BillingPlan, run_id: str, label: str) -> Claim:
    """The exclusive right of this run to bill the deal. Raises ClaimedElsewhere."""
    del label
    return await asyncio.to_thread(
        company.ledger.obligations.claim,
        opportunity_id=plan.opportunity_id,
        account_id=plan.account_id,
        plan_digest=plan.digest,
        amount=plan.total,
        run_id=run_id,
        lease_seconds=LEASE_SECONDS,
    )


@step("take up again · {label}")
async def take_up(company: Company, owed: Obligation, run_id: str, label: str) -> Claim:
    """The claim on an obligation whose invoice is final but not yet written back. Raises ClaimedElsewhere."""
    del label
    return await _claim_as_recorded(company, owed, run_id)


async def _claim_as_recorded(company: Company, owed: Obligation, run_id: str) -> Claim:
    return await asyncio.to_thread(
        company.ledger.obligations.claim,
        opportunity_id=owed.opportunity_id,
        account_id=owed.account_id,
        plan_digest=owed.plan_digest,
        amount=Money(owed.amount_minor, owed.currency),
        run_id=run_id,
        lease_seconds=LEASE_SECONDS,
    )


@step("settle edited deal · {label}")
async def settle_undecided(company: Company, claim: Claim, label: str) -> StripeInvoice | None:
    """The invoice of an edited deal, if an earlier run finalized it after all.

    None when it did not: the draft is deleted then, and the next claim begins a new generation.
    """
    del label
    invoice = await _retrieve(company, claim.stripe_invoice_id)
    if invoice is not None and invoice.status != "draft":
        await record_finalized(company, claim, invoice)
        return invoice
    await company.stripe.delete_draft(claim.stripe_invoice_id)
    edited = RecordRejected("The deal was edited before its invoice was finalized.", code="deal_edited")
    await asyncio.to_thread(company.ledger.operations.refuse, claim, "finalize", edited)
    await asyncio.to_thread(company.ledger.obligations.release, claim)
    return None


@step("begin anew · {label}")
async def begin_anew(company: Company, claim: Claim, label: str) -> None:
    """End a generation whose invoice was voided in Stripe: the next claim begins a new one, with new keys."""
    del label
    await asyncio.to_thread(company.ledger.obligations.voided, claim)


async def _retrieve(company: Company, invoice_id: str) -> StripeInvoice | None:
    """The invoice; None when it is gone, as only drafts can be, or never was."""
    if not invoice_id:
        return None
    try:
        return await company.stripe.retrieve_invoice(invoice_id)
    except RecordGone:
        return None


@step("abandon · {label}")
async def abandon(company: Company, owed: Obligation, run_id: str, label: str) -> None:
    """A deal that is not to be billed now and of which nothing is known to be out: delete its draft, owe it no longer.

    If Stripe has finalized it after all, that is written down; the next run finishes it.
    """
    del label
    try:
        claim = await _claim_as_recorded(company, owed, run_id)
    except ClaimedElsewhere:
        return
    invoice = await _retrieve(company, claim.stripe_invoice_id)
    if invoice is None or invoice.status == "draft":
        await _give_up(company, claim)
    else:
        await record_finalized(company, claim, invoice)
        await asyncio.to_thread(company.ledger.obligations.release, claim)


async def close(company: Company, claims: Claims, outcomes: Sequence[DealOutcome]) -> None:
    """Close what is billed, written back and announced; let the rest rest until the next run."""
    done = [outcome.claim for outcome in outcomes if outcome.claim and outcome.concluded]
    if done:
        await asyncio.to_thread(company.ledger.obligations.closed_many, done)
    for outcome in outcomes:
        claims.drop(outcome.opportunity_id)
        if outcome.claim and not outcome.concluded:
            await asyncio.to_thread(company.ledger.obligations.release, outcome.claim)


async def let_rest(company: Company, claim: Claim, error: BaseException) -> None:
    """Give the claim back after `error`, noting for people why it did not go on."""
    obligations = company.ledger.obligations
    with suppress(ClaimLost):
        if isinstance(error, O2CError) and not error.retryable:
            await asyncio.to_thread(obligations.held, claim, error.code)
        await asyncio.to_thread(obligations.release, claim)


@step("start over · {label}")
async def start_over(company: Company, claim: Claim, label: str) -> None:
    """Give up a generation whose draft is of no use any more, and delete it; the next claim begins a new one."""
    del label
    await _give_up(company, claim)


async def _give_up(company: Company, claim: Claim) -> None:
    if claim.stripe_invoice_id:
        await company.stripe.delete_draft(claim.stripe_invoice_id)
    # What was finalized cannot be deleted: an unknown finalizing did not happen.
    gone = RecordGone("The draft was deleted in Stripe.", ids={"invoice": claim.stripe_invoice_id})
    begun = await asyncio.to_thread(company.ledger.operations.of, claim.key)
    if any(one.step == "finalize" and one.state is OperationState.UNKNOWN for one in begun):
        await asyncio.to_thread(company.ledger.operations.refuse, claim, "finalize", gone)
    await asyncio.to_thread(company.ledger.obligations.start_over, claim)


class Claims:
    """The claims that a run holds now, their leases renewed in the background."""

    def __init__(self, company: Company) -> None:
        self._company = company
        self._held: dict[str, Claim] = {}

    def hold(self, claim: Claim) -> Claim:
        self._held[claim.opportunity_id] = claim
        return claim

    def drop(self, opportunity_id: str) -> Claim | None:
        return self._held.pop(opportunity_id, None)

    @asynccontextmanager
    async def kept_alive(self) -> AsyncIterator[None]:
        """Renew the leases of what is held as long as the block runs."""
        async with beside(renewing(self._renew)):
            yield

    def _renew(self) -> None:
        for claim in list(self._held.values()):
            # A lost claim shows itself at the next step of its deal, where it is dealt with.
            with suppress(O2CError):
                self._company.ledger.obligations.renew(claim)
