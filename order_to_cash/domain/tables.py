"""Markdown tables for the artifacts of a run. E-mail addresses are masked; what people typed is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from order_to_cash.domain.matching import MatchDecision
from order_to_cash.domain.messages import BilledNotice, QuarantineNotice, one_line, record_url
from order_to_cash.domain.records import BillingPlan, CustomerMatch, Record, WonDeal
from order_to_cash.domain.redaction import mask_email, redact

# Markdown and HTML that would change how a cell reads; | would end it.
_SPECIAL = {ord(char): f"\\{char}" for char in "\\`*_[]|~#"} | {
    ord("&"): "&amp;",
    ord("<"): "&lt;",
    ord(">"): "&gt;",
}
_URL = str.maketrans({char: f"%{ord(char):02X}" for char in "()|<> "})


class PlannedDeal(Record):
    """One row of the plan table. `match` None: the customer was not looked for."""

    deal: WonDeal
    plan: BillingPlan
    match: MatchDecision | None = None


def plan_table(planned: Sequence[PlannedDeal]) -> str:
    """What would be billed: deal, customer, how it was found, lines, amount, terms."""
    head = (
        "Deal",
        "Customer",
        "E-mail",
        "Stripe customer",
        "Lines",
        "Negotiated",
        "Amount before tax",
        "Terms",
    )
    return _table(head, (_plan_row(one) for one in planned), right={4, 5, 6})


def billed_table(billed: Sequence[BilledNotice], *, salesforce_url: str = "") -> str:
    """What was billed, with the invoices' addresses."""
    head = ("Deal", "Customer", "Amount before tax", "Tax", "Invoice")
    rows = (
        (
            _link(record_url(salesforce_url, one.opportunity_id), one.opportunity_name or one.opportunity_id),
            cell(one.account_name),
            str(one.total),
            str(one.tax) if one.tax else "",
            _link(one.hosted_invoice_url, one.invoice_number or one.invoice_id),
        )
        for one in billed
    )
    return _table(head, rows, right={2, 3})


def quarantine_table(held: Sequence[QuarantineNotice], *, salesforce_url: str = "") -> str:
    """What is held: one row for each reason of each deal."""
    head = ("Deal", "What is wrong", "What to do", "Owner", "Customer", "Reason", "Field")
    rows = (
        (
            _link(record_url(salesforce_url, one.opportunity_id), one.opportunity_name or one.opportunity_id),
            cell(problem.message),
            cell(problem.remedy),
            cell(one.owner_name),
            cell(one.account_name),
            cell(problem.code),
            cell(problem.field),
        )
        for one in held
        for problem in one.problems
    )
    return _table(head, rows)


def cell(text: str) -> str:
    """`text` as the content of one table cell, shown as it is."""
    return one_line(text).translate(_SPECIAL)


def _plan_row(one: PlannedDeal) -> tuple[str, ...]:
    plan, account = one.plan, one.deal.account
    terms = plan.collection_method.value
    if plan.days_until_due is not None:
        terms += f", {plan.days_until_due} days"
    return (
        cell(redact(one.deal.name) or one.deal.opportunity_id),
        cell(redact(account.name)),
        cell(mask_email(account.email)),
        cell(_match(one.match)),
        str(len(plan.lines)),
        str(sum(line.negotiated for line in plan.lines)),
        str(plan.total),
        cell(terms),
    )


def _match(match: MatchDecision | None) -> str:
    if match is None:
        return ""
    if match.kind is CustomerMatch.NONE:
        return "new"
    return f"{match.customer_id} ({match.kind.value})"


def _link(url: str, label: str) -> str:
    """A link; beside its label where that needs escapes: Prefect 3.8's UI shows those of a link's label as they are."""
    if not url.startswith(("https://", "http://")):
        return cell(label)
    safe = (
        url.replace("(", "%28")
        .replace(")", "%29")
        .replace("|", "%7C")
        .replace(" ", "%20")
        .replace("<", "%3C")
    )
    shown = cell(label)
    return f"[{shown}]({safe})" if shown == label else f"{shown} [open]({safe})"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[int] = ()) -> str:
    aligned = set(right)
    rule = ["---:" if column in aligned else "---" for column in range(len(head))]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *rows)) + "\n"
