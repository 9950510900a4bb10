"""One ladder on its way through a run: what was claimed and read of it, what was decided, what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from order_to_cash.domain.dunning.decision import Decision
from order_to_cash.domain.dunning.facts import Facts
from order_to_cash.domain.dunning.policy import DunningPolicy
from order_to_cash.domain.dunning.steps import Action
from order_to_cash.domain.errors import O2CError
from order_to_cash.domain.sync.shapes import Body, Person
from order_to_cash.ledger.ladder_records import ClaimedLadder

NOBODY = Person("")


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFacts:
    """What Salesforce says of the customer. `account_id` "": no Account is known; every field may be empty then."""

    account_id: str = ""
    account_name: str = ""
    owner: Person = NOBODY  # CSM, else the Account's owner, else the policy's fallback
    owner_email: str = ""
    account_owner: Person = NOBODY  # who owns the Account in Salesforce, where active
    account_owner_email: str = ""
    executive: Person = NOBODY  # the executive sponsor, else the owner
    executive_email: str = ""
    billing_name: str = ""
    billing_email: str = ""  # Account's billing contact, else the Stripe customer's
    invoice_record_id: str = ""  # Stripe_Invoice__c
    on_hold: bool = False  # by the Account's own fields: nobody tells when they change


@dataclass(slots=True, kw_only=True)
class LadderItem:
    """Mutable on purpose: a run reads, decides and acts on it in turns. `error`: why it could not be moved further."""

    claim: ClaimedLadder
    policy: DunningPolicy | None = None
    invoice: Body = field(default_factory=dict)  # with its payments; customer and subscription are ids in it
    subscription: Body | None = None  # None: there is none, or it could not be read
    customer: Body = field(default_factory=dict)
    account: AccountFacts = field(default_factory=AccountFacts)
    facts: Facts | None = None
    decision: Decision | None = None
    error: O2CError | None = None
    notes: dict[str, str] = field(default_factory=dict)  # step key → what was done instead

    @property
    def invoice_id(self) -> str:
        return self.claim.ladder.invoice_id

    @property
    def invoice_number(self) -> str:
        return str(self.invoice.get("number") or self.claim.ladder.subject.invoice_number or self.invoice_id)


@dataclass(frozen=True, slots=True)
class ActionOutcome:
    """What came of one action of a step: the effect's key, and what was done instead where it was not the usual.

    `error` retryable: the step stays begun and is taken up again. Permanent errors are no reason to stop climbing:
    they come as a `note`, after a person was given a Task about it.
    """

    action: Action
    key: str
    note: str = ""
    error: O2CError | None = None
    contacted: bool = False
