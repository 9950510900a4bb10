"""What steps of ladders do: Accounts, Tasks and Cases, contacts, Slack. Many ladders at once, each effect once.

Whatever cannot be done for good is told to a person another way, and the ladder climbs on (R46). What may pass leaves
the step begun: it is taken up again, and what is done of it stays done.
"""

from __future__ import annotations

from collections.abc import Sequence

from order_to_cash.domain.dunning import people_records
from order_to_cash.domain.dunning.steps import ActionKind, Priority
from order_to_cash.domain.dunning.texts import case_text, task_text
from order_to_cash.domain.errors import O2CError
from order_to_cash.domain.sync.fields import CASE, TASK
from tasks.company import Company
from tasks.dunning_accounts import show_accounts
from tasks.dunning_debts import Debts
from tasks.dunning_items import ActionOutcome, LadderItem
from tasks.dunning_mailing import mail_customers, mail_executives
from tasks.dunning_outreach import make_outreach
from tasks.dunning_owners import Owners
from tasks.dunning_records import Wanted, make_once
from tasks.dunning_shown import show_steps
from tasks.dunning_telling import tell
from tasks.dunning_work import LadderBatch, Work, batch_of, works_of

_RECORDS = frozenset({ActionKind.TASK, ActionKind.CASE})
_GIVEN = _RECORDS | {ActionKind.OUTREACH_TASK}


async def take_steps(
    company: Company, items: Sequence[LadderItem], run_id: str
) -> dict[str, list[ActionOutcome]]:
    """Take the step that each item's decision names; invoice → what came of its actions, in the policy's order.

    An outcome with an `error` may pass: the step stays begun. Raises nothing of Stripe, Salesforce or Slack.
    """
    works = works_of(items)
    if not works:
        return {}
    batch, debts = batch_of(company, run_id), await Debts.of(company, run_id)
    taken = {work.item.invoice_id: work.item for work in works}
    await show_accounts(company, batch, list(taken.values()), works)
    try:
        owners = await Owners.of(company, works)
    except O2CError as error:
        for work in works:
            if work.outcome is None and work.kind in _GIVEN:
                work.failed(error, f"The {work.kind.replace('_', ' ')} could not be made")
        owners = Owners({})
    await _make_records(company, batch, works, owners, debts)
    await make_outreach(company, batch, works, owners, debts)
    await mail_customers(company, works, run_id)
    await mail_executives(company, works, run_id)
    await show_steps(company, batch, works, debts)
    await tell(company, batch, works, owners, debts)
    outcomes: dict[str, list[ActionOutcome]] = {}
    for work in works:
        assert work.outcome is not None, work.key
        outcomes.setdefault(work.item.invoice_id, []).append(work.outcome)
    return outcomes


async def _make_records(
    company: Company, batch: LadderBatch, works: Sequence[Work], owners: Owners, debts: Debts
) -> None:
    """The Tasks and Cases for people of ours."""
    mine = [work for work in works if work.kind in _RECORDS and work.outcome is None]
    for work in mine:
        if not work.account_id:
            work.without_account()
    ready = {work.key: work for work in mine if work.outcome is None}
    made = await make_once(company, batch, [_record(work, owners, debts) for work in ready.values()])
    for key, work in ready.items():
        there = made[key]
        if isinstance(there, O2CError):
            work.failed(
                there,
                f"The {work.kind.capitalize()} for {owners.owner(work)[0].name or 'a person'} was refused",
            )
        else:
            work.done(owners.owner(work)[1])


def _record(work: Work, owners: Owners, debts: Debts) -> Wanted:
    debt, (owner, _) = debts.debt(work.item, work.step), owners.owner(work)
    account_id, priority = work.account_id, work.action.priority
    if work.kind is ActionKind.CASE:
        said = case_text(debt, work.step)
        fields = people_records.case(
            work.key, said, account_id=account_id, owner=owner, priority=priority or Priority.HIGH
        )
        return Wanted(work.key, CASE, account_id, fields)
    due = people_records.working_day(debts.now, work.policy.contact_hours)
    fields = people_records.task(
        work.key, task_text(debt, work.step), account_id=account_id, owner=owner, due=due, priority=priority
    )
    return Wanted(work.key, TASK, account_id, fields)
