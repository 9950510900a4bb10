"""A few mails from intent to outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta

from order_to_cash.domain.dunning.sending import SENDING, SENT, Standing, TaskStatus, standing
from order_to_cash.domain.errors import ClaimedElsewhere, O2CError, OutcomeUnknown, RecordRejected
from order_to_cash.gateways.mail_gateway import Mail, Mailer
from order_to_cash.ledger.intents import Operation, OperationState
from tasks.company import Company
from tasks.dunning_contacts import waits
from tasks.dunning_facts import still_owed
from tasks.dunning_outgoing import (
    Outgoing,
    Row,
    by_hand,
    leave_untold,
    leaving,
    not_sent,
    records_of,
    take_record,
    unknown,
    with_status,
    write_records,
)
from tasks.dunning_wording import why_not, word
from tasks.dunning_work import NO_ACCOUNT, LadderBatch, batch_of

KIND = "mail"
GIVE_UP_AFTER = timedelta(hours=4)
"""A server that puts a mail off means minutes (greylisting); after this a person writes instead."""
SETTLED = "settled_meanwhile"
_CONNECTIONS = 4


async def deliver(company: Company, mails: Sequence[Outgoing], run_id: str) -> None:
    """Send what surely was not sent, tell people of the rest. Raises what the ledger raises."""
    batch = batch_of(company, run_id)
    mine = await _begun(company, mails, run_id)
    await _with_records(company, batch, mine)
    ready = [mail for mail in mine if mail.outcome is None]
    sides: dict[Standing, list[Outgoing]] = {side: [] for side in Standing}
    for mail in ready:
        assert mail.operation is not None
        side = standing(mail.operation.intent, mail.record)
        if side is not Standing.TO_SEND and not leave_untold(mail):
            await _release(company, [mail], waits())
            continue
        sides[side].append(mail)
    await _tell_of_unknown(company, batch, sides[Standing.UNKNOWN])
    await _complete(company, batch, sides[Standing.SENT])
    await _succeed(company, sides[Standing.BY_HAND], "by_hand")
    await _send(company, batch, sides[Standing.TO_SEND])


async def _begun(company: Company, mails: Sequence[Outgoing], run_id: str) -> list[Outgoing]:
    """Commit the intents. What was done, and what another run does, has its outcome after this."""
    intents = {mail.key: {"about": mail.about} for mail in mails}
    begun = await asyncio.to_thread(company.ledger.effects.begin, KIND, intents, run_id=run_id)
    for mail in mails:
        operation = begun[mail.key]
        if isinstance(operation, ClaimedElsewhere):
            mail.failed(operation)
            continue
        mail.operation = operation
        if operation.state is OperationState.DONE:
            told = operation.outcome
            mail.done(str(told.get("note") or ""), contacted=bool(told.get("contacted")))
    return [mail for mail in mails if mail.outcome is None]


async def _with_records(company: Company, batch: LadderBatch, mails: Sequence[Outgoing]) -> None:
    """The Tasks that are there. Without knowing them nothing is sent."""
    try:
        found = await records_of(company, batch, mails) if mails else []
    except O2CError as error:
        await _release(company, mails, error)
        return
    for mail in mails:
        take_record(mail, found)


async def _send(company: Company, batch: LadderBatch, mails: Sequence[Outgoing]) -> None:
    mails = await _still_owed(company, batch, mails)
    hand = {mail.key: why for mail in mails if (why := why_not(company, mail))}
    await asyncio.gather(*(word(company, mail, leaves=mail.key not in hand) for mail in mails))
    await _hand_over(company, batch, [mail for mail in mails if mail.key in hand], hand)
    mailer = company.mail
    sending = [mail for mail in mails if mail.key not in hand]
    if mailer is None or not sending:
        return
    sending = await _announce(company, batch, sending, mailer)
    sending = await _still_owed(company, batch, sending)  # whoever has paid by now is not written to
    places = asyncio.Semaphore(_CONNECTIONS)

    async def send(mail: Outgoing) -> O2CError | None:
        async with places:
            return await asyncio.to_thread(_post, mailer, mail, company)

    results = await asyncio.gather(*map(send, sending))
    await _sort(company, batch, dict(zip((mail.key for mail in sending), results, strict=True)), sending)


async def _announce(
    company: Company, batch: LadderBatch, mails: Sequence[Outgoing], mailer: Mailer
) -> list[Outgoing]:
    """Say in Salesforce and in the ledger that they are about to leave; those of which both could be told."""
    now = company.clock.now()
    rows = {
        mail.key: leaving(mail, mailer.message_id(mail.key), mailer.recipient(mail.to), now) for mail in mails
    }
    refused = await write_records(company, batch, rows, mails)
    for mail in mails:
        if mail.key in refused:
            await _release(company, [mail], refused[mail.key])
    told = [mail for mail in mails if mail.outcome is None]
    await _restate(company, told, {SENDING: True})
    return told


async def _still_owed(company: Company, batch: LadderBatch, mails: Sequence[Outgoing]) -> list[Outgoing]:
    """Those about an invoice that is open by Stripe's word of this moment, and only about such."""
    items = {item.invoice_id: item for mail in mails for item in mail.items}
    owed = await still_owed(company, items.values()) if items else set()
    settled: list[Outgoing] = []
    for mail in mails:
        failed = next((item.error for item in mail.items if item.error is not None), None)
        left = [item for item in mail.items if item.invoice_id in owed]
        if failed is not None:
            await _put_off(company, batch, [mail], {mail.key: failed})
        elif not left:
            settled.append(mail)
        elif len(left) < len(mail.items):
            mail.items = left
            if mail.letter is not None:
                await word(company, mail, leaves=True)
    rows = {mail.key: not_sent(mail) for mail in settled if mail.record is not None}
    await write_records(company, batch, rows, settled)
    await _succeed(company, settled, SETTLED)
    return [mail for mail in mails if mail.outcome is None]


def _post(mailer: Mailer, mail: Outgoing, company: Company) -> O2CError | None:
    """Send it; why it was not, or not surely."""
    assert mail.written is not None
    words = mail.written
    try:
        mailer.send(
            Mail(
                key=mail.key,
                to=mail.to,
                to_name=mail.to_name,
                subject=words.subject,
                text=words.text,
                html=words.html,
                at=company.clock.now(),
            )
        )
    except O2CError as error:
        return error
    return None


async def _sort(
    company: Company, batch: LadderBatch, results: Mapping[str, O2CError | None], mails: Sequence[Outgoing]
) -> None:
    """Write down what came of each: first in the ledger that it is sent, then in Salesforce."""
    sent = [mail for mail in mails if results[mail.key] is None]
    await _restate(company, sent, {SENDING: True, SENT: True})
    await _complete(company, batch, sent)
    doubtful = [mail for mail in mails if isinstance(results[mail.key], OutcomeUnknown)]
    await _tell_of_unknown(company, batch, doubtful)
    later: dict[str, O2CError] = {}
    over: dict[str, str] = {}
    for mail in mails:
        error = results[mail.key]
        if error is None or isinstance(error, OutcomeUnknown):
            continue
        if error.retryable and not _is_late(company, mail):
            later[mail.key] = error
        else:
            over[mail.key] = f"The mail was not sent. {error.message} {error.remedy}".strip()
    await _put_off(company, batch, [mail for mail in mails if mail.key in later], later)
    await _hand_over(company, batch, [mail for mail in mails if mail.key in over], over)


def _is_late(company: Company, mail: Outgoing) -> bool:
    assert mail.operation is not None
    return company.clock.now() - mail.operation.intended_at >= GIVE_UP_AFTER


# What people and the ledger are told


async def _complete(company: Company, batch: LadderBatch, mails: Sequence[Outgoing]) -> None:
    """Their Tasks are completed; one that cannot be now is completed by the next run: the ledger knows that it left."""
    rows = {mail.key: with_status(TaskStatus.COMPLETED) for mail in mails if mail.record is not None}
    errors = await write_records(company, batch, rows, mails)
    for mail in mails:
        error = errors.get(mail.key)
        if error is not None and error.retryable:
            await _release(company, [mail], error)
        else:
            await _succeed(
                company, [mail], f"task: {error.code}" if error else "", contacted=mail.to_customer
            )


async def _put_off(
    company: Company, batch: LadderBatch, mails: Sequence[Outgoing], why: Mapping[str, O2CError]
) -> None:
    """They surely were not sent: their Tasks say so before the ledger does."""
    rows = {mail.key: with_status(TaskStatus.DEFERRED) for mail in mails if mail.record is not None}
    errors = await write_records(company, batch, rows, mails)
    await _restate(company, [mail for mail in mails if mail.key not in errors], {SENDING: False})
    for mail in mails:
        await _release(company, [mail], errors.get(mail.key) or why[mail.key])


async def _tell_of_unknown(company: Company, batch: LadderBatch, mails: Sequence[Outgoing]) -> None:
    now, mailer = company.clock.now(), company.mail
    rows: dict[str, Row] = {}
    for mail in mails:
        await word(company, mail, leaves=False)
        rows[mail.key] = unknown(mail, mailer.message_id(mail.key) if mailer else mail.key, now)
    await _give(company, batch, rows, mails, "mail_unknown", contacted=True)


async def _hand_over(
    company: Company, batch: LadderBatch, mails: Sequence[Outgoing], why: Mapping[str, str]
) -> None:
    now = company.clock.now()
    rows = {mail.key: by_hand(mail, why[mail.key], now) for mail in mails}
    await _give(company, batch, rows, mails, "by_hand")
    for mail in mails:
        if not (mail.account_id or mail.owner.user_id):  # a Task that nobody sees
            mail.failed(
                RecordRejected(why[mail.key], code=NO_ACCOUNT, remedy="Write to the customer yourself.")
            )


async def _give(
    company: Company,
    batch: LadderBatch,
    rows: Mapping[str, Row],
    mails: Sequence[Outgoing],
    note: str,
    *,
    contacted: bool = False,
) -> None:
    """Give people their Tasks. Without one the ledger does not count it as done."""
    errors = await write_records(company, batch, rows, mails)
    for mail in mails:
        error = errors.get(mail.key)
        if error is None:
            await _succeed(company, [mail], note, contacted=contacted and mail.to_customer)
        else:
            await _release(company, [mail], error)


# The ledger


async def _succeed(
    company: Company, mails: Sequence[Outgoing], note: str, *, contacted: bool = False
) -> None:
    done = {
        mail.operation.key: (mail.operation, {"note": note, "contacted": contacted, "about": mail.about})
        for mail in mails
        if mail.operation is not None
    }
    await asyncio.to_thread(company.ledger.effects.succeed, done)
    for mail in mails:
        mail.done(note, contacted=contacted)


async def _release(company: Company, mails: Sequence[Outgoing], error: O2CError) -> None:
    """They are left for the next run."""
    await asyncio.to_thread(company.ledger.effects.release, _operations(mails))
    for mail in mails:
        mail.failed(error)


async def _restate(company: Company, mails: Sequence[Outgoing], now: Mapping[str, bool]) -> None:
    each = {
        mail.key: (mail.operation, {**now, "about": mail.about})
        for mail in mails
        if mail.operation is not None
    }
    await asyncio.to_thread(company.ledger.effects.restate_each, each)


def _operations(mails: Sequence[Outgoing]) -> list[Operation]:
    return [mail.operation for mail in mails if mail.operation is not None]
