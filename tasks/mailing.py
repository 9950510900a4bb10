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
TWICE = (
    "Set O2C_STRIPE_EMAILS_INVOICES=true and run o2c init, or switch “Email finalized invoices to customers” off in "
    "Stripe."
)
NEVER = (
    "Send it in Stripe. If “Email finalized invoices to customers” is off there, set O2C_STRIPE_EMAILS_INVOICES=false "
    "and run o2c init."
)


async def check_mailed_once(company: Company, outcomes: Sequence[DealOutcome], run_id: str) -> None:
    """Once a day, ask Stripe whether invoices are mailed, and not twice, and say what to set otherwise.

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
    earlier = mark.record_id if mark is not None else ""
    since = {mailed[0].invoice_id: mailed[0].created or now}
    if mark is not None and earlier:
        since.setdefault(earlier, mark.modstamp - CHECK_EVERY)
    await _check(company, since, earlier, run_id)
    await asyncio.to_thread(company.ledger.watermarks.set, WATERMARK, now, mailed[0].invoice_id)


@step("check that invoices are mailed once")
async def _check(company: Company, since: Mapping[str, datetime], earlier: str, run_id: str) -> None:
    """`since`: invoice id → before it was first mailed. The first one that was not mailed just once is told.

    Only the `earlier` one can be missed: the mail of the other, or its event, may still be on the way.
    """
    for invoice_id, moment in since.items():
        times = await company.stripe.times_sent(invoice_id, moment - CLOCK_SKEW, enough=2)
        if times == 2:
            await _tell(
                company, invoice_id, "was e-mailed twice: by o2c, and by Stripe itself", TWICE, run_id
            )
            return
        if times == 0 and invoice_id == earlier and await _is_open(company, invoice_id):
            await _tell(company, invoice_id, "was not e-mailed within a day, by nobody", NEVER, run_id)
            return


async def _is_open(company: Company, invoice_id: str) -> bool:
    return (await company.stripe.retrieve_invoice(invoice_id)).status == "open"


async def _tell(company: Company, invoice_id: str, what: str, remedy: str, run_id: str) -> None:
    message = failed_run_message(
        FLOW,
        f"The invoice {invoice_id} {what}.",
        remedy=remedy,
        ids={"invoice": invoice_id},
        run_url=run_url(run_id),
    )
    await tell(company, notice_key("mailing", invoice_id), message, run_id)
