"""Ladders about invoices at the emulators, and a company made of its parts: facts are read without Prefect."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from blocks import SalesforceOrg, StripeAccount
from order_to_cash.domain.dunning.decision import End, next_step
from order_to_cash.domain.dunning.default_policy import DEFAULT_POLICY
from order_to_cash.domain.dunning.facts import EndReason
from order_to_cash.domain.dunning.policy import DunningPolicy
from order_to_cash.domain.dunning.reading import read_policy
from order_to_cash.domain.records import CollectionMethod
from order_to_cash.gateways.clock import clock_for
from order_to_cash.ledger.ladder_records import ClaimedLadder, NewLadder
from order_to_cash.ledger.ledger import Ledger
from order_to_cash.settings import load_settings
from tasks.company import Company
from tasks.dunning_facts import read_ladders
from tasks.dunning_items import LadderItem
from tests.flows.sync_world import Sync
from tests.world import World

DECLINED = "pm_card_chargeCustomerFail"


@dataclass
class Facts:
    """Makes invoices that are unpaid, opens their ladders, and reads what is known of them."""

    sync: Sync
    company: Company
    policy: DunningPolicy

    @property
    def world(self) -> World:
        return self.sync.world

    def failed(self, customer: str) -> str:
        """An invoice that Stripe could not charge."""
        made = self.sync.invoice(customer, final=False)
        self.sync.stripe(f"invoices/{made}/finalize", auto_advance=True)
        self.world.pass_time(hours=2)
        return made

    def open(self, *invoices: str, policy: DunningPolicy | None = None) -> None:
        """Their ladders, as they begin."""
        chosen = policy or self.policy
        ladders = self.company.ledger.ladders
        ladders.keep_policy(chosen.version, chosen.model_dump(mode="json"), chosen.name)
        now = self.company.clock.now()
        bodies = [self.sync.get(f"invoices/{invoice}") for invoice in invoices]
        new = [
            NewLadder(
                invoice_id=body["id"],
                customer_id=body["customer"],
                collection_method=CollectionMethod(body["collection_method"]),
                policy_version=chosen.version,
                due_at=now,
                first_failed_at=now - timedelta(hours=1),
            )
            for body in bodies
        ]
        assert ladders.open(new) == set(invoices)

    def claim(self) -> list[ClaimedLadder]:
        return self.company.ledger.ladders.claim("tests", customers=1000)

    async def read(self) -> dict[str, LadderItem]:
        """What is known of every ladder, by its invoice; nobody holds them afterwards."""
        claims = self.claim()
        items = await read_ladders.fn(self.company, claims, "run-1")
        self.company.ledger.ladders.release(claims)
        assert [item.claim for item in items] == claims
        return {item.invoice_id: item for item in items}

    async def read_one(self, invoice: str) -> LadderItem:
        return (await self.read())[invoice]

    def user(self, name: str, **fields: Any) -> str:
        """A user of the org; their id."""
        given = {
            "Username": f"{name.lower()}@org.example",
            "LastName": name,
            "Name": name,
            "Email": f"{name.lower()}@us.example",
            "IsActive": True,
            **fields,
        }
        return self.world.seeder.salesforce([{"type": "User", "ref": "user", **given}], raw=True)["user"]


def end_of(item: LadderItem) -> EndReason | None:
    """Why its ladder ends now, None where it does not."""
    assert item.error is None
    assert item.facts is not None
    assert item.policy is not None
    decision = next_step(item.facts, item.policy, item.facts.ladder.opened_at)
    return decision.reason if isinstance(decision, End) else None


@asynccontextmanager
async def facts_of(world: World) -> AsyncIterator[Facts]:
    """The settings of this process point at `world`."""
    settings = load_settings()
    account = StripeAccount.from_settings(settings)
    org = SalesforceOrg.from_settings(settings)
    clock = clock_for(settings.environment, account.api_base)
    ledger = Ledger.open(settings.ledger_address, clock=clock, environment=settings.environment)
    ledger.migrate()
    policy = read_policy(DEFAULT_POLICY)
    company = Company(
        name="o2c",
        environment=settings.environment,
        rules=settings.billing_rules(),
        stripe=account.get_client(audit=ledger.audit),
        salesforce=org.get_client(audit=ledger.audit, clock=clock),
        slack=None,
        ledger=ledger,
        clock=clock,
        record_url="",
        dunning=policy,
    )
    try:
        yield Facts(Sync(world), company, policy)
    finally:
        await company.aclose()
