"""Four customers are chased: what a run finds due, and what Salesforce, Slack, mail server and Prefect must show of it.

A ladder is new, one writes to its customer, two do so for the same customer, and one was paid meanwhile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from order_to_cash.domain.dunning.default_policy import default_policy
from order_to_cash.domain.dunning.facts import EndReason, StepState
from order_to_cash.domain.dunning.sending import PREFIX, is_about
from order_to_cash.domain.records import CollectionMethod
from order_to_cash.ledger.ladder_records import Ladder, LadderFilter, LadderStatus, NewLadder
from tests.crash.alarms import Alarms
from tests.crash.runs import Runs
from tests.crash.scene import failing, opened
from tests.crash.trials import Again
from tests.world import World

TUESDAY = datetime(2027, 3, 2, 9, 30, tzinfo=UTC)
FIRST, MAIL, OUTREACH, LAST = (step.key for step in default_policy().charged.steps)
STEPS = (FIRST, MAIL, OUTREACH, LAST)
TO_CHARGE, TO_RETURN = timedelta(hours=2), timedelta(hours=22, minutes=40)
DECLINED = "pm_card_chargeCustomerFail"
KEY = {"Authorization": "Bearer sk_test_emulator"}
CONTACT = "o2c:contact:"

Row = Mapping[str, Any]


@dataclass
class Unpaid:
    """An invoice that Stripe could not charge. `record`: its own in Salesforce. `after`: how many mails there were
    when it was paid, None while owed.
    """

    id: str
    record: str
    number: str
    customer: str
    least: int
    after: int | None = None


class Chasing:
    """Yesterday each invoice but the new one had its first step; a run is killed over what is due today."""

    ways: Sequence[Again] = tuple(Again)

    def __init__(self, world: World, runs: Runs, alarms: Alarms) -> None:
        self._world = world
        self._runs = runs
        self._alarms = alarms
        self._invoices: dict[str, Unpaid] = {}
        self._accounts_of: dict[str, str] = {}
        self._works = 0
        self._disturbed = False

    # What happens

    def stage(self, ledger_url: str) -> None:
        world = self._world
        world.clock.set(TUESDAY)
        for service, what in (
            ("stripe", "reset"),
            ("slack", "reset"),
            ("mail", "reset"),
            ("salesforce", "empty"),
        ):
            world.control(service, what)
        for service in world.services:
            world.control(service, "journal", method="DELETE")
        world.settings("stripe", payment_retry_seconds=[])
        self._alarms.forget()
        self._invoices, self._accounts_of = {}, {}
        grouped = self._customer("Birchbark Mills")
        self._charge("one", self._customer("Aldertree Works"))
        self._charge("paid", self._customer("Cedarwood Trading"))
        self._charge("first of two", grouped)
        self._charge("second of two", grouped)
        self._fail(ledger_url, *self._invoices)
        run = self._runs.run({"work": "chase"}, ledger_url)
        assert run.status == 0, run.log[-3000:]
        world.pass_time(seconds=TO_RETURN.total_seconds())
        self._pay("paid")
        self._charge("new", self._customer("Dogwood Supply"), least=1)
        self._fail(ledger_url, "new")
        self._wake(ledger_url, "paid")
        self._works = 0

    def work(self, ledger_url: str, *, sweep: bool = False) -> Mapping[str, Any]:
        """The drain's run, once more the drain's, and from then on the sweep's."""
        self._works += 1
        return {"work": "sweep" if sweep or self._works > 2 else "chase"}

    def news(self, ledger_url: str) -> None:
        """Two more have paid by now, one of them one of two invoices."""
        self._disturbed = True
        for name in ("one", "first of two"):
            self._pay(name)
            self._wake(ledger_url, name)

    def left(self, ledger_url: str) -> bool:
        """Whether a ladder is due, was not through, or waits without its alarm, or an alarm without its ladder."""
        now = self._world.clock.now()
        with opened(self._world, ledger_url) as ledger:
            open_ones = [one for one in ledger.ladders.find(LadderFilter()) if one.due_at is not None]
        named = {one.alarm_run_id for one in open_ones}
        set_for = {alarm for one in self._invoices.values() for alarm in self._alarms.of(one.id)}
        return bool(set_for - named) or any(
            one.due_at is None or one.due_at <= now or one.failures or one.alarm_generation != one.generation
            for one in open_ones
        )

    def _customer(self, name: str) -> str:
        stripe = self._world.seeder.stripe
        email = f"billing@{name.partition(' ')[0].lower()}.example"
        made = str(stripe("customers", name=name, email=email)["id"])
        method = stripe(f"payment_methods/{DECLINED}/attach", customer=made)["id"]
        stripe(f"customers/{made}", invoice_settings={"default_payment_method": method})
        account = self._world.account(Name=name, Billing_Email__c=email, Stripe_Customer_Id__c=made)
        self._accounts_of[made] = account
        return made

    def _charge(self, name: str, customer: str, least: int = 2) -> None:
        stripe = self._world.seeder.stripe
        made = str(stripe("invoices", customer=customer, currency="usd")["id"])
        stripe("invoiceitems", customer=customer, invoice=made, amount=12_300, currency="usd")
        number = str(stripe(f"invoices/{made}/finalize", auto_advance=True)["number"])
        failed = {
            "type": "Stripe_Invoice__c",
            "ref": "invoice",
            "Stripe_Invoice_Id__c": made,
            "Account__c": self._accounts_of[customer],
            "Status__c": "open",
            "Collection_Method__c": "charge_automatically",
            "Amount_Remaining__c": 123,
            "Failure_Code__c": "card_declined",
        }
        record = self._world.seeder.salesforce([failed])["invoice"]
        self._invoices[name] = Unpaid(made, record, number, customer, least)

    def _fail(self, ledger_url: str, *names: str) -> None:
        """Stripe tries to charge them, and their ladders are opened."""
        failed_at = self._world.clock.now()
        self._world.pass_time(seconds=TO_CHARGE.total_seconds())
        policy, now = default_policy(), self._world.clock.now()
        new = [
            NewLadder(
                invoice_id=one.id,
                customer_id=one.customer,
                collection_method=CollectionMethod.CHARGE_AUTOMATICALLY,
                policy_version=policy.version,
                due_at=now,
                first_failed_at=failed_at,
            )
            for one in map(self._invoices.__getitem__, names)
        ]
        with opened(self._world, ledger_url) as ledger:
            ledger.ladders.keep_policy(policy.version, policy.model_dump(mode="json"), policy.name)
            assert ledger.ladders.open(new) == {one.invoice_id for one in new}

    def _pay(self, name: str) -> None:
        one = self._invoices[name]
        if one.after is None:
            settled = {"Status__c": "paid", "Amount_Remaining__c": 0, "Failure_Code__c": None}
            self._world.update("Stripe_Invoice__c", one.record, **settled)
            self._world.seeder.stripe(f"invoices/{one.id}/pay", paid_out_of_band=True)
            one.after = len(self._mails())

    def _wake(self, ledger_url: str, name: str) -> None:
        with opened(self._world, ledger_url) as ledger:
            ledger.ladders.wake(invoice_ids=[self._invoices[name].id])

    # What must be true

    def problems(self, ledger_url: str) -> list[str]:
        with opened(self._world, ledger_url) as ledger:
            ladders = {one.invoice_id: one for one in ledger.ladders.find(LadderFilter())}
            ledger.audit.seal()
            broken: Any = ledger.audit.verify()
        found = [] if broken is None else [f"the audit chain is broken at {broken}"]
        of = {name: ladders[one.id] for name, one in self._invoices.items()}
        found += failing(
            *(lambda name=name: self._settled(name, of[name]) for name in of),
            lambda: self._records_once(of),
            lambda: self._mailed_once(of),
            lambda: self._told_once(of),
            lambda: self._accounts(of),
        )
        self._disturbed = True  # the first to be judged is the one that nobody killed
        return found

    def _settled(self, name: str, ladder: Ladder) -> None:
        """Its steps are done in order, the next one has its time and its one alarm; what is paid has ended."""
        one = self._invoices[name]
        keys = [step.key for step in ladder.steps]
        assert keys == list(STEPS[: len(keys)]), f"{name}: {keys}"
        states = {step.state for step in ladder.steps}
        alarms = self._alarms.of(one.id)
        assert ladder.failures == 0, f"{name}: {ladder.code} {ladder.reason}"
        if one.after is not None:
            assert ladder.state.ended is EndReason.PAID, f"{name}: {ladder.status}"
            assert alarms == [], f"{name} is paid and has {len(alarms)} alarms"
            return
        assert states == {StepState.DONE}, f"{name}: {ladder.steps}"
        assert len(keys) >= one.least, f"{name} took {keys} only"
        assert ladder.status is LadderStatus.WAITING, f"{name}: {ladder.status}"
        assert ladder.next_step == STEPS[len(keys)], f"{name}: next {ladder.next_step} after {keys}"
        assert ladder.due_at is not None, f"{name} has no time"
        assert ladder.due_at > self._world.clock.now(), f"{name} is due since {ladder.due_at}"
        assert alarms == [ladder.alarm_run_id], f"{name}: alarms {alarms}, not {ladder.alarm_run_id}"

    def _records_once(self, of: Mapping[str, Ladder]) -> None:
        """By Salesforce's journal: one Task or Case for each, and no other; those of what is paid are closed."""
        rows = [*self._rows("Task"), *self._rows("Case")]
        made = Counter(str(row["O2C_Key__c"]) for row in rows)
        assert set(made.values()) == {1}, f"made twice: {made}"
        created = sum(len(self._world.effects("salesforce", kind, "created")) for kind in ("Task", "Case"))
        assert created == len(rows), f"{created} created, {len(rows)} there"
        expected = {f"ladder:{one.id}:{FIRST}:task" for one in self._invoices.values()}
        for name, ladder in of.items():
            if MAIL in ladder.state.journal and self._invoices[name].after is None:
                expected.add(f"ladder:{ladder.invoice_id}:{MAIL}:case")
        keys = {key for key in made if not key.startswith(CONTACT)}
        paid = {one.id for one in self._invoices.values() if one.after is not None}
        beside = {key for key in keys - expected if key.split(":")[1] not in paid}
        assert expected <= keys, f"missing: {expected - keys}"
        assert not beside, f"also made: {beside}"
        assert not any(self._invoices["paid"].id in key for key in keys - expected), (
            "chased though it is paid"
        )
        for row in rows:
            key = str(row["O2C_Key__c"])
            if not key.startswith(CONTACT) and key.split(":")[1] in paid:
                assert row["IsClosed"], f"{key} is still open"

    def _mailed_once(self, of: Mapping[str, Ladder]) -> None:
        """At most once, never after it is paid; where it is not known to have left a person has a Task to find out."""
        tasks = [row for row in self._rows("Task") if str(row["O2C_Key__c"]).startswith(f"{CONTACT}email:")]
        for name, one in self._invoices.items():
            mails = [number for number, mail in enumerate(self._mails()) if one.number in mail]
            about = [row for row in tasks if is_about(row, one.id, MAIL)]
            assert len(mails) <= 1, f"{name} was mailed {len(mails)} times"
            assert len(about) <= 1, f"{len(about)} Tasks about the mail of {name}"
            if one.after is not None:
                assert all(number < one.after for number in mails), f"{name} was mailed after it was paid"
            elif MAIL in of[name].state.journal:
                (task,) = about
                said = (str(task["Subject"]).startswith(PREFIX), task["Status"], len(mails))
                doubtful = str(task["Subject"]).startswith("Find out whether") and len(mails) <= 1
                assert said == (True, "Completed", 1) or (doubtful and self._disturbed), f"{name}: {task}"
        outreach = Counter(
            str(row["O2C_Key__c"]).rpartition(":")[0]
            for row in self._rows("Task")
            if str(row["O2C_Key__c"]).startswith(f"{CONTACT}outreach")
        )
        called = {one.customer_id for one in of.values() if one.state.journal.get(OUTREACH)}
        assert outreach == Counter(f"{CONTACT}outreach_task:{customer}" for customer in called), str(outreach)

    def _told_once(self, of: Mapping[str, Ladder]) -> None:
        told = Counter(
            entry.body["metadata"]["event_payload"]["key"]
            for entry in self._world.services["slack"].journal.entries
            if entry.path.endswith("chat.postMessage") and entry.effects
        )
        expected = [f"ladder:{one.id}:{FIRST}:slack" for one in self._invoices.values()]
        expected += [f"ladder:{one.invoice_id}:end:slack" for one in of.values() if one.ended_at is not None]
        assert told == Counter(expected), f"told: {told}, not {expected}"

    def _accounts(self, of: Mapping[str, Ladder]) -> None:
        """A customer who owes something shows it, and no other does."""
        owing = {one.customer_id for one in of.values() if one.ended_at is None}
        shown = {
            str(row["Stripe_Customer_Id__c"]): (
                row["Stripe_Payment_Health__c"],
                row["Stripe_Account_Status__c"],
            )
            for row in self._rows("Account")
        }
        assert {who for who, said in shown.items() if said == ("Failed", "Payment Overdue")} == owing, str(
            shown
        )
        rest = [said for who, said in shown.items() if who not in owing]
        assert all(health == "Healthy" and status != "Payment Overdue" for health, status in rest), str(shown)

    def _rows(self, sobject: str) -> list[Row]:
        found: list[Row] = self._world.control("salesforce", f"records?type={sobject}", method="GET")[
            "records"
        ]
        return found

    def _mails(self) -> list[str]:
        return [str(message.parsed) for message in self._world.services["mail"].messages]
