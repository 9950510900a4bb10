"""What a deal owes, held by one run at a time: claimed before anything is touched, closed when all is done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from order_to_cash.domain.errors import ClaimLost, O2CError, RecordGone, RecordRejected
from order_to_cash.domain.identity import salesforce_id
from order_to_cash.domain.money import Money
from order_to_cash.domain.records import BillingPlan, StripeInvoice
from order_to_cash.ledger.claims import Claim, ObligationState
from order_to_cash.ledger.intents import OperationState
from order_to_cash.ledger.tables import Obligation
from tasks.company import Company
from tasks.invoices import record_finalized
from tasks.outcomes import DealOutcome
from tasks.retrying import step

LEASE_SECONDS = 120
RENEW_EVERY_SECONDS = 30


async def read_owed(company: Company, opportunity_ids: Sequence[str]) -> dict[str, Obligation]:
    """Opportunity id → obligation whose invoice is final but which is not closed: what a killed run left.

    Of the named deals; without names, of all that nobody holds now.
    """
    obligations = company.ledger.obligations
    if opportunity_ids:
        ids = [salesforce_id(one) for one in opportunity_ids]
        latest = await asyncio.to_thread(obligations.latest_many, ids)
        found = list(latest.values())
    else:
        found = await asyncio.to_thread(obligations.unfinished)
    return {owed.opportunity_id: owed for owed in found if owed.state == ObligationState.FINALIZED}


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
async def take_up(company: Company, owed: Obligation, run_id: str, label: str) -> tuple[Claim, StripeInvoice]:
    """The claim on an obligation whose invoice is final but not yet written back, and the invoice as it is now."""
    del label
    claim = await asyncio.to_thread(
        company.ledger.obligations.claim,
        opportunity_id=owed.opportunity_id,
        account_id=owed.account_id,
        plan_digest=owed.plan_digest,
        amount=Money(owed.amount_minor, owed.currency),
        run_id=run_id,
        lease_seconds=LEASE_SECONDS,
    )
    return claim, await company.stripe.retrieve_invoice(owed.stripe_invoice_id)


@step("settle edited deal · {label}")
async def settle_undecided(company: Company, claim: Claim, label: str) -> StripeInvoice | None:
    """The invoice of an edited deal, if an earlier run finalized it after all.

    None when it did not: the draft is deleted then, and the next claim begins a new generation.
    """
    del label
    try:
        invoice = await company.stripe.retrieve_invoice(claim.stripe_invoice_id)
    except RecordGone:
        invoice = None  # only drafts can be deleted: it was not finalized
    if invoice is not None and invoice.status != "draft":
        await record_finalized(company, claim, invoice)
        return invoice
    await company.stripe.delete_draft(claim.stripe_invoice_id)
    edited = RecordRejected("The deal was edited before its invoice was finalized.", code="deal_edited")
    await asyncio.to_thread(company.ledger.operations.refuse, claim, "finalize", edited)
    await asyncio.to_thread(company.ledger.obligations.release, claim)
    return None


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
    """Give up a generation whose draft somebody deleted in Stripe; the next claim begins a new one."""
    del label
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
        heartbeat = asyncio.create_task(self._renew())
        try:
            yield
        finally:
            heartbeat.cancel()
            with suppress(asyncio.CancelledError):
                await heartbeat

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_EVERY_SECONDS)
            for claim in list(self._held.values()):
                # A lost claim shows itself at the next step of its deal, where it is dealt with.
                with suppress(O2CError):
                    await asyncio.to_thread(self._company.ledger.obligations.renew, claim)
