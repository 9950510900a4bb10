"""What must be true after all the kills: judged by Stripe's record of deliveries and the journals of the far side."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from order_to_cash.domain.records import Environment
from order_to_cash.ledger.inbox_claims import EventState
from order_to_cash.ledger.inbox_search import EventFilter
from order_to_cash.ledger.ledger import Ledger
from tests.chaos.load import acknowledged
from tests.chaos.picture import NAMED_BY, Picture
from tests.world import World

MOST = 100_000
FAILED = "invoice.payment_failed"


def nothing_is_lost(world: World, ledger: Ledger) -> list[str]:
    """Every event that was answered 2xx was in the inbox by then, and is done."""
    rows = {row.event_id: row for row in ledger.inbox.find(EventFilter(), MOST)}
    wrong = []
    for event_id, at in acknowledged(world).items():
        row = rows.get(event_id)
        if row is None:
            wrong.append(f"{event_id} was acknowledged and is not in the inbox")
        elif int(row.received_at.timestamp()) > at:
            # A later look at Stripe's list brought what was lost.
            wrong.append(
                f"{event_id} was acknowledged and stored {row.received_at.timestamp() - at:.0f} s later"
            )
        elif row.state not in {EventState.DONE, EventState.IGNORED}:
            wrong.append(f"{event_id} ({row.type}) is {row.state}: {row.code} {row.reason}")
    return wrong


def nothing_is_made_twice(world: World, shown: Picture, given: int) -> list[str]:
    """As many records were ever created as there are; what has no id of Stripe's is known by its key (`picture`).

    `given`: Accounts that were there from the beginning.
    """
    wrong = []
    for sobject in NAMED_BY:
        there = sum(1 for each, _ in shown if each == sobject) - (given if sobject == "Account" else 0)
        created = len(world.effects("salesforce", sobject, "created"))
        if created != there:
            wrong.append(f"{created} {sobject} were created, {there} are there")
    return wrong


def each_failure_is_heard_of_once(
    world: World, events: Sequence[Mapping[str, Any]], shown: Picture
) -> list[str]:
    """One Case for an invoice, one Task for an attempt, and one word in Slack."""
    failed = {
        (str(one["id"]), int(one["attempt_count"])): str(one["number"])
        for one in (event["data"]["object"] for event in events if event["type"] == FAILED)
    }
    cases = {name for sobject, name in shown if sobject == "Case"}
    tasks = {name for sobject, name in shown if sobject == "Task" and ":payment_failed:" in name}
    wrong = []
    if cases != (wanted := {f"o2c:case:payment_failed:{invoice}" for invoice, _ in failed}):
        wrong.append(f"Cases: {sorted(cases ^ wanted)}")
    if tasks != (wanted := {f"o2c:signal:payment_failed:{invoice}:{number}" for invoice, number in failed}):
        wrong.append(f"Tasks: {sorted(tasks ^ wanted)}")
    said = Counter(_said(world))
    for (_, attempt), number in failed.items():
        times = said.pop((attempt, number), 0)
        if times != 1:
            wrong.append(f"attempt {attempt} of {number} is told {times} times in Slack")
    return wrong + [f"also told: {other}" for other in said]


def _said(world: World) -> list[tuple[int, str]]:
    """(attempt, invoice number) of every failed payment that Slack was told of."""
    found = []
    for entry in world.services["slack"].journal.entries:
        if not entry.path.endswith("chat.postMessage") or not entry.effects:
            continue
        blocks = [block["text"]["text"] for block in entry.body.get("blocks", ()) if "text" in block]
        for header, section in pairwise(blocks):
            if header.startswith("Payment failed (attempt "):
                attempt = int(header.split("attempt ")[1].split(")")[0])
                named = re.search(r"Invoice ([^\s:]+)", section)
                assert named is not None, section
                found.append((attempt, named[1]))
    return found


def opened(world: World, url: str) -> Ledger:
    """The ledger, by the emulators' clock."""
    return Ledger.open(url, clock=world.clock, environment=Environment.EMULATOR)
