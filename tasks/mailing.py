"""Who mails the invoices: o2c by its own call, or Stripe by a setting of its dashboard, which its API does not show."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from order_to_cash.domain.identity import notice_key
from order_to_cash.domain.messages import failed_run_message
from order_to_cash.domain.records import CollectionMethod
from tasks.announcements import FLOW, tell
from tasks.company import Company
from tasks.effects import CLOCK_SKEW
from tasks.notices import run_url
from tasks.outcomes import DealOutcome, DealStatus
from tasks.retrying import step

WATERMARK = "mailed-once"
CHECK_EVERY = timedelta(days=1)


async def check_mailed_once(company: Company, outcomes: Sequence[DealOutcome], run_id: str) -> None:
    """Once a day, ask Stripe whether an invoice of this run was mailed more than once, and say what to set then."""
    mailed = [
        one
        for one in outcomes
        if one.status is DealStatus.BILLED
        and one.invoice is not None
        and one.invoice.collection_method == CollectionMethod.SEND_INVOICE
    ]
    if not mailed:
        return
    mark = await asyncio.to_thread(company.ledger.watermarks.get, WATERMARK)
    now = company.clock.now()
    if mark is None or now - mark.modstamp >= CHECK_EVERY:
        await _check(company, mailed[0], run_id)
        await asyncio.to_thread(company.ledger.watermarks.set, WATERMARK, now)


@step("check that invoices are mailed once")
async def _check(company: Company, outcome: DealOutcome, run_id: str) -> None:
    invoice = outcome.invoice
    assert invoice is not None
    since = (invoice.created or company.clock.now()) - CLOCK_SKEW
    if await company.stripe.times_sent(invoice.invoice_id, since, enough=2) < 2:
        return
    message = failed_run_message(
        FLOW,
        f"The invoice {invoice.invoice_id} was e-mailed twice: by o2c, and by Stripe itself.",
        remedy="Set O2C_STRIPE_EMAILS_INVOICES=true and run o2c init, or switch “Email finalized invoices to "
        "customers” off in Stripe.",
        ids={"invoice": invoice.invoice_id, "opportunity": outcome.opportunity_id},
        run_url=run_url(run_id),
    )
    await tell(company, notice_key("mailed-twice", invoice.invoice_id), message, run_id)
