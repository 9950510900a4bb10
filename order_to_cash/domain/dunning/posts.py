"""What Slack is told of ladders: a message for each step and for the end, or one line in a message about many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from order_to_cash.domain.dunning.facts import EndReason
from order_to_cash.domain.dunning.steps import Step
from order_to_cash.domain.dunning.texts import (
    Debt,
    ended_in_words,
    next_attempt,
    stripes_end,
    what_is_next,
    why,
)
from order_to_cash.domain.messages import (
    LONGEST_HEADER,
    LONGEST_MESSAGE,
    Block,
    Message,
    escape_slack,
    link,
    one_line,
    paginate,
)

LADDERS_A_MESSAGE = 20
_LONGEST_SENTENCE = 400
_MOST_TROUBLES = 5
_LONGEST_NAME = 120
_LONGEST_NAME_IN_LIST = 60


@dataclass(frozen=True, slots=True)
class Post:
    """What is told of one ladder: `message` when it stands alone, `line` among many under `heading`."""

    heading: str
    message: Message
    line: str


def step_post(debt: Debt, step: Step, *, executive: str = "", trouble: Sequence[str] = ()) -> Post:
    """A step was taken. `executive`: whom it is meant for. `trouble`: what could not be done, in sentences."""
    lines = [
        _who_and_what(debt),
        f"Executive sponsor: {_said(executive, _LONGEST_NAME)}. Please step in." if executive else "",
        escape_slack(why(debt)),
        escape_slack(next_attempt(debt)),
        escape_slack(stripes_end(debt)),
        escape_slack(what_is_next(debt)),
        *(f"*{_said(sentence)}*" for sentence in trouble[:_MOST_TROUBLES]),
        _pages(debt),
    ]
    title = f"{step.name}: {debt.amount_in_words}"
    head = [f"Owner: {_said(debt.owner_name, _LONGEST_NAME)}" if debt.owner_name else "", *_controls(debt)]
    return Post(
        step.name,
        _message(title, f"{title}, {debt.short_name}", lines, head),
        _line(
            debt,
            f"{escape_slack(step.name)} · {escape_slack(why(debt) or next_attempt(debt))}{_first(trouble)}",
        ),
    )


def ended_post(debt: Debt, reason: EndReason, *, closed: str, trouble: Sequence[str] = ()) -> Post:
    """A ladder is over. `closed`: which records were closed, in a sentence."""
    heading = _HEADINGS[reason]
    title = f"{heading}: {debt.amount_in_words}"
    lines = [
        _who_and_what(debt),
        escape_slack(f"The ladder has ended: {ended_in_words(reason)}"),
        escape_slack(closed),
        *(f"*{_said(sentence)}*" for sentence in trouble[:_MOST_TROUBLES]),
    ]
    told = escape_slack(ended_in_words(reason)) + _first(trouble)
    return Post(
        heading,
        _message(title, f"{title}, {debt.short_name}", lines, _controls(debt)[:1]),
        _line(debt, told),
    )


def together(posts: Sequence[tuple[str, Post]], run: str) -> list[tuple[tuple[str, ...], Message]]:
    """Messages that name each of `posts`, given with its key, exactly once: the keys that one tells of, and itself."""
    groups: list[list[tuple[str, Post]]] = []
    room = LONGEST_MESSAGE - 2 * LONGEST_HEADER - len(run) - 100
    size = 0
    for key, post in posts:
        length = len(post.line) + 1
        if not groups or len(groups[-1]) == LADDERS_A_MESSAGE or size + length > room:
            groups.append([])
            size = 0
        groups[-1].append((key, post))
        size += length
    return [(tuple(key for key, _ in group), _summary([post for _, post in group], run)) for group in groups]


def _summary(posts: Sequence[Post], run: str) -> Message:
    counted = Counter(post.heading for post in posts)
    kinds = ", ".join(f"{heading} ({count})" for heading, count in counted.most_common())
    ladders = "1 ladder" if len(posts) == 1 else f"{len(posts)} ladders"
    title = f"{ladders}: {kinds}"
    return _sections(
        title, title, paginate("", (post.line for post in posts)), [link(run, "Open the run")] if run else []
    )


def _line(debt: Debt, told: str) -> str:
    name = link(debt.links.account, debt.short_name[:_LONGEST_NAME_IN_LIST])
    owner = f" · {_said(debt.owner_name, _LONGEST_NAME_IN_LIST)}" if debt.owner_name else ""
    return f"• *{name}* · {_invoice(debt)} · {escape_slack(debt.amount_in_words)} · {told}{owner}"


def _who_and_what(debt: Debt) -> str:
    return f"*{link(debt.links.account, debt.short_name)}* · {_invoice(debt)}"


def _invoice(debt: Debt) -> str:
    return link(debt.links.invoice or debt.links.stripe, debt.number)


def _first(trouble: Sequence[str]) -> str:
    return f" · {_said(trouble[0])}" if trouble else ""


def _said(text: str, longest: int = _LONGEST_SENTENCE) -> str:
    return escape_slack(text if len(text) <= longest else f"{text[: longest - 1]}…")


def _pages(debt: Debt) -> str:
    given = ((debt.links.payment_page, "Payment page"), (debt.links.stripe, "In Stripe"))
    return " · ".join(link(url, label) for url, label in given if url)


def _controls(debt: Debt) -> list[str]:
    given = ((debt.links.run, "Open the run"), (debt.links.hold, "Put on hold"))
    return [link(url, label) for url, label in given if url]


def _message(title: str, text: str, lines: Iterable[str], context: Iterable[str]) -> Message:
    return _sections(title, text, paginate("", (line for line in lines if line)), context)


def _sections(title: str, text: str, sections: Sequence[str], context: Iterable[str]) -> Message:
    title = one_line(title)
    header = title if len(title) <= LONGEST_HEADER else f"{title[: LONGEST_HEADER - 1]}…"
    blocks: list[Block] = [
        {"type": "header", "text": {"type": "plain_text", "text": header, "emoji": False}},
        *({"type": "section", "text": {"type": "mrkdwn", "text": part}} for part in sections if part),
    ]
    said = [part for part in context if part]
    if said:
        blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": part} for part in said]})
    return Message(text=escape_slack(text), blocks=tuple(blocks))


_HEADINGS = {
    EndReason.PAID: "Paid",
    EndReason.VOIDED: "Voided",
    EndReason.UNCOLLECTIBLE: "Uncollectible",
    EndReason.SUBSCRIPTION_CANCELED: "Subscription canceled",
    EndReason.CUSTOMER_DELETED: "Customer deleted",
    EndReason.WRITTEN_OFF: "Written off",
    EndReason.INVOICE_GONE: "Invoice gone",
    EndReason.NOT_FINAL: "Back to draft",
}
