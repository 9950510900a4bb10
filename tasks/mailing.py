"""Who mails the invoices: o2c by its own call, or Stripe by a setting of its dashboard, which its API does not show."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

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
    """Once a day, ask Stripe whether an invoice was mailed more than once, and say what to set then.

    Looked at are one of this run and the one of the day before: Stripe may mail, and list the event, some time later.
    """
    mailed = [
        one.invoice
        for one in outcomes
        if one.status is DealStatus.BILLED
        and one.invoice is not None
        and one.invoice.collection_method == CollectionMethod.SEND_INVOICE
    ]
    if not mailed:
        return
    now = company.clock.now()
    mark = await asyncio.to_thread(company.ledger.watermarks.get, WATERMARK)
    if mark is not None and now - mark.modstamp < CHECK_EVERY:
        return
    since = {mailed[0].invoice_id: mailed[0].created or now}
    if mark is not None and mark.record_id:
        since.setdefault(mark.record_id, mark.modstamp - CHECK_EVERY)
    await _check(company, since, run_id)
    await asyncio.to_thread(company.ledger.watermarks.set, WATERMARK, now, mailed[0].invoice_id)


@step("check that invoices are mailed once")
async def _check(company: Company, since: Mapping[str, datetime], run_id: str) -> None:
    """`since`: invoice id → before it was first mailed. The first one that was mailed twice is told."""
    for invoice_id, moment in since.items():
        if await company.stripe.times_sent(invoice_id, moment - CLOCK_SKEW, enough=2) < 2:
            continue
        message = failed_run_message(
            FLOW,
            f"The invoice {invoice_id} was e-mailed twice: by o2c, and by Stripe itself.",
            remedy="Set O2C_STRIPE_EMAILS_INVOICES=true and run o2c init, or switch “Email finalized invoices to "
            "customers” off in Stripe.",
            ids={"invoice": invoice_id},
            run_url=run_url(run_id),
        )
        await tell(company, notice_key("mailed-twice", invoice_id), message, run_id)
        return
