"""What the billing channel was told during the demo, one line for each thing."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from typing import Any

import typer

from order_to_cash.cli.demo_company import BILLED, HELD, STORY, Expected
from order_to_cash.cli.demo_result import journal_of
from order_to_cash.settings import Settings

WIDTH = 116
_LINK = re.compile(r"<(?:https?://[^|>]*)\|([^>]*)>")


def messages(settings: Settings) -> list[dict[str, Any]]:
    """The messages of the channel as Slack holds them, oldest first."""
    return [
        entry["response"]["message"]
        for entry in journal_of(settings.slack_base_url)
        if any(effect["object"] == "message" for effect in entry["effects"])
    ]


def show(told: Sequence[dict[str, Any]]) -> bool:
    """Show the channel; whether each win was posted once and what is held in one message."""
    typer.echo("\nSlack, the billing channel:")
    for message in told:
        for line in in_short(message):
            typer.echo(f"  {line}")
    wins = sum(is_win_post(message) for message in told)
    right = wins == len(_of(BILLED)) and len(told) == wins + 2 and knows_all(told) and alerted(told)
    if not right:
        typer.secho(f"Not as told: Slack has {wins} win posts among {len(told)} messages", fg="red")
    return right


def knows_all(told: Sequence[dict[str, Any]]) -> bool:
    """Whether Slack knows of every win, and of all that is held."""
    wins = sum(is_win_post(message) for message in told)
    return wins >= len(_of(BILLED)) and len(_of(HELD)) in map(held_deals, told)


def _of(ends: str) -> list[Expected]:
    return [each for each in STORY if each.ends == ends]


def held_deals(message: dict[str, Any]) -> int:
    """How many deals a message says are held; 0 for any other."""
    return sum(line.startswith("•") for line in _lines(message))


def is_win_post(message: dict[str, Any]) -> bool:
    return str(message["text"]).startswith("Invoice sent:")


def alerted(told: Sequence[dict[str, Any]]) -> bool:
    """Whether the channel knows of the declined card, and was told once."""
    return sum(str(message["text"]).startswith("Payment failed") for message in told) == 1


def in_short(message: dict[str, Any]) -> Iterator[str]:
    """Its headline, then a line for each deal that it lists, without the deal's name."""
    if not held_deals(message):
        yield _cut(_plain(message["text"]))
        return
    yield _plain(message["blocks"][0]["text"]["text"])
    for line in _lines(message):
        if line.startswith("•"):
            yield _cut(f"  {_plain(re.sub(r'(: )?<https?:[^>]*>', '', line))}")


def _lines(message: dict[str, Any]) -> list[str]:
    """The lines of its sections, in Slack's markup."""
    sections = [
        block for block in message.get("blocks", []) if block["type"] == "section" and "text" in block
    ]
    return [line for section in sections for line in section["text"]["text"].split("\n")]


def _plain(text: str) -> str:
    """As a person reads it: of links the label, no entities."""
    return html.unescape(_LINK.sub(r"\1", text)).replace("*", "")


def _cut(line: str) -> str:
    """The line, or as many of its words as fit."""
    if len(line) <= WIDTH:
        return line
    words = line[: WIDTH - 1].rpartition(" ")[0].rstrip() or line[: WIDTH - 2]
    return f"{words} …"
