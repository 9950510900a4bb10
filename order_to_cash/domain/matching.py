"""Which Stripe customer is this Account (R3)? Scored, explained, and never guessed. Pure.

In order of trust: the id on the Account, the Account id in the customer's metadata, the e-mail address, the
e-mail domain together with a closely agreeing name, the name. A customer that belongs to another Account by
its metadata is out of question below metadata; one that is billed in another currency always (one customer
per currency).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher

from order_to_cash.domain.emails import email_domain, is_free_mail, normalize_email
from order_to_cash.domain.errors import AmbiguousCustomer, RecordRejected
from order_to_cash.domain.problems import Reason, problem
from order_to_cash.domain.records import BillTo, CustomerMatch, EmailSource, Record, StripeCustomer

_SCORES = {
    CustomerMatch.STRIPE_ID: 100,
    CustomerMatch.METADATA: 90,
    CustomerMatch.EMAIL: 70,
    CustomerMatch.DOMAIN: 50,
    CustomerMatch.NAME: 30,
    CustomerMatch.NONE: 0,
}
_SAME_CURRENCY = 5  # billed in the deal's currency before, rather than never billed
_SAME_NAME = 3

# Two spellings of one name: a letter or two apart, or one with a further word. Below it, sharing a mail
# domain (a group of companies does) is not enough.
_CLOSE = 0.85

# Legal forms of companies; they come and go in data entry and tell no two companies apart.
_LEGAL_FORMS = frozenset(
    """
    ab ag aps as asa bv bvba co company corp corporation cv doo ek eg ev gbr gmbh inc incorporated kft kg
    kgaa kk lda limitada limited llc llp lp ltd ltda mbh nv ohg oy oyj plc pte pty pvt sa sarl sas se sl spa
    spzoo srl sro srl ug zoo
    """.split()  # noqa: SIM905 — a list of sixty words in quotes is no easier to read
)


class ScoredCandidate(Record):
    """One customer that was considered. `score` 0: not usable, and `why` says why."""

    customer_id: str
    kind: CustomerMatch
    score: int
    why: str


class MatchDecision(Record):
    """Who is billed: `customer_id`, or None when a customer has to be created (`kind` is none)."""

    kind: CustomerMatch
    customer_id: str | None
    reason: str
    candidates: tuple[ScoredCandidate, ...] = ()


def score_candidates(bill_to: BillTo, currency: str, candidates: Sequence[StripeCustomer]) -> MatchDecision:
    """The one customer to bill in `currency`, with the reason and everyone who was considered, best first.

    Does not depend on the order of `candidates`; the same customer given twice counts once. Raises
    AmbiguousCustomer, naming the ids, when the best match is shared by several or contradicts itself.
    """
    unique = {candidate.customer_id: candidate for candidate in candidates}
    scored = sorted(
        (_score(bill_to, currency.lower(), candidate) for candidate in unique.values()),
        key=lambda one: (-one.score, one.customer_id),
    )
    usable = [one for one in scored if one.score > 0]
    if not usable:
        reason = "No customer in Stripe fits this Account; one is created."
        return MatchDecision(
            kind=CustomerMatch.NONE, customer_id=None, reason=reason, candidates=tuple(scored)
        )
    best = [one for one in usable if one.score == usable[0].score]
    if len(best) > 1:
        raise _ambiguous(bill_to, best, f"{len(best)} customers fit equally well by {_BY[best[0].kind]}")
    chosen = best[0]
    if chosen.kind is CustomerMatch.NAME and _other_company(bill_to, unique[chosen.customer_id]):
        raise _ambiguous(bill_to, best, "a customer has this name but writes from another company's domain")
    if chosen.kind is CustomerMatch.EMAIL and _other_name(bill_to, unique[chosen.customer_id]):
        raise _ambiguous(bill_to, best, "a customer has this e-mail address but another company's name")
    return MatchDecision(
        kind=chosen.kind, customer_id=chosen.customer_id, reason=chosen.why, candidates=tuple(scored)
    )


def fits(bill_to: BillTo, currency: str, customer: StripeCustomer) -> bool:
    """Whether nothing stands against billing the Account's deals in `currency` to this very customer."""
    ours = customer.account_id in {"", bill_to.account_id}
    return ours and not _obstacle(currency.lower(), customer)


def check_mailbox(bill_to: BillTo, customer: StripeCustomer, field: str = "") -> None:
    """A deal's contact does not decide where the invoices of its Account's customer go.

    Raises RecordRejected (`billing_email_conflict`, about `field`) where the Account has no billing e-mail and
    the customer's address is not the contact's.
    """
    current = customer.email.strip().lower()
    if bill_to.email_source is not EmailSource.CONTACT or current in {"", normalize_email(bill_to.email)}:
        return
    conflict = problem(
        Reason.BILLING_EMAIL_CONFLICT,
        "The Account has no billing e-mail, and its customer in Stripe has another address than the deal's contact.",
        field=field,
    )
    raise RecordRejected(
        conflict.message,
        code=conflict.code,
        remedy=conflict.remedy,
        ids={"field": conflict.field, "account": bill_to.account_id, "customer": customer.customer_id},
    )


def normalized_name(name: str) -> str:
    """A company's name without case, accents, punctuation and legal form: "ACME, Inc." → "acme".

    A name that is nothing but a legal form stays as it is.
    """
    # Twice: taking a circled or squared letter apart leaves a capital (Unicode 3.13, D146: compatibility caseless).
    decomposed = name.replace("&", " and ")
    for _ in range(2):
        decomposed = unicodedata.normalize("NFKD", decomposed.casefold())
    bare = "".join(char for char in decomposed if not unicodedata.combining(char))
    words = re.sub(r"[^\w]+", " ", re.sub(r"[.'’`]", "", bare)).split()
    kept = list(words)
    while len(kept) > 1 and kept[-1] in _LEGAL_FORMS:
        kept.pop()
    return " ".join(kept)


def names_agree(one: str, other: str) -> bool:
    """Whether two company names are the same or differ by a slip (85 % alike after normalising)."""
    first, second = sorted((normalized_name(one), normalized_name(other)))
    if not first or not second:
        return False
    return first == second or SequenceMatcher(None, first, second, autojunk=False).ratio() >= _CLOSE


def _score(bill_to: BillTo, currency: str, candidate: StripeCustomer) -> ScoredCandidate:
    obstacle = _obstacle(currency, candidate)
    kind = CustomerMatch.NONE if obstacle else _kind(bill_to, candidate)
    if kind is CustomerMatch.NONE:
        why = obstacle or "Nothing in common with this Account, or it belongs to another one."
        return ScoredCandidate(customer_id=candidate.customer_id, kind=kind, score=0, why=why)
    score = _SCORES[kind]
    score += _SAME_CURRENCY if candidate.currency.lower() == currency else 0
    score += _SAME_NAME if _same_name(bill_to, candidate) and kind is not CustomerMatch.NAME else 0
    return ScoredCandidate(
        customer_id=candidate.customer_id, kind=kind, score=score, why=f"Found by {_BY[kind]}."
    )


def _obstacle(currency: str, candidate: StripeCustomer) -> str:
    if candidate.deleted:
        return "Deleted in Stripe."
    if candidate.currency and candidate.currency.lower() != currency:
        return f"Billed in {candidate.currency.upper()}; a customer has one currency."
    return ""


def _kind(bill_to: BillTo, candidate: StripeCustomer) -> CustomerMatch:
    if bill_to.stripe_customer_id and candidate.customer_id == bill_to.stripe_customer_id:
        return CustomerMatch.STRIPE_ID
    if candidate.account_id:
        same = candidate.account_id[:15] == bill_to.account_id[:15]
        return CustomerMatch.METADATA if same else CustomerMatch.NONE
    for kind, agrees in _TESTS:
        if agrees(bill_to, candidate):
            return kind
    return CustomerMatch.NONE


def _same_email(bill_to: BillTo, candidate: StripeCustomer) -> bool:
    wanted = bill_to.email.strip().lower()
    return bool(wanted) and wanted == candidate.email.strip().lower()


def _same_domain(bill_to: BillTo, candidate: StripeCustomer) -> bool:
    domain = _company_domain(bill_to.email)
    return (
        bool(domain) and domain == email_domain(candidate.email) and names_agree(bill_to.name, candidate.name)
    )


def _same_name(bill_to: BillTo, candidate: StripeCustomer) -> bool:
    name = normalized_name(bill_to.name)
    return bool(name) and name == normalized_name(candidate.name)


def _other_company(bill_to: BillTo, candidate: StripeCustomer) -> bool:
    ours, theirs = _company_domain(bill_to.email), _company_domain(candidate.email)
    return bool(ours and theirs) and ours != theirs


def _other_name(bill_to: BillTo, candidate: StripeCustomer) -> bool:
    """Whether the names contradict each other: neither agrees with the other, nor is it the other one shortened."""
    ours, theirs = (normalized_name(name).split() for name in (bill_to.name, candidate.name))
    shortened = set(ours) <= set(theirs) or set(theirs) <= set(ours)
    return not shortened and not names_agree(bill_to.name, candidate.name)


def _company_domain(email: str) -> str:
    domain = email_domain(email)
    return "" if is_free_mail(domain) else domain


_TESTS: tuple[tuple[CustomerMatch, Callable[[BillTo, StripeCustomer], bool]], ...] = (
    (CustomerMatch.EMAIL, _same_email),
    (CustomerMatch.DOMAIN, _same_domain),
    (CustomerMatch.NAME, _same_name),
)

_BY = {
    CustomerMatch.STRIPE_ID: "the customer id on the Account",
    CustomerMatch.METADATA: "the Account id in its metadata",
    CustomerMatch.EMAIL: "the billing e-mail address",
    CustomerMatch.DOMAIN: "the e-mail domain and a closely agreeing name",
    CustomerMatch.NAME: "the name",
}


def _ambiguous(bill_to: BillTo, best: Sequence[ScoredCandidate], why: str) -> AmbiguousCustomer:
    ids = ", ".join(one.customer_id for one in best)
    return AmbiguousCustomer(
        f"It is not certain which Stripe customer this Account is: {why} ({ids}).",
        ids={"account": bill_to.account_id, "customers": ids},
    )
