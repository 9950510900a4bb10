"""Ladders that take steps and end, without the flow that decides about them: effects at the emulators' wire."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import text

from blocks import SlackChannel
from order_to_cash.domain.dunning.decision import Do, End, to_clear
from order_to_cash.domain.dunning.default_policy import DEFAULT_POLICY
from order_to_cash.domain.dunning.facts import EndReason, StepState
from order_to_cash.domain.dunning.policy import DunningPolicy
from order_to_cash.domain.dunning.reading import read_policy
from order_to_cash.domain.errors import O2CError
from order_to_cash.ledger.ladder_records import ClaimedLadder, LadderStatus, Settled, StepOutcome, Subject
from order_to_cash.settings import load_settings
from tasks.company import Company, Slack
from tasks.dunning_endings import end_ladders
from tasks.dunning_facts import read_ladders
from tasks.dunning_items import ActionOutcome, LadderItem
from tasks.dunning_steps import take_steps
from tests.flows.facts_world import DECLINED, Facts, facts_of
from tests.world import World

Outcomes = Mapping[str, list[ActionOutcome]]


@dataclass
class Steps:
    """Has ladders take steps as the flow does, and asks the vendors what came of it."""

    facts: Facts
    claims: list[ClaimedLadder] = field(default_factory=list)

    @property
    def world(self) -> World:
        return self.facts.world

    @property
    def company(self) -> Company:
        return self.facts.company

    def unpaid(self, **account: Any) -> tuple[str, str]:
        """A customer whose card is declined, with its Account, and the invoice; Salesforce was told of nothing yet."""
        sync = self.facts.sync
        customer = sync.customer(known=not account, card=DECLINED, name="Acme Ltd")
        if account:
            sync.world.account(Stripe_Customer_Id__c=customer, **account)
        return customer, self.facts.failed(customer)

    def again(self, customer: str) -> str:
        """Another unpaid invoice of the customer."""
        return self.facts.failed(customer)

    async def take(
        self,
        key: str,
        *invoices: str,
        run_id: str = "run-1",
        finish: bool = True,
        late: timedelta | None = None,
    ) -> Outcomes:
        """The step `key` of these ladders; it stays begun where something has to be tried again, or on demand."""
        items = await self.claimed(key, *invoices, run_id=run_id, late=late)
        return await self.act(items, run_id=run_id, finish=finish)

    async def claimed(
        self, key: str, *invoices: str, run_id: str = "run-1", late: timedelta | None = None
    ) -> list[LadderItem]:
        """These ladders, read, and the step begun."""
        ladders = self.company.ledger.ladders
        self.claims = ladders.claim("tests", customers=1000, invoice_ids=invoices)
        mine = [claim for claim in self.claims if claim.ladder.invoice_id in invoices]
        assert len(mine) == len(invoices)
        assert ladders.begin_steps([(claim, key) for claim in mine], run_id) == {}
        items = await read_ladders.fn(self.company, mine, run_id)
        for item in items:
            item.claim = self._now(item)
            item.decision = Do(self.step(item, key), late or timedelta(0))
        return items

    async def act(
        self, items: Sequence[LadderItem], *, run_id: str = "run-1", finish: bool = True
    ) -> Outcomes:
        """Take the steps that were decided, and write down which are done."""
        ladders = self.company.ledger.ladders
        outcomes = await take_steps(self.company, items, run_id)
        now = self.company.clock.now()
        done = [
            StepOutcome(
                claim=item.claim,
                key=item.decision.step.key,
                state=StepState.DONE,
                contacted_at=now if any(one.contacted for one in outcomes[item.invoice_id]) else None,
            )
            for item in items
            if isinstance(item.decision, Do)
            and finish
            and not any(one.error for one in outcomes[item.invoice_id])
        ]
        assert ladders.finish_steps(done) == {}
        ladders.release(self.claims)
        return outcomes

    async def subjects(self, *invoices: str) -> None:
        """Settle them, so that the ledger knows whose they are."""
        ladders = self.company.ledger.ladders
        claims = ladders.claim("tests", customers=1000, invoice_ids=invoices)
        items = await read_ladders.fn(self.company, claims, "run-1")
        now = self.company.clock.now()
        settled = [
            Settled(
                claim=item.claim,
                status=LadderStatus.WAITING,
                next_step="",
                due_at=now,
                subject=Subject(account_name=item.account.account_name, account_id=item.account.account_id),
            )
            for item in items
        ]
        assert ladders.settle(settled) == {}

    async def end(
        self, reason: EndReason, *invoices: str, run_id: str = "run-end", keep: bool = False
    ) -> dict[str, O2CError | None]:
        """End these ladders; `keep`: as if the process died before the ledger was told."""
        ladders = self.company.ledger.ladders
        self.claims = claims = ladders.claim("tests", customers=1000, invoice_ids=invoices)
        items = await read_ladders.fn(
            self.company, [one for one in claims if one.ladder.invoice_id in invoices], run_id
        )
        for item in items:
            assert item.policy is not None
            item.decision = End(reason, to_clear(item.claim.ladder.state, item.policy))
        errors = await end_ladders(self.company, items, run_id)
        through = [(item.claim, reason) for item in items if errors[item.invoice_id] is None]
        if not keep:
            assert ladders.end(through) == {}
        ladders.release(claims)
        return errors

    def step(self, item: LadderItem, key: str) -> Any:
        assert item.policy is not None
        ladder = item.policy.ladder(item.claim.ladder.state.collection_method)
        return next(step for step in ladder.steps if step.key == key)

    def _now(self, item: LadderItem) -> Any:
        """The claim with the journal as it stands."""
        ladder = self.company.ledger.ladders.get(item.invoice_id)
        assert ladder is not None
        return replace(item.claim, ladder=ladder)

    def forget_effects(self) -> None:
        """As with a ledger of before all effects; the ladders' journals stay."""
        with self.company.ledger.database.write() as connection:
            connection.execute(text("DELETE FROM ledger_operation"))

    def expire_leases(self) -> None:
        """As two minutes after a kill."""
        with self.company.ledger.database.write() as connection:
            connection.execute(text("UPDATE ledger_operation SET lease_expires_at = NULL"))

    # What is there

    def records(self, sobject: str) -> list[dict[str, Any]]:
        return self.facts.sync.records(sobject)

    def keys(self, sobject: str) -> list[str]:
        return sorted(str(row["O2C_Key__c"]) for row in self.records(sobject))

    def ts_of(self, post: Mapping[str, Any]) -> str:
        """The `ts` that Slack gave a post."""
        slack = self.world.services["slack"]
        channel = slack.world.channel(post["channel"], by_name=True)
        key = post["metadata"]["event_payload"]["key"]
        return next(
            str(one.ts)
            for one in slack.world.messages(channel)
            if one.metadata and one.metadata["event_payload"]["key"] == key
        )

    def posts(self) -> list[dict[str, Any]]:
        """Bodies of the posts that Slack took, oldest first."""
        return [
            entry.body
            for entry in self.world.services["slack"].journal.entries
            if entry.path.endswith("chat.postMessage") and entry.effects
        ]


def policy(*actions: Any) -> DunningPolicy:
    """Charged invoices have one step with these actions, and then one that tells Slack."""
    some = [
        {"key": "one", "title": "Look at it", "anchor": "first_failure", "actions": list(actions)},
        {"key": "later", "anchor": "first_failure", "delay": "1h", "actions": ["slack"]},
    ]
    return read_policy({**DEFAULT_POLICY, "charged": {**DEFAULT_POLICY["charged"], "steps": some}})


@asynccontextmanager
async def steps_of(world: World) -> AsyncIterator[Steps]:
    """As `facts_of`, with Slack."""
    async with facts_of(world) as facts:
        channel = SlackChannel.from_settings(load_settings())
        company = facts.company
        company.slack = Slack(channel.get_client(audit=company.ledger.audit), channel.channel)
        company.record_url = "https://org.example/"
        yield Steps(facts)
