"""Was a deal changed after it was billed? Pure."""

from __future__ import annotations

from order_to_cash.domain.errors import RecordRejected
from order_to_cash.domain.judgement import Catalogue, judge
from order_to_cash.domain.money import Money, known_currency
from order_to_cash.domain.plan import plan_deal, plan_digest
from order_to_cash.domain.policy import BillingRules
from order_to_cash.domain.problems import Reason, problem
from order_to_cash.domain.records import Problem, Record, WonDeal

# When the deal was billed none of these held. What else may speak against billing it now (a price archived in
# Stripe, an e-mail deleted, another policy) is no edit of the deal.
_EDITS = frozenset(
    {
        Reason.STAGE_NOT_WON,
        Reason.NEEDS_SUBSCRIPTION,
        Reason.CURRENCY_UNKNOWN,
        Reason.AMOUNT_MISSING,
        Reason.AMOUNT_ZERO,
        Reason.AMOUNT_NEGATIVE,
        Reason.AMOUNT_NOT_EXACT,
        Reason.NO_LINES,
        Reason.TOO_MANY_LINES,
        Reason.LINES_DO_NOT_ADD_UP,
        Reason.NEGATIVE_LINE,
        Reason.QUANTITY_NOT_POSITIVE,
    }
)


class Billed(Record):
    """What was billed, as the ledger recorded it: the plan's digest, its Account and its total before tax."""

    plan_digest: str
    account_id: str
    total: Money


def edit_of(
    deal: WonDeal, billed: Billed, catalogue: Catalogue, rules: BillingRules, *, account_gone: bool = False
) -> Problem | None:
    """The problem when `deal` is not what was billed any more, else None.

    `account_gone`: the Account that was billed was deleted or merged into another, which moves its deals and is no
    edit of theirs.
    """
    now = deal.model_copy(update={"stripe_invoice_id": ""})
    moved = deal.account.account_id != billed.account_id
    if moved and account_gone:
        account = deal.account.model_copy(update={"account_id": billed.account_id})
        now = now.model_copy(update={"account": account})
    if _same(now, billed, catalogue, rules):
        return None
    return problem(
        Reason.EDITED_AFTER_BILLING,
        f"The deal was changed after its invoice was finalized: {billed.total} were billed, "
        f"the deal now says {_amount(deal)}.",
    )


def _same(deal: WonDeal, billed: Billed, catalogue: Catalogue, rules: BillingRules) -> bool:
    try:
        return plan_digest(plan_deal(deal, catalogue, rules)) == billed.plan_digest
    except RecordRejected:
        edited = any(found.code in _EDITS for found in judge(deal, catalogue, rules))
        return (
            not edited and deal.account.account_id == billed.account_id and _amount(deal) == str(billed.total)
        )


def _amount(deal: WonDeal) -> str:
    if deal.amount is None:
        return "no amount"
    if not known_currency(deal.currency):
        return f"{deal.amount:f} {deal.currency}"
    try:
        return str(Money.from_major(deal.amount, deal.currency))
    except RecordRejected:
        return f"{deal.amount:f} {deal.currency}"
