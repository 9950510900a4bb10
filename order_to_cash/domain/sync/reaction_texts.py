"""The words of Cases, Tasks and Slack messages about what Stripe said. Ids, amounts and dates; no personal data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from order_to_cash.domain.messages import (
    LONGEST_HEADER,
    LONGEST_SECTION,
    Block,
    Message,
    escape_slack,
    link,
    one_line,
    record_url,
)
from order_to_cash.domain.money import Money, known_currency
from order_to_cash.domain.sync.declines import plain_words
from order_to_cash.domain.sync.shapes import ReactionFacts, Signal

_LONGEST_NAME = 120
_SETTLED = {"paid": "The invoice was paid meanwhile.", "void": "The invoice was voided meanwhile."}


@dataclass(frozen=True, slots=True)
class Text:
    """A subject of one line, and sentences. Neither names the Account: the record hangs on it."""

    subject: str
    lines: tuple[str, ...]

    @property
    def body(self) -> str:
        return "\n".join(line for line in self.lines if line)


def message(said: Text, facts: ReactionFacts) -> Message:
    """`said` for Slack: whose it is, links to Account and invoice, who looks after it."""
    name = one_line(facts.account_name)[:_LONGEST_NAME] or facts.account_id
    account = (
        link(record_url(facts.salesforce_url, facts.account_id), name)
        if facts.account_id
        else escape_slack(name)
    )
    said_lines = [escape_slack(line) for line in said.lines if line]
    if facts.invoice_record_id:
        number = facts.invoice_number or "Invoice"
        said_lines.append(link(record_url(facts.salesforce_url, facts.invoice_record_id), number))
    body = "\n".join([f"*{account}*" if account else "", *said_lines]).strip()
    owner = f"Owner: {escape_slack(facts.owner.name)}" if facts.owner.name else ""
    context = [part for part in (owner, link(facts.run_url, "Open the run") if facts.run_url else "") if part]
    blocks: list[Block] = [
        {
            "type": "header",
            "text": {"type": "plain_text", "text": said.subject[:LONGEST_HEADER], "emoji": False},
        },
        {"type": "section", "text": {"type": "mrkdwn", "text": body[:LONGEST_SECTION]}},
    ]
    if context:
        blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": part} for part in context]})
    return Message(
        text=escape_slack(f"{said.subject}: {name}" if name else said.subject), blocks=tuple(blocks)
    )


def failing_invoice(signal: Signal, facts: ReactionFacts) -> Text:
    """The Case: one for all attempts, so that it names none."""
    return Text(
        f"Payment failed: {_invoice(signal, facts)}",
        (
            f"{_amount(signal.facts)} of invoice {_invoice(signal, facts)} could not be collected.",
            _reason(facts),
            "Each failed attempt is a Task on the Account.",
            _meanwhile(facts),
            _page(facts),
        ),
    )


def payment_failed(signal: Signal, facts: ReactionFacts) -> Text:
    attempt = signal.facts.get("attempt_count") or 1
    upcoming = facts.next_attempt_at or _moment(signal.facts.get("next_payment_attempt"))
    following = (
        f"Stripe tries again on {upcoming.astimezone(UTC):%Y-%m-%d %H:%M} UTC."
        if upcoming is not None
        else "Stripe will not try again by itself."
    )
    lines = (f"Invoice {_invoice(signal, facts)} is unpaid.", _reason(facts), following, _page(facts))
    if settled := _meanwhile(facts):
        lines = (f"Invoice {_invoice(signal, facts)}: {settled}", _reason(facts), "", "")
    return Text(f"Payment failed (attempt {attempt}): {_amount(signal.facts)}", lines)


def action_required(signal: Signal, facts: ReactionFacts) -> Text:
    return Text(
        f"The customer must confirm a payment: {_amount(signal.facts)}",
        (
            f"Invoice {_invoice(signal, facts)} is paid once the customer confirms it with the bank (3D Secure).",
            _page(facts),
        ),
    )


def finalization_failed(signal: Signal, facts: ReactionFacts) -> Text:
    return Text(
        f"An invoice could not be finalized: {_invoice(signal, facts)}",
        (
            f"Stripe gives the reason {signal.facts.get('code')}. Nobody was billed.",
            "Correct the customer (address, tax id) or the invoice in Stripe, then finalize it there.",
        ),
    )


def overdue(signal: Signal, facts: ReactionFacts) -> Text:
    due = _moment(signal.facts.get("due_at"))
    since = f" It was due on {due:%Y-%m-%d}." if due else ""
    return Text(
        f"Invoice overdue: {_amount(signal.facts)}",
        (
            f"Invoice {_invoice(signal, facts)}: {_meanwhile(facts) or 'It is not paid.' + since}",
            _page(facts),
        ),
    )


def uncollectible(signal: Signal, facts: ReactionFacts) -> Text:
    return Text(
        f"Invoice written off: {_amount(signal.facts)}",
        (
            f"Invoice {_invoice(signal, facts)} was marked uncollectible in Stripe. It can still be paid.",
            _page(facts),
        ),
    )


def plan_changed(signal: Signal, facts: ReactionFacts) -> Text:
    del facts
    held = signal.facts
    was = _money(held.get("old_monthly_minor"), held)
    verb = {"upgrade": "upgraded", "downgrade": "downgraded"}.get(str(held.get("direction")), "changed")
    return Text(
        f"Subscription {verb}: {was} → {_monthly(held)} a month",
        (f"From {held.get('old_plan')} to {held.get('plan')}.", f"Subscription {held.get('subscription')}."),
    )


def downgrade(signal: Signal, facts: ReactionFacts) -> Text:
    said = plan_changed(signal, facts)
    return Text(
        said.subject, (*said.lines, "Talk to the customer: a smaller plan often comes before leaving.")
    )


def cancellation_scheduled(signal: Signal, facts: ReactionFacts) -> Text:
    del facts
    ends = _moment(signal.facts.get("ends_at"))
    when = f" on {ends:%Y-%m-%d}" if ends else ""
    return Text(
        f"Subscription will be canceled{when}: {_monthly(signal.facts)} a month",
        (f"It is {signal.facts.get('plan')}, {signal.facts.get('subscription')}.", _why(signal.facts)),
    )


def cancellation_withdrawn(signal: Signal, facts: ReactionFacts) -> Text:
    return _of_subscription("Subscription stays: its cancellation was withdrawn", signal, facts)


def subscription_ended(signal: Signal, facts: ReactionFacts) -> Text:
    del facts
    return Text(
        f"Subscription ended: {_monthly(signal.facts)} a month lost",
        (
            f"It was {signal.facts.get('plan')}, {signal.facts.get('subscription')}.",
            _why(signal.facts),
            "Ask the customer why, and what would bring them back.",
        ),
    )


def subscription_paused(signal: Signal, facts: ReactionFacts) -> Text:
    return _of_subscription("Subscription paused", signal, facts)


def subscription_resumed(signal: Signal, facts: ReactionFacts) -> Text:
    return _of_subscription("Subscription resumed", signal, facts)


def trial_ending(signal: Signal, facts: ReactionFacts) -> Text:
    del facts
    ends = _moment(signal.facts.get("ends_at"))
    when = f" on {ends:%Y-%m-%d}" if ends else ""
    return Text(
        f"Trial ends{when}: {_monthly(signal.facts)} a month from then on",
        (f"It is {signal.facts.get('plan')}, {signal.facts.get('subscription')}.",),
    )


def dispute_opened(signal: Signal, facts: ReactionFacts) -> Text:
    del facts
    due = _moment(signal.facts.get("due_at"))
    answer = f"Answer it in Stripe by {due:%Y-%m-%d %H:%M} UTC." if due else "Answer it in Stripe."
    reason = str(signal.facts.get("reason") or "unknown").replace("_", " ")
    return Text(
        f"Payment disputed: {_amount(signal.facts)}",
        (
            f"The customer's bank gives the reason: {reason}.",
            answer,
            f"Dispute {signal.facts.get('dispute')}.",
        ),
    )


def dispute_closed(signal: Signal, facts: ReactionFacts) -> Text:
    del facts
    status = str(signal.facts.get("status") or "closed").replace("_", " ")
    return Text(
        f"Dispute {status}: {_amount(signal.facts)}",
        (f"Dispute {signal.facts.get('dispute')} of payment {signal.facts.get('charge')}.",),
    )


def refund_failed(signal: Signal, facts: ReactionFacts) -> Text:
    del facts
    reason = str(signal.facts.get("reason") or "unknown").replace("_", " ")
    return Text(
        f"Refund failed: {_amount(signal.facts)}",
        (
            f"The money is back on the Stripe balance; the reason given: {reason}.",
            f"Pay the customer another way. Refund {signal.facts.get('refund')}.",
        ),
    )


def card_expiring(signal: Signal, facts: ReactionFacts) -> Text:
    del facts
    last = signal.facts.get("expires_on")
    brand = str(signal.facts.get("brand") or "Card").capitalize()
    expired = isinstance(last, date) and last < signal.at.date()
    return Text(
        f"{brand} ending in {signal.facts.get('last4')} {'expired' if expired else 'expires'} on {last}",
        ("Ask the customer for a new card before the next payment.",),
    )


def _of_subscription(subject: str, signal: Signal, facts: ReactionFacts) -> Text:
    del facts
    held = signal.facts
    return Text(
        subject, (f"It is {held.get('plan')}, {_monthly(held)} a month, {held.get('subscription')}.",)
    )


def _invoice(signal: Signal, facts: ReactionFacts) -> str:
    return (
        facts.invoice_number
        or str(signal.facts.get("number") or "")
        or str(signal.facts.get("invoice") or "")
    )


def _meanwhile(facts: ReactionFacts) -> str:
    """What is heard of late may be settled by now."""
    return _SETTLED.get(facts.invoice_status, "")


def _reason(facts: ReactionFacts) -> str:
    return plain_words(facts.failure_code) if facts.failure_code else ""


def _page(facts: ReactionFacts) -> str:
    settled = not facts.hosted_invoice_url or _meanwhile(facts)
    return "" if settled else f"Payment page: {facts.hosted_invoice_url}"


def _why(held: Mapping[str, Any]) -> str:
    said = [str(held.get(name) or "").replace("_", " ") for name in ("reason", "feedback")]
    told = ": ".join(part for part in said if part)
    return f"Reason given: {told}." if told else ""


def _amount(held: Mapping[str, Any]) -> str:
    return _money(held.get("amount_minor"), held)


def _monthly(held: Mapping[str, Any]) -> str:
    return _money(held.get("monthly_minor"), held)


def _money(amount_minor: Any, held: Mapping[str, Any]) -> str:
    currency = str(held.get("currency") or "")
    if not isinstance(amount_minor, int) or not known_currency(currency):
        return "an amount in an unknown currency"
    return str(Money(amount_minor, currency))


def _moment(value: Any) -> datetime | None:
    return datetime.fromtimestamp(value, UTC) if isinstance(value, int) else None
