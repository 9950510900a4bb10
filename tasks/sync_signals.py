"""What people must hear of: a Case, a Task, a line in Slack, each once, whatever is repeated, lost or coalesced."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from order_to_cash.domain.errors import ClaimedElsewhere, O2CError
from order_to_cash.domain.queries import soql_literal
from order_to_cash.domain.sync.fields import CASE, INVOICE, KEY, TASK
from order_to_cash.domain.sync.reactions import owner_of, reaction
from order_to_cash.domain.sync.shapes import Fields, Person, Reaction, ReactionFacts, Signal
from order_to_cash.ledger.intents import Operation, OperationState
from tasks.company import Company
from tasks.notices import run_url
from tasks.retrying import step
from tasks.sync_accounts import nobody
from tasks.sync_alerts import post_alerts
from tasks.sync_batch import Batch
from tasks.sync_calls import ask, insert
from tasks.sync_writes import result_errors

_IDS_AT_ONCE = 200
_ROWS = 200
# A unique O2C_Key__c that is there already: an earlier try made it.
_THERE_ALREADY = "DUPLICATE_VALUE"
_INVOICE_FIELDS = (
    *("Id", "Stripe_Invoice_Id__c", "Invoice_Number__c", "Status__c", "Hosted_Invoice_URL__c"),
    *("Next_Payment_Attempt__c", "Failure_Code__c", "Failure_Reason__c"),
)
_ACCOUNT_FIELDS = (
    *("Id", "Name", "CSM__c", "CSM__r.Name", "CSM__r.IsActive"),
    *("OwnerId", "Owner.Name", "Owner.IsActive"),
)


@step("raise {count} signals")
async def raise_signals(company: Company, batch: Batch, count: int) -> None:
    """Insert the records of all signals that are not raised yet, then tell Slack. Events whose signal fails wait."""
    del count
    signals = {signal.key: signal for signal in batch.signals if _has_account(batch, signal)}
    effects = company.ledger.effects
    told = await asyncio.to_thread(effects.done, list(signals))
    todo = {key: signal for key, signal in signals.items() if key not in told}
    if not todo:
        return
    intents = {key: {"kind": signal.kind, "event": signal.event_id} for key, signal in todo.items()}
    begun = await asyncio.to_thread(effects.begin, "signal", intents, run_id=batch.run_id)
    held: dict[str, Operation] = {}
    for key, operation in begun.items():
        if isinstance(operation, ClaimedElsewhere):
            batch.fail_event(todo[key].event_id, operation)
        elif operation.state is not OperationState.DONE:
            held[key] = operation
    try:
        await _raise(company, batch, {key: todo[key] for key in held}, held)
    except O2CError as error:
        await asyncio.to_thread(effects.release, list(held.values()))
        if error.retryable:
            raise
        for key in held:  # such as a field that may not be read: it holds up nothing but the signals
            batch.fail_event(todo[key].event_id, error)


async def _raise(
    company: Company, batch: Batch, signals: Mapping[str, Signal], held: Mapping[str, Operation]
) -> None:
    facts = await _facts(company, batch, list(signals.values()))
    reactions = {key: reaction(signal, facts[key]) for key, signal in signals.items()}
    again = {key for key, operation in held.items() if operation.state is OperationState.UNKNOWN}
    errors = await _records(company, batch, reactions, again)
    errors |= await post_alerts(company, batch, reactions, held, errors.keys())
    done: dict[str, tuple[Operation, Mapping[str, Any]]] = {
        key: (operation, {}) for key, operation in held.items() if key not in errors
    }
    await asyncio.to_thread(company.ledger.effects.succeed, done)
    refused = [(held[key], error) for key, error in errors.items() if not error.retryable]
    await asyncio.to_thread(company.ledger.effects.refuse, refused)
    await asyncio.to_thread(
        company.ledger.effects.release, [held[key] for key, error in errors.items() if error.retryable]
    )
    for key, error in errors.items():
        batch.fail_event(signals[key].event_id, error)


async def _records(
    company: Company, batch: Batch, reactions: Mapping[str, Reaction], again: set[str]
) -> dict[str, O2CError]:
    """Insert Cases, Tasks and activities; those begun before are looked for by their key first. What failed, why."""
    errors: dict[str, O2CError] = {}
    wanted: dict[str, dict[str, tuple[str, Fields]]] = {CASE: {}, TASK: {}}
    for key, each in reactions.items():
        for sobject, fields in ((CASE, each.case), (TASK, each.task), (TASK, each.activity)):
            if fields is not None:
                wanted[sobject][str(fields[KEY])] = (key, fields)
    for sobject, rows in wanted.items():
        there = await _there(
            company, batch, sobject, [name for name, (key, _) in rows.items() if key in again]
        )
        missing = [(key, fields) for name, (key, fields) in rows.items() if name not in there]
        for start in range(0, len(missing), _ROWS):
            some = missing[start : start + _ROWS]
            results = await insert(company, batch, sobject, [fields for _, fields in some])
            failed = result_errors(results, [key for key, _ in some])
            errors |= {key: error for key, error in failed.items() if error.code != _THERE_ALREADY}
            batch.written += len(some) - len(failed)
    return errors


async def _there(company: Company, batch: Batch, sobject: str, names: Sequence[str]) -> set[str]:
    rows = await ask(company, batch, _queries((KEY,), sobject, KEY, names))
    return {str(row[KEY]) for row in rows}


async def _facts(company: Company, batch: Batch, signals: Sequence[Signal]) -> dict[str, ReactionFacts]:
    """What the records say by now: whom it concerns, and how the invoice stands."""
    accounts = {batch.account_for(signal) for signal in signals}
    invoices = {_invoice(batch, signal) for signal in signals} - {""}
    account_rows, invoice_rows = await asyncio.gather(
        ask(company, batch, _queries(_ACCOUNT_FIELDS, "Account", "Id", accounts)),
        ask(company, batch, _queries(_INVOICE_FIELDS, INVOICE, "Stripe_Invoice_Id__c", invoices)),
    )
    by_account = {str(row["Id"]): row for row in account_rows}
    by_invoice = {str(row["Stripe_Invoice_Id__c"]): row for row in invoice_rows}
    page = run_url(batch.run_id)
    return {
        signal.key: _fact(
            by_account.get(batch.account_for(signal), {}),
            by_invoice.get(_invoice(batch, signal), {}),
            signal,
            {
                "salesforce_url": company.record_url,
                "run_url": page,
                "has_ladders": company.dunning is not None,
            },
        )
        for signal in signals
    }


def _fact(
    account: Mapping[str, Any], invoice: Mapping[str, Any], signal: Signal, shared: Mapping[str, Any]
) -> ReactionFacts:
    return ReactionFacts(
        owner=owner_of(account, Person("")),
        account_id=str(account.get("Id") or ""),
        account_name=str(account.get("Name") or ""),
        invoice_number=str(invoice.get("Invoice_Number__c") or ""),
        invoice_status=str(invoice.get("Status__c") or ""),
        invoice_record_id=str(invoice.get("Id") or ""),
        hosted_invoice_url=str(invoice.get("Hosted_Invoice_URL__c") or ""),
        next_attempt_at=_moment(invoice.get("Next_Payment_Attempt__c")),
        failure_code=str(signal.facts.get("failure_code") or invoice.get("Failure_Code__c") or ""),
        failure_message=str(signal.facts.get("failure_message") or invoice.get("Failure_Reason__c") or ""),
        **shared,
    )


def _invoice(batch: Batch, signal: Signal) -> str:
    """The invoice that it is about, "" for none."""
    if signal.source.type == "invoice":
        return signal.source.id
    return str(signal.facts.get("invoice") or batch.links.invoice_of.get(signal.source.id, ""))


def _has_account(batch: Batch, signal: Signal) -> bool:
    """Without an Account nobody can be told of whom it is; its event waits with the same reason."""
    if batch.account_for(signal):
        return True
    about = batch.about(signal)
    customer = signal.customer_id or (batch.customer(about) if about else "")
    known = batch.failures.get(signal.source) or batch.customer_failures.get(customer)
    batch.fail_event(signal.event_id, known or nobody(signal.source))
    return False


def _queries(fields: Sequence[str], sobject: str, by: str, values: Iterable[str]) -> list[str]:
    wanted = sorted(values)
    return [
        f"SELECT {', '.join(fields)} FROM {sobject} WHERE {by} IN "  # noqa: S608 - values pass soql_literal
        f"{soql_literal(wanted[start : start + _IDS_AT_ONCE])}"
        for start in range(0, len(wanted), _IDS_AT_ONCE)
    ]


def _moment(value: Any) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) and value else None
