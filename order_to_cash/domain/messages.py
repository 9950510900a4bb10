"""What people are told in Slack: pure texts and blocks. What a customer or rep typed is escaped.

Slack's limits (https://docs.slack.dev/reference/block-kit/blocks): a header 150 characters, a section's
text 3,000, 50 blocks a message; and, named nowhere, about 10,000 characters of text over all blocks, above
which it answers `msg_blocks_too_long`. Longer lists end with how many are left out and where the rest stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from order_to_cash.domain.decisions import RunLimit
from order_to_cash.domain.money import Money
from order_to_cash.domain.records import Problem, Record

Block = dict[str, Any]

LONGEST_HEADER = 150
LONGEST_SECTION = 3000
MOST_BLOCKS = 50
LONGEST_MESSAGE = 9000
DEALS_A_MESSAGE = 20
_LONGEST_NAME = 120  # of a name within a message; a 300-character name would push the rest out of sight
_LONGEST_NAME_IN_LIST = 60
_LONGEST_LEFT_OUT = 80  # of the line that says how much is left out
_BULLET = "• "


class Message(Record):
    """A Slack message: `blocks`, and `text` for notifications and screen readers."""

    text: str
    blocks: tuple[Block, ...]


class BilledNotice(Record):
    """A billed deal as people are told of it."""

    opportunity_id: str
    opportunity_name: str
    account_name: str
    owner_name: str
    total: Money  # before tax
    tax: Money | None = None
    invoice_id: str = ""
    invoice_number: str = ""
    hosted_invoice_url: str = ""
    days_until_due: int | None = None


class QuarantineNotice(Record):
    """A deal that is held, and why."""

    opportunity_id: str
    opportunity_name: str
    account_name: str = ""
    owner_name: str = ""
    problems: tuple[Problem, ...]


def billed_message(deal: BilledNotice, *, salesforce_url: str, run_url: str = "") -> Message:
    """The win post of one deal. `salesforce_url` is the org's base address."""
    amount = str(deal.total)
    tax = f" plus {deal.tax} tax" if deal.tax else ""
    due = "" if deal.days_until_due is None else f"\nDue in {deal.days_until_due} days"
    invoice = deal.invoice_number or deal.invoice_id or "Invoice"
    record = _record(salesforce_url, deal.opportunity_id, deal.opportunity_name)
    body = (
        f"*{_name(deal.account_name)}*\n{record}\n"
        f"{amount}{tax} · {link(deal.hosted_invoice_url, invoice)}{due}"
    )
    owner = f"Closed by {_name(deal.owner_name)}" if deal.owner_name else ""
    text = f"Invoice sent: {_name(deal.account_name)}, {amount}{tax}"
    return _message(text, f"Invoice sent: {amount}", [body], [owner, _run(run_url)])


def chatter_post(deal: BilledNotice) -> str:
    """The win post on the deal itself: plain text, people know the record they are looking at."""
    tax = f" plus {deal.tax} tax" if deal.tax else ""
    due = "" if deal.days_until_due is None else f", due in {deal.days_until_due} days"
    return (
        f"Invoice {deal.invoice_number} sent: {deal.total}{tax}{due}.\n"
        f"{deal.hosted_invoice_url}\nStripe invoice {deal.invoice_id}"
    )


def billed_messages(
    deals: Sequence[BilledNotice], *, salesforce_url: str, run_url: str = ""
) -> list[tuple[tuple[BilledNotice, ...], Message]]:
    """The win posts of many deals: at most 20 deals a message, each deal named in exactly one of them."""
    # Header, context and a spare hundred for line breaks leave this much for the list.
    room = LONGEST_MESSAGE - LONGEST_HEADER - len(_run(run_url)) - 100
    groups: list[list[BilledNotice]] = []
    size = 0
    for deal in deals:
        length = len(_billed_line(deal, salesforce_url)) + 1
        if not groups or len(groups[-1]) == DEALS_A_MESSAGE or size + length > room:
            groups.append([])
            size = 0
        groups[-1].append(deal)
        size += length
    return [(tuple(group), _billed_group(group, salesforce_url, run_url)) for group in groups]


def quarantine_message(
    deals: Sequence[QuarantineNotice], *, salesforce_url: str, run_url: str = ""
) -> Message:
    """One message for all that is held in a run, grouped by reason. Raises ValueError for no deals."""
    if not deals:
        raise ValueError("there is nothing to tell")
    counted = "1 deal is held" if len(deals) == 1 else f"{len(deals)} deals are held"
    sections = [
        text
        for problem, group in _by_reason(deals)
        for text in _reason_sections(problem, group, salesforce_url)
    ]
    reasons = ", ".join(sorted({problem.code for deal in deals for problem in deal.problems}))
    return _message(f"{counted}: {reasons}", counted, sections, [_run(run_url)])


def failed_run_message(
    flow: str, error: str, *, run_url: str = "", remedy: str = "", ids: Mapping[str, str] | None = None
) -> Message:
    """The alert of a run that failed. `error` and `remedy` are those of an O2CError, or already redacted."""
    about = "\n".join(f"{escape_slack(key)}: {escape_slack(value)}" for key, value in (ids or {}).items())
    parts = [escape_slack(error), about, f"*What to do:* {escape_slack(remedy)}" if remedy else ""]
    text = f"Run failed: {escape_slack(flow)}: {escape_slack(error)}"
    return _message(text, f"Run failed: {one_line(flow)}", ["\n".join(filter(None, parts))], [_run(run_url)])


def held_run_message(limit: RunLimit, *, run_url: str = "") -> Message:
    """The question to a person whether a large run may go on. Nothing of it has been billed."""
    totals = ", ".join(map(str, limit.totals))
    deals = "1 deal" if limit.deal_count == 1 else f"{limit.deal_count} deals"
    body = (
        "\n".join(f"• {escape_slack(reason)}" for reason in limit.reasons)
        + f"\n*Waiting:* {deals}, {totals}\n*What to do:* {escape_slack(limit.error().remedy)}"
    )
    return _message(
        f"A billing run waits for approval: {deals}, {totals}", "Approval needed", [body], [_run(run_url)]
    )


def escape_slack(text: str) -> str:
    """`text` on one line with what Slack gives a meaning to made harmless: `<!channel>` notifies nobody."""
    return one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def one_line(text: str) -> str:
    """`text` with line breaks, other control characters and halves of characters turned into single spaces.

    JSON can say half a character, such as "\\ud83d"; no mail, database or page can be written with it.
    """
    return re.sub(r"[\s\x00-\x1f\x7f\u2028\u2029\ud800-\udfff]+", " ", text).strip()


def link(url: str, label: str) -> str:
    """A Slack link; only the label when there is no web address."""
    if not url.startswith(("https://", "http://")):
        return escape_slack(label)
    safe = url.replace("|", "%7C").replace(">", "%3E").replace("<", "%3C").replace(" ", "%20")
    return f"<{safe}|{escape_slack(label).replace('|', '¦')}>"


def record_url(salesforce_url: str, record_id: str) -> str:
    """The address of a record in Salesforce; empty without a base address."""
    return f"{salesforce_url.rstrip('/')}/{record_id}" if salesforce_url else ""


def _billed_group(deals: Sequence[BilledNotice], salesforce_url: str, run_url: str) -> Message:
    totals: dict[str, Money] = {}
    for deal in deals:
        known = totals.get(deal.total.currency)
        totals[deal.total.currency] = deal.total if known is None else known + deal.total
    invoices = "1 invoice" if len(deals) == 1 else f"{len(deals)} invoices"
    text = f"{invoices} sent: {', '.join(map(str, totals.values()))}"
    sections = paginate("", [_billed_line(deal, salesforce_url) for deal in deals])
    return _message(text, text, sections, [_run(run_url)])


def _billed_line(deal: BilledNotice, salesforce_url: str) -> str:
    account = escape_slack(_cut(one_line(deal.account_name), _LONGEST_NAME_IN_LIST))
    name = _cut(one_line(deal.opportunity_name), _LONGEST_NAME_IN_LIST) or deal.opportunity_id
    record = link(record_url(salesforce_url, deal.opportunity_id), name)
    tax = f" plus {deal.tax} tax" if deal.tax else ""
    invoice = link(deal.hosted_invoice_url, deal.invoice_number or deal.invoice_id or "Invoice")
    return f"{_BULLET}*{account}*: {record} · {deal.total}{tax} · {invoice}"


def _by_reason(
    deals: Sequence[QuarantineNotice],
) -> list[tuple[Problem, list[tuple[QuarantineNotice, Problem]]]]:
    """Each reason with the deals that have it; the most frequent first, then by code."""
    grouped: dict[str, list[tuple[QuarantineNotice, Problem]]] = {}
    for deal in deals:
        for problem in deal.problems:
            grouped.setdefault(problem.code, []).append((deal, problem))
    ordered = sorted(grouped.values(), key=lambda group: (-len(group), group[0][1].code))
    return [(group[0][1], group) for group in ordered]


def _reason_sections(
    problem: Problem, group: Sequence[tuple[QuarantineNotice, Problem]], salesforce_url: str
) -> list[str]:
    head = f"*{problem.code}* ({len(group)})\n*What to do:* {escape_slack(problem.remedy)}"
    items = []
    for deal, found in group:
        owner = f" · owner {_name(deal.owner_name)}" if deal.owner_name else ""
        account = f"{_name(deal.account_name)}: " if deal.account_name else ""
        record = _record(salesforce_url, deal.opportunity_id, deal.opportunity_name)
        items.append(f"{_BULLET}{account}{record}{owner} — {_cut(escape_slack(found.message), 300)}")
    return paginate(head, items)


def paginate(head: str, items: Iterable[str]) -> list[str]:
    """Texts that each fit a section; the head, where there is one, stands in the first."""
    texts = [head]
    for item in items:
        if len(texts[-1]) + 1 + len(item) > LONGEST_SECTION:
            texts.append(item)
        else:
            texts[-1] = f"{texts[-1]}\n{item}" if texts[-1] else item
    return texts


def _message(text: str, header: str, sections: Sequence[str], context: Sequence[str]) -> Message:
    blocks: list[Block] = [
        {
            "type": "header",
            "text": {"type": "plain_text", "text": _cut(header, LONGEST_HEADER), "emoji": False},
        }
    ]
    said = [_cut(part, LONGEST_SECTION) for part in context if part]
    room = LONGEST_MESSAGE - len(blocks[0]["text"]["text"]) - sum(map(len, said))
    blocks += [
        {"type": "section", "text": {"type": "mrkdwn", "text": part}} for part in _fitting(sections, room)
    ]
    if said:
        elements = [{"type": "mrkdwn", "text": part} for part in said]
        blocks.append({"type": "context", "elements": elements})
    return Message(text=_cut(text, LONGEST_SECTION), blocks=tuple(blocks))


def _fitting(sections: Sequence[str], room: int) -> list[str]:
    """As much of the sections as fits a message, ended by how many entries were left out."""
    parts = [_cut(part, LONGEST_SECTION) for part in sections]
    if len(parts) <= MOST_BLOCKS - 2 and sum(map(len, parts)) <= room:
        return parts
    room -= _LONGEST_LEFT_OUT
    shown: list[str] = []
    for part in parts[: MOST_BLOCKS - 3]:
        whole = part if len(part) <= room else part[: max(room, 0)].rpartition("\n")[0]
        if whole:
            shown.append(whole)
        room -= len(part)
        if room <= 0:
            break
    return [*shown, f"… and {_entries(parts) - _entries(shown)} more: see the run's artifact."]


def _entries(sections: Sequence[str]) -> int:
    """List entries: a name that somebody typed stands on one line and cannot begin one."""
    return sum(line.startswith(_BULLET) for part in sections for line in part.split("\n"))


def _record(salesforce_url: str, record_id: str, name: str) -> str:
    return link(record_url(salesforce_url, record_id), _cut(one_line(name), _LONGEST_NAME) or record_id)


def _run(run_url: str) -> str:
    return link(run_url, "Open the run") if run_url else ""


def _name(text: str) -> str:
    return escape_slack(_cut(one_line(text), _LONGEST_NAME))


def _cut(text: str, longest: int) -> str:
    """`text`, or its beginning and "…"; an escaped character is not cut in two."""
    if len(text) <= longest:
        return text
    return re.sub(r"&[a-z]{0,3}$", "", text[: longest - 1]) + "…"
