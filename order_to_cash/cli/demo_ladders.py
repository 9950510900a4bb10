"""The demo's third act: trials end, cards are declined, and days pass on the dunning ladder.

The clock of the emulators is moved; whatever falls due, the drain does by itself. What people do, they do in Stripe
and on an Account; what is shown is read from Salesforce's records, the mailbox and Slack, not from our ledger.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import typer

from order_to_cash.cli.demo_ladders_seen import Seen, happened
from order_to_cash.cli.output import show_table
from order_to_cash.settings import Settings

if TYPE_CHECKING:
    from emulators.seeding import Seeder

DAY = timedelta(days=1)
# Attempts two, five, nine and fourteen days after the first; then Stripe cancels, as our policy has it.
RETRY_DAYS = (2, 3, 4, 5)
DECLINED, GOOD = "pm_card_chargeCustomerFail", "pm_card_visa"
FIRST_TASK = "Task “Payment failed”", "Slack: Payment failed"
ASKED = "Case", "mail to {billing}"
CLOSED = "Case closed", "Task closed", "Slack thread: Paid"
SPONSOR = "sponsor@demo.example"


@dataclass(frozen=True)
class Moment:
    """When the story goes on: so long after the first failure. `name`: how it is told."""

    name: str
    after: timedelta

    def at(self, failed_at: datetime) -> datetime:
        return failed_at + self.after


FAILS = Moment("their cards are declined", timedelta(minutes=5))
A_DAY_LATER = Moment("24 hours later", DAY + timedelta(minutes=10))
THAT_DAY = Moment("an hour after that", DAY + timedelta(hours=1))
THREE_DAYS_LATER = Moment("72 hours later", 3 * DAY + timedelta(minutes=10))
NEAR_THE_END = Moment("before Stripe cancels", 11 * DAY)  # a Friday: Stripe's end less 48 hours is a Saturday
MOMENTS = (FAILS, A_DAY_LATER, THAT_DAY, THREE_DAYS_LATER, NEAR_THE_END)


@dataclass(frozen=True)
class Scene:
    """What happens to a customer at a moment, and what people must see of it."""

    moment: Moment
    happens: str
    seen: tuple[str, ...] = ()


@dataclass(frozen=True)
class Story:
    """One customer's, with how the Account stands in the end."""

    ref: str
    name: str
    scenes: tuple[Scene, ...]
    ends: str

    @property
    def billing(self) -> str:
        return f"billing@{self.ref}.example"

    def wanted(self, moment: Moment) -> list[str]:
        """What must be seen of a moment."""
        mine = [scene for scene in self.scenes if scene.moment is moment]
        return sorted(words.format(billing=self.billing) for scene in mine for words in scene.seen)


STORIES: tuple[Story, ...] = (
    Story(
        "willow",
        "Willow Bakery",
        (
            Scene(FAILS, "the card is declined", FIRST_TASK),
            Scene(A_DAY_LATER, "unpaid for a day", ASKED),
            Scene(THAT_DAY, "pays with a new card", CLOSED),
        ),
        "Healthy",
    ),
    Story(
        "granite",
        "Granite Works",
        (
            Scene(FAILS, "the card is declined", FIRST_TASK),
            Scene(A_DAY_LATER, "unpaid for a day", ASKED),
            Scene(THREE_DAYS_LATER, "unpaid for three days", ("Task “Talk to the customer”",)),
            Scene(
                NEAR_THE_END,
                "Stripe's end is near",
                (f"mail to {SPONSOR}", "Slack thread: Before Stripe cancels"),
            ),
        ),
        "Failed, escalated",
    ),
    Story(
        "aspen",
        "Aspen Dental",
        (
            Scene(FAILS, "the card is declined", FIRST_TASK),
            Scene(A_DAY_LATER, "on hold since Monday"),
        ),
        "Failed, on hold",
    ),
    Story(
        "birch",
        "Birch Legal",
        (Scene(NEAR_THE_END, "the card is declined", FIRST_TASK),),
        "Failed",
    ),
)


@dataclass(frozen=True)
class Cast:
    """Who plays: Accounts, customers and subscriptions by the ref of their story. `failed_at`: of the first charge."""

    failed_at: datetime
    accounts: Mapping[str, str]
    customers: Mapping[str, str]
    subscriptions: Mapping[str, str]


@dataclass(frozen=True)
class Shown:
    """One customer as people see it: what appeared at each moment, and how the Account stands."""

    story: Story
    at: Mapping[Moment, Sequence[str]]
    ends: str

    def differences(self, until: Moment = NEAR_THE_END) -> Iterator[str]:
        """What is otherwise than the story says up to a moment; nothing when all is well."""
        told = MOMENTS[: MOMENTS.index(until) + 1]
        for moment in told:
            seen, wanted = sorted(self.at.get(moment, ())), self.story.wanted(moment)
            if seen != wanted:
                yield f"{moment.name}: {_listed(seen)}, not {_listed(wanted)}"
        if until is NEAR_THE_END and self.ends != self.story.ends:
            yield f"in the end: {self.ends}, not {self.story.ends}"


def begin(seeder: Seeder, settings: Settings) -> Cast:
    """Subscribers in a trial that ends on a Monday, whatever day it is; their cards will be declined."""
    control(settings, "settings", {
        "payment_retry_seconds": [days * int(DAY.total_seconds()) for days in RETRY_DAYS],
        "after_last_retry": "canceled",
    })  # fmt: skip
    failed_at = first_failure(now(settings))
    accounts = seeder.salesforce([*_people(), *map(_account, STORIES)])
    plan = "Monthly plan, five seats"
    price = seeder.price(plan, 49_500, nickname=plan, recurring={"interval": "month"})
    customers, subscriptions = {}, {}
    for story in STORIES:
        customers[story.ref] = seeder.stripe(
            "customers", name=story.name, metadata={"salesforce_account_id": accounts[story.ref]}
        )["id"]
        card = seeder.stripe(f"payment_methods/{DECLINED}/attach", customer=customers[story.ref])["id"]
        subscriptions[story.ref] = seeder.stripe(
            "subscriptions",
            customer=customers[story.ref],
            items=[{"price": price}],
            default_payment_method=card,
            trial_end=_trial_end(story, failed_at),
        )["id"]
    return Cast(failed_at, accounts, customers, subscriptions)


def first_failure(at: datetime) -> datetime:
    """The first Monday, 10:00 UTC, more than a day after `at`: all later moments are then in business hours."""
    days = (-at.weekday()) % 7
    monday = datetime.combine(at.date() + days * DAY, time(10), at.tzinfo)
    return monday if monday > at + DAY else monday + 7 * DAY


def _trial_end(story: Story, failed_at: datetime) -> int:
    """Stripe keeps the invoice a draft for an hour, and charges it then."""
    late = story.scenes[0].moment is NEAR_THE_END
    charged = NEAR_THE_END.at(failed_at) - timedelta(minutes=10) if late else failed_at
    return int((charged - timedelta(hours=1)).timestamp())


def go_on(seeder: Seeder, settings: Settings, cast: Cast, moment: Moment) -> None:
    """Do what people do before `moment`, move the clock to it, and do what they do then."""
    if moment is A_DAY_LATER:
        _hold(seeder, cast)
    control(settings, "clock", {"now": moment.at(cast.failed_at).isoformat()})
    if moment is THAT_DAY:
        _pay(seeder, cast)


def _hold(seeder: Seeder, cast: Cast) -> None:
    """A customer has promised a transfer: the CSM puts its Account on hold."""
    until = (cast.failed_at + 21 * DAY).date().isoformat()
    row = {
        "id": cast.accounts["aspen"],
        "Dunning_Hold__c": True,
        "Dunning_Hold_Until__c": until,
        "Dunning_Hold_Reason__c": "They pay by bank transfer at the end of the month",
    }
    seeder.update("Account", [row])


def _pay(seeder: Seeder, cast: Cast) -> None:
    """As the page behind the mail's link does it: another card, then the invoice."""
    customer = cast.customers["willow"]
    card = seeder.stripe(f"payment_methods/{GOOD}/attach", customer=customer)["id"]
    seeder.stripe(f"customers/{customer}", invoice_settings={"default_payment_method": card})
    seeder.stripe(f"subscriptions/{cast.subscriptions['willow']}", default_payment_method=card)
    seeder.stripe(f"invoices/{unpaid(seeder, cast, 'willow')}/pay", payment_method=card)


def unpaid(seeder: Seeder, cast: Cast, ref: str) -> str:
    """The customer's open invoice."""
    found = seeder.stripe_get("invoices", customer=cast.customers[ref], status="open")["data"]
    return str(found[0]["id"])


def read(settings: Settings, mailbox: str, cast: Cast) -> list[Shown]:
    """One `Shown` for each story. `mailbox`: the address of the mail emulator's pages."""
    people = {story.ref: (story.name, story.billing, cast.accounts[story.ref]) for story in STORIES}
    seen = happened(settings, mailbox, people)
    return [_shown(story, seen[story.ref], cast) for story in STORIES]


def _shown(story: Story, seen: Seen, cast: Cast) -> Shown:
    at: dict[Moment, list[str]] = {}
    for when, words in seen.happenings:
        begun = [moment for moment in MOMENTS if moment.at(cast.failed_at) <= when + timedelta(seconds=1)]
        at.setdefault(begun[-1] if begun else FAILS, []).append(words)
    return Shown(story, at, seen.account)


def show(shown: Sequence[Shown], cast: Cast) -> bool:
    """Print the table; whether people see what the story says."""
    rows = []
    for one in shown:
        mark, name = "✗" if any(one.differences()) else "✓", one.story.name
        for scene in one.story.scenes:
            day = scene.moment.at(cast.failed_at)
            what = ", ".join(one.at.get(scene.moment, ())) or "nothing"
            rows.append((mark, name, f"{day:%a} {day.day} {day:%b}", scene.happens, what))
            mark = name = ""
        rows.append(("", "", "", "in the end", f"Account: {one.ends}"))
    show_table(("", "Customer", "Day", "What happens", "What people see"), rows)
    wrong = [(one.story.name, difference) for one in shown for difference in one.differences()]
    for name, difference in wrong:
        typer.secho(f"Not as told: {name}: {difference}", fg="red")
    return not wrong


def now(settings: Settings) -> datetime:
    """The emulators' present."""
    answer = httpx.get(f"{settings.stripe_api_base}/_emulator/clock", timeout=10, trust_env=False)
    return datetime.fromisoformat(answer.json()["now"])


def control(settings: Settings, what: str, body: Mapping[str, Any]) -> None:
    """The Stripe emulator's control API."""
    url = f"{settings.stripe_api_base}/_emulator/{what}"
    httpx.post(url, json=body, timeout=30, trust_env=False).raise_for_status()


def _people() -> list[dict[str, Any]]:
    named = {"csm": ("CSM West", "csm@demo.example"), "sponsor": ("VP Customers", SPONSOR)}
    return [
        {"type": "User", "ref": ref, "Username": email, "LastName": name, "Alias": ref, "Email": email,
         "IsActive": True}
        for ref, (name, email) in named.items()
    ]  # fmt: skip


def _account(story: Story) -> dict[str, Any]:
    return {
        "type": "Account",
        "ref": story.ref,
        "Name": story.name,
        "Billing_Email__c": story.billing,
        "BillingCountry": "US",
        "CSM__c": "@csm",
        "Executive_Sponsor__c": "@sponsor",
    }


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words) or "nothing"
