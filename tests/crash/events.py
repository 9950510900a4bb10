"""Stripe events of three customers are applied: what a run is given, and what Salesforce and Slack must show once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from order_to_cash.domain.events import decode_event
from order_to_cash.ledger.inbox_claims import EventSource, EventState
from order_to_cash.ledger.inbox_search import EventFilter
from tests.chaos import judging
from tests.chaos.lives import RETRY_SECONDS, Stripe, grows, refunded
from tests.chaos.picture import Picture, differences, picture
from tests.crash.scene import failing, opened
from tests.crash.trials import Again
from tests.world import World

STRANGER = "Larchwood Traders"


class Applying:
    """A payment fails twice, a subscription grows, and one whom Salesforce does not know pays and is refunded."""

    ways: Sequence[Again] = (Again.NAMED, Again.AT_ONCE, Again.NEWS, Again.NEXT_DAY)

    def __init__(self, world: World) -> None:
        self._world = world
        stripe = Stripe(world)
        self._known = [stripe.customer(name=f"Known {n}", email=f"known{n}@a.example") for n in range(2)]
        stripe.fail_to_pay(self._known[0], 12_300)
        grows(stripe, self._known[1])
        refunded(stripe, stripe.customer(name=STRANGER, email="billing@larchwood.example"))
        world.clock.advance(RETRY_SECONDS + 1)
        self._listed = stripe.events()
        self._events = [decode_event(json.dumps(event).encode()) for event in self._listed]
        self._began = world.clock.now()
        self._expected: Picture = {}
        stripe.close()

    def stage(self, ledger_url: str) -> None:
        """The same events wait, and nothing is shown yet."""
        world = self._world
        world.clock.set(self._began)
        world.control("slack", "reset")
        world.control("salesforce", "empty")
        for number, customer in enumerate(self._known):
            email = f"known{number}@a.example"
            world.account(Name=f"Known {number}", Billing_Email__c=email, Stripe_Customer_Id__c=customer)
        world.forget_calls()
        with opened(world, ledger_url) as ledger:
            ledger.inbox.store(self._events, EventSource.WEBHOOK)

    def work(self, ledger_url: str, *, sweep: bool = False) -> Mapping[str, Any]:
        return {"work": "apply"}

    def news(self, ledger_url: str) -> None:
        """Stripe tells everything once more, by events of other ids."""
        twins = [replace(event, event_id=f"{event.event_id}_twin") for event in self._events]
        with opened(self._world, ledger_url) as ledger:
            ledger.inbox.store(twins, EventSource.WEBHOOK)

    def left(self, ledger_url: str) -> bool:
        with opened(self._world, ledger_url) as ledger:
            counts = ledger.inbox.counts()
        return any(counts[state] for state in counts if state is not EventState.PARKED)

    def problems(self, ledger_url: str) -> list[str]:
        """What the first run that is judged shows is what all others must show."""
        return failing(
            lambda: self._at_rest(ledger_url),
            self._shown_once,
        )

    def _at_rest(self, ledger_url: str) -> None:
        with opened(self._world, ledger_url) as ledger:
            rows = ledger.inbox.find(EventFilter(), 1_000)
            ended = {EventState.DONE, EventState.IGNORED}
            left = [f"{row.type} is {row.state}: {row.code}" for row in rows if row.state not in ended]
            assert left == [], str(left[:5])
            ledger.audit.seal()
            broken: Any = ledger.audit.verify()
            assert broken is None, f"the audit chain is broken at {broken}"

    def _shown_once(self) -> None:
        world = self._world
        shown = picture(world)
        found = judging.nothing_is_made_twice(world, shown, len(self._known))
        found += judging.each_failure_is_heard_of_once(world, self._listed, shown)
        contacts = world.control("salesforce", "records?type=Contact", method="GET")["records"]
        if len(contacts) != 1:
            found.append(f"{len(contacts)} Contacts of the stranger")
        self._expected = self._expected or shown
        if differing := differences(self._expected, shown):
            found.append(f"(expected, shown): {differing}")
        assert found == [], "; ".join(found)
