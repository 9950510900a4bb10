"""The deals of a crash test, and what must be true of them in the end: judged by the journals of the far side."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import httpx

from order_to_cash.domain.records import Environment
from order_to_cash.ledger.claims import ObligationState
from order_to_cash.ledger.ledger import Ledger
from tests.crash.trials import Again
from tests.world import PRICES, World

NEW_COMPANY, KNOWN_COMPANY = "Aldertree Works", "Birchbark Mills"
UNFIT_COMPANY, OTHER_UNFIT_COMPANY = "Cedarwood Trading", "Dogwood Supply"
KNOWN_EMAIL = "billing@birchbark.example"


@dataclass(frozen=True)
class Scene:
    """Two deals to be billed and some that are held. `known_customer`: whom Stripe had before."""

    new: str
    known: str
    unfit: tuple[str, ...]
    known_customer: str

    @property
    def ids(self) -> list[str]:
        return [self.new, self.known, *self.unfit]


class Billing:
    """Won deals are billed, with Stripe's idempotency on or off."""

    ways: Sequence[Again] = tuple(Again)

    def __init__(self, world: World, *, idempotency: bool) -> None:
        self._world = world
        self._idempotency = idempotency

    def stage(self, ledger_url: str) -> None:
        self._world.settings("stripe", idempotency=self._idempotency)
        self._scene = stage(self._world)

    def work(self, ledger_url: str, *, sweep: bool = False) -> Mapping[str, Any]:
        """What `o2c drain` would name: won deals that carry no invoice, and those that a run left unfinished."""
        with opened(self._world, ledger_url) as ledger:
            left = [owed.opportunity_id for owed in ledger.obligations.unfinished()]
        return {"work": "bill", "ids": [] if sweep else list(dict.fromkeys([*self._scene.ids, *left]))}

    def news(self, ledger_url: str) -> None:
        """Another deal is won that has to be held."""
        self._scene = with_news(self._world, self._scene)

    def left(self, ledger_url: str) -> bool:
        return False

    def problems(self, ledger_url: str) -> list[str]:
        return problems(self._world, self._scene, ledger_url)


def stage(world: World) -> Scene:
    """Empty books with three won deals: of a new company (two lines), of one that Stripe knows by its e-mail
    (negotiated price), and of one without billing e-mail.
    """
    for service, what in (("stripe", "reset"), ("slack", "reset"), ("salesforce", "empty")):
        httpx.post(f"{world.urls[service]}/_emulator/{what}", trust_env=False).raise_for_status()
    for ref, (name, unit_amount) in PRICES.items():
        world.prices[ref] = world.seeder.price(name, unit_amount)
        world.product(ref, name, world.prices[ref], str(Decimal(unit_amount).scaleb(-2)))
    known_customer = world.seeder.stripe("customers", email=KNOWN_EMAIL, name=KNOWN_COMPANY)["id"]
    scene = Scene(
        new=world.deal(world.account(Name=NEW_COMPANY), lines=(("onboarding", 1, 2500), ("day", 2, 1200))),
        known=world.deal(
            world.account(Name=KNOWN_COMPANY, Billing_Email__c=KNOWN_EMAIL), lines=(("onboarding", 1, 1999),)
        ),
        unfit=(_unfit(world, UNFIT_COMPANY),),
        known_customer=str(known_customer),
    )
    for service in world.services:
        httpx.delete(f"{world.urls[service]}/_emulator/journal", trust_env=False).raise_for_status()
    return scene


def with_news(world: World, scene: Scene) -> Scene:
    """The same after another deal was won that has to be held."""
    return replace(scene, unfit=(*scene.unfit, _unfit(world, OTHER_UNFIT_COMPANY)))


def _unfit(world: World, company: str) -> str:
    return world.deal(world.account(Name=company, Billing_Email__c=None))


def problems(world: World, scene: Scene, ledger_url: str) -> list[str]:
    """What is not as it must be once the last run has ended; empty when all is well."""
    return failing(
        lambda: _billed(world, scene),
        lambda: _unfit_untouched(world, scene),
        lambda: _told_once(world, scene),
        lambda: _ledger_at_rest(world, scene, ledger_url),
    )


def failing(*checks: Callable[[], None]) -> list[str]:
    """What those that fail say."""
    found = []
    for check in checks:
        try:
            check()
        except AssertionError as error:
            found.append(str(error).partition("\nassert")[0][:600] or repr(error))
    return found


def _billed(world: World, scene: Scene) -> None:
    new = world.assert_billed_once(scene.new, 490_000)
    known = world.assert_billed_once(scene.known, 199_900)
    assert known["customer"] == scene.known_customer
    created = world.effects("stripe", "customer", "created")
    assert created == [new["customer"]], f"customers created: {created}"
    every = [one["id"] for one in world.invoices()]
    assert sorted(every) == sorted([new["id"], known["id"]]), f"invoices in Stripe: {every}"
    for deal, invoice in ((scene.new, new), (scene.known, known)):
        account = world.record("Account", world.record("Opportunity", deal)["AccountId"])
        assert account["Stripe_Customer_Id__c"] == invoice["customer"], "the Account lacks its customer"
    finalized = world.effects("stripe", "invoice", "finalized")
    assert len(finalized) == 2, f"finalized: {finalized}"


def _unfit_untouched(world: World, scene: Scene) -> None:
    for deal in scene.unfit:
        assert world.invoices(deal) == [], "a held deal has an invoice"
        assert not world.record("Opportunity", deal)["Stripe_Invoice_Id__c"]


def _told_once(world: World, scene: Scene) -> None:
    posted = [
        json.dumps(entry.body)
        for entry in world.services["slack"].journal.entries
        if entry.path.endswith("chat.postMessage") and entry.effects
    ]
    for deal in scene.ids:
        times = sum(deal in post for post in posted)
        assert times == 1, f"{deal} is told {times} times in {world.slack_texts()}"
    others = [post for post in posted if not any(deal in post for deal in scene.ids)]
    assert others == [], f"also posted: {others}"


def _ledger_at_rest(world: World, scene: Scene, ledger_url: str) -> None:
    with opened(world, ledger_url) as ledger:
        left = [owed.key for owed in ledger.obligations.unfinished()]
        assert left == [], f"unfinished: {left}"
        owed = ledger.obligations.latest_many(scene.ids)
        states = {key: one.state for key, one in owed.items()}
        assert states == dict.fromkeys([scene.new, scene.known], ObligationState.CLOSED), str(states)
        assert {entry.record_id for entry in ledger.quarantine.open()} == set(scene.unfit), "quarantine"
        assert ledger.quarantine.untold() == [], "a held deal counts as untold"
        ledger.audit.seal()
        broken: Any = ledger.audit.verify()
        assert broken is None, f"the audit chain is broken at {broken}"


def opened(world: World, ledger_url: str) -> Ledger:
    """The ledger, by the emulators' clock."""
    return Ledger.open(ledger_url, clock=world.clock, environment=Environment.EMULATOR)
