"""The deals of a crash test, and what must be true of them in the end: judged by the journals of the far side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx

from order_to_cash.domain.records import Environment
from order_to_cash.ledger.claims import ObligationState
from order_to_cash.ledger.ledger import Ledger
from tests.world import PRICES, World

NEW_COMPANY, KNOWN_COMPANY, UNFIT_COMPANY = "Aldertree Works", "Birchbark Mills", "Cedarwood Trading"
KNOWN_EMAIL = "billing@birchbark.example"


@dataclass(frozen=True)
class Scene:
    """Two deals to be billed and one that is held. `known_customer`: whom Stripe had before."""

    new: str
    known: str
    unfit: str
    known_customer: str

    @property
    def ids(self) -> list[str]:
        return [self.new, self.known, self.unfit]


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
        unfit=world.deal(world.account(Name=UNFIT_COMPANY, Billing_Email__c=None)),
        known_customer=str(known_customer),
    )
    for service in world.services:
        httpx.delete(f"{world.urls[service]}/_emulator/journal", trust_env=False).raise_for_status()
    return scene


def problems(world: World, scene: Scene, ledger_url: str) -> list[str]:
    """What is not as it must be once the last run has ended; empty when all is well."""
    checks: list[Callable[[], None]] = [
        lambda: _billed(world, scene),
        lambda: _unfit_untouched(world, scene),
        lambda: _told_once(world),
        lambda: _ledger_at_rest(world, scene, ledger_url),
    ]
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
    assert world.invoices(scene.unfit) == [], "a held deal has an invoice"
    assert not world.record("Opportunity", scene.unfit)["Stripe_Invoice_Id__c"]


def _told_once(world: World) -> None:
    texts = world.slack_texts()
    for name in (NEW_COMPANY, KNOWN_COMPANY):
        posts = [text for text in texts if name in text]
        assert len(posts) == 1, f"{name}: {len(posts)} win posts in {texts}"
    assert len(texts) == 3, f"two wins and one message for what is held, not: {texts}"


def _ledger_at_rest(world: World, scene: Scene, ledger_url: str) -> None:
    with opened(world, ledger_url) as ledger:
        left = [owed.key for owed in ledger.obligations.unfinished()]
        assert left == [], f"unfinished: {left}"
        owed = ledger.obligations.latest_many(scene.ids)
        states = {key: one.state for key, one in owed.items()}
        assert states == dict.fromkeys([scene.new, scene.known], ObligationState.CLOSED), str(states)
        assert {entry.record_id for entry in ledger.quarantine.open()} == {scene.unfit}, "quarantine"
        assert ledger.quarantine.untold() == [], "the held deal counts as untold"
        ledger.audit.seal()
        broken: Any = ledger.audit.verify()
        assert broken is None, f"the audit chain is broken at {broken}"


def opened(world: World, ledger_url: str) -> Ledger:
    """The ledger, by the emulators' clock."""
    return Ledger.open(ledger_url, clock=world.clock, environment=Environment.EMULATOR)
