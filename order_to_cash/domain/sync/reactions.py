"""What people are given for a signal: a Case, a Task, a line on the timeline, a word in Slack (R21–R23, R27, R61).

A Case is one for each invoice or dispute, however often an attempt fails; a Task is one for each failed attempt. Every
record carries its `O2C_Key__c`: a Case's is unique, a Task's is asked for before it is made again. Where ladders chase
unpaid invoices, a failed payment and a due date that has passed are history alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from order_to_cash.domain.records import CollectionMethod
from order_to_cash.domain.sync import reaction_texts as texts
from order_to_cash.domain.sync import signals as kinds
from order_to_cash.domain.sync.bodies import mapping, text
from order_to_cash.domain.sync.fields import KEY
from order_to_cash.domain.sync.reaction_texts import Text
from order_to_cash.domain.sync.shapes import Person, Reaction, ReactionFacts, Signal

FOLLOW_UP = timedelta(hours=48)
"""When the Task of a failed payment is due (R21)."""

_SUBJECT = 255
_DESCRIPTION = 32_000


def reaction(signal: Signal, facts: ReactionFacts) -> Reaction:
    """What `signal` calls for; nothing for a kind that is not known. Deterministic, keys and texts."""
    rule = _history(_CLIMBED[signal.kind]) if _climbed(signal, facts) else _RULES.get(signal.kind)
    return Reaction(key=signal.key) if rule is None else rule(signal, facts)


def owner_of(account: Mapping[str, Any], default: Person) -> Person:
    """The Account's CSM (`CSM__c`, `CSM__r.Name`), else its owner (`OwnerId`, `Owner.Name`), else `default`.

    Users who are inactive (`CSM__r.IsActive`, `Owner.IsActive`) are passed over: Salesforce gives them no new records.
    """
    for field, relationship in (("CSM__c", "CSM__r"), ("OwnerId", "Owner")):
        user_id = text(account.get(field))
        user = mapping(account.get(relationship))
        if user_id and user.get("IsActive") is not False:
            return Person(user_id, text(user.get("Name")))
    return default


def case_key(signal: Signal) -> str:
    """One Case for each object that something happens to, such as an invoice whose payments fail."""
    return f"o2c:case:{signal.kind}:{signal.source.id}"


def _climbed(signal: Signal, facts: ReactionFacts) -> bool:
    """Whether a ladder does the rest. It chases what Stripe charges, and what is sent only from its due date on."""
    charged = signal.facts.get("collection_method") == CollectionMethod.CHARGE_AUTOMATICALLY
    return facts.has_ladders and signal.kind in _CLIMBED and (charged or signal.kind == kinds.OVERDUE)


def _payment_failed(signal: Signal, facts: ReactionFacts) -> Reaction:
    said = texts.payment_failed(signal, facts)
    return Reaction(
        key=signal.key,
        case=_case(signal, facts, texts.failing_invoice(signal, facts)),
        task=_task(signal, facts, said, priority="High", due=FOLLOW_UP),
        message=texts.message(said, facts),
    )


def _case_and_task(
    write: Callable[[Signal, ReactionFacts], Text],
) -> Callable[[Signal, ReactionFacts], Reaction]:
    def rule(signal: Signal, facts: ReactionFacts) -> Reaction:
        said = write(signal, facts)
        return Reaction(
            key=signal.key,
            case=_case(signal, facts, said),
            task=_task(signal, facts, said, priority="High"),
            message=texts.message(said, facts),
        )

    return rule


def _urgent(write: Callable[[Signal, ReactionFacts], Text]) -> Callable[[Signal, ReactionFacts], Reaction]:
    def rule(signal: Signal, facts: ReactionFacts) -> Reaction:
        said = write(signal, facts)
        return Reaction(
            key=signal.key,
            task=_task(signal, facts, said, priority="High"),
            message=texts.message(said, facts),
        )

    return rule


def _task_only(write: Callable[[Signal, ReactionFacts], Text]) -> Callable[[Signal, ReactionFacts], Reaction]:
    def rule(signal: Signal, facts: ReactionFacts) -> Reaction:
        return Reaction(key=signal.key, task=_task(signal, facts, write(signal, facts), priority="Normal"))

    return rule


def _history(write: Callable[[Signal, ReactionFacts], Text]) -> Callable[[Signal, ReactionFacts], Reaction]:
    def rule(signal: Signal, facts: ReactionFacts) -> Reaction:
        return Reaction(key=signal.key, activity=_activity(signal, facts, write(signal, facts)))

    return rule


def _plan_changed(signal: Signal, facts: ReactionFacts) -> Reaction:
    said = texts.plan_changed(signal, facts)
    made = Reaction(key=signal.key, activity=_activity(signal, facts, said))
    if signal.facts.get("direction") != "downgrade":
        return made
    return Reaction(
        key=signal.key,
        activity=made.activity,
        task=_task(signal, facts, texts.downgrade(signal, facts), priority="Normal"),
        message=texts.message(said, facts),
    )


def _dispute_closed(signal: Signal, facts: ReactionFacts) -> Reaction:
    said = texts.dispute_closed(signal, facts)
    lost = signal.facts.get("status") == "lost"
    return Reaction(
        key=signal.key,
        activity=_activity(signal, facts, said),
        message=texts.message(said, facts) if lost else None,
    )


def _case(signal: Signal, facts: ReactionFacts, said: Text) -> dict[str, Any]:
    made = {
        KEY: case_key(signal),
        "Subject": said.subject[:_SUBJECT],
        "Description": said.body[:_DESCRIPTION],
        "Priority": "High",
    }
    return made | _about("AccountId", facts) | _owned(facts)


def _task(
    signal: Signal, facts: ReactionFacts, said: Text, *, priority: str, due: timedelta = timedelta(0)
) -> dict[str, Any]:
    made = {
        KEY: signal.key,
        "Subject": said.subject[:_SUBJECT],
        "Description": said.body[:_DESCRIPTION],
        "Priority": priority,
        "Status": "Not Started",
        "ActivityDate": (signal.at + due).date(),
    }
    return made | _about("WhatId", facts) | _owned(facts)


def _activity(signal: Signal, facts: ReactionFacts, said: Text) -> dict[str, Any]:
    made = {
        KEY: f"{signal.key}:activity",
        "Subject": said.subject[:_SUBJECT],
        "Description": said.body[:_DESCRIPTION],
        "Priority": "Normal",
        "Status": "Completed",
        "ActivityDate": signal.at.date(),
    }
    return made | _about("WhatId", facts) | _owned(facts)


def _about(field: str, facts: ReactionFacts) -> dict[str, Any]:
    return {field: facts.account_id} if facts.account_id else {}


def _owned(facts: ReactionFacts) -> dict[str, Any]:
    return {"OwnerId": facts.owner.user_id} if facts.owner.user_id else {}


# What a ladder does the rest of: the timeline tells of each.
_CLIMBED: Mapping[str, Callable[[Signal, ReactionFacts], Text]] = {
    kinds.PAYMENT_FAILED: texts.payment_failed,
    kinds.OVERDUE: texts.overdue,
}
_RULES: Mapping[str, Callable[[Signal, ReactionFacts], Reaction]] = {
    kinds.PAYMENT_FAILED: _payment_failed,
    kinds.OVERDUE: _urgent(texts.overdue),
    kinds.UNCOLLECTIBLE: _urgent(texts.uncollectible),
    kinds.FINALIZATION_FAILED: _urgent(texts.finalization_failed),
    kinds.PAYMENT_ACTION_REQUIRED: _task_only(texts.action_required),
    kinds.PLAN_CHANGED: _plan_changed,
    kinds.CANCELLATION_SCHEDULED: _urgent(texts.cancellation_scheduled),
    kinds.CANCELLATION_WITHDRAWN: _history(texts.cancellation_withdrawn),
    kinds.SUBSCRIPTION_ENDED: _urgent(texts.subscription_ended),
    kinds.SUBSCRIPTION_PAUSED: _history(texts.subscription_paused),
    kinds.SUBSCRIPTION_RESUMED: _history(texts.subscription_resumed),
    kinds.TRIAL_ENDING: _task_only(texts.trial_ending),
    kinds.DISPUTE_OPENED: _case_and_task(texts.dispute_opened),
    kinds.DISPUTE_CLOSED: _dispute_closed,
    kinds.REFUND_FAILED: _task_only(texts.refund_failed),
    kinds.CARD_EXPIRING: _task_only(texts.card_expiring),
}
