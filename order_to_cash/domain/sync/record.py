"""One Salesforce record in the making: each value in the field's own kind, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cache
from types import MappingProxyType
from typing import Any

from order_to_cash.domain.money import Money, known_currency
from order_to_cash.domain.records import Problem
from order_to_cash.domain.sync import fields
from order_to_cash.domain.sync.bodies import day, moment, text, whole
from order_to_cash.domain.sync.fields import FIELDS, PICKLISTS, SYNCED_AT, longest_text
from order_to_cash.domain.sync.problems import SyncReason, sync_problem
from order_to_cash.domain.sync.shapes import Context, Mapped, ObjectKey, Row, State

_PLACES = 2  # of a currency field

WAVES: Mapping[str, int] = MappingProxyType(
    {
        fields.PRODUCT: 0,
        fields.ACCOUNT: 0,
        fields.SUBSCRIPTION: 1,
        fields.INVOICE: 2,
        fields.INVOICE_LINE: 3,
        fields.PAYMENT: 3,
        fields.CREDIT_NOTE: 3,
        fields.OPPORTUNITY: 3,
        fields.REFUND: 4,
        fields.DISPUTE: 4,
    }
)
"""Object → when it is written: a record refers only to records of earlier waves."""


class Draft:
    """The fields of one record. A value that does not fit becomes a Problem, and then there is no record at all."""

    def __init__(self, sobject: str, about: ObjectKey, currency: str = "") -> None:
        self.sobject = sobject
        self.about = about
        self.currency = currency
        self.fields: dict[str, Any] = {}
        self.problems: list[Problem] = []

    def text(self, field: str, value: Any) -> None:
        """Text as Stripe has it; empty is None. Longer than the field: a Problem, and of an address nothing.

        Half an address leads nowhere, and without it the record says what was paid all the same.
        """
        given = text(value) or None
        longest = longest_text(self.sobject, field)
        if given is not None and longest is not None and len(given) > longest:
            if FIELDS[self.sobject].get(field) == "Url":
                self.fields[field] = None
                return
            self._problem(
                SyncReason.TEXT_TOO_LONG,
                f"{self._name()}: {len(given)} characters do not fit {field}, which holds {longest}.",
                field,
            )
            return
        self.fields[field] = given

    def words(self, field: str, value: str) -> None:
        """Text of ours: its beginning where it is longer than the field."""
        longest = longest_text(self.sobject, field) or len(value)
        self.fields[field] = (value if len(value) <= longest else value[: longest - 1] + "…") or None

    def pick(self, field: str, value: Any) -> None:
        """A value of a picklist; one that the picklist lacks is a Problem."""
        given = text(value) or None
        if given is not None and given not in PICKLISTS[self.sobject, field]:
            self._problem(
                SyncReason.VALUE_UNKNOWN, f"{self._name()}: {field} has no value {given[:64]!r}.", field
            )
            return
        self.fields[field] = given

    def flag(self, field: str, value: Any) -> None:
        self.fields[field] = value is True

    def number(self, field: str, value: Any) -> None:
        self.fields[field] = whole(value)

    def at(self, field: str, value: Any) -> None:
        """A moment, from Stripe's seconds since 1970."""
        self.fields[field] = moment(value)

    def on(self, field: str, value: Any) -> None:
        """A day in UTC, from Stripe's seconds since 1970."""
        self.fields[field] = day(value)

    def money(self, field: str, amount_minor: Any, *, needed: bool = False) -> None:
        """Minor units as major ones, exactly. What Stripe leaves out is None, or a Problem where it is `needed`."""
        amount = whole(amount_minor)
        if amount is None:
            if needed or amount_minor is not None:
                self._problem(
                    SyncReason.STRIPE_OBJECT_UNREADABLE, f"{self._name()} has no amount for {field}.", field
                )
            else:
                self.fields[field] = None
            return
        if not known_currency(self.currency):
            return  # `in_currency` says so, once
        major = Money(amount, self.currency).to_major()
        shown = major.quantize(Decimal(1).scaleb(-_PLACES)) if fits(major) else None
        if shown is None:
            self._problem(
                SyncReason.AMOUNT_NOT_EXACT,
                f"{self._name()}: {field} has more than {_PLACES} decimal places.",
                field,
            )
            return
        self.fields[field] = shown

    def lookup(self, relationship: str, external_id: str, value: str) -> None:
        """A parent by its External ID. Nothing for "": a link that is not known now stays as it is."""
        if value:
            self.fields[relationship] = {external_id: value}

    def common(self, context: Context, account_id: str, customer_id: str, created: Any) -> None:
        """What every record of ours carries. An Account or customer that is not known stays as it is."""
        if account_id:
            self.fields["Account__c"] = account_id
        if customer_id:
            self.text("Stripe_Customer_Id__c", customer_id)
        self.in_currency(context)
        self.at("Stripe_Created_At__c", created)
        self.fields[SYNCED_AT] = context.synced_at

    def in_currency(self, context: Context) -> None:
        if not known_currency(self.currency):
            given = self.currency[:8].upper() or "(empty)"
            self._problem(
                SyncReason.CURRENCY_UNKNOWN,
                f"{self._name()} is in the unknown currency {given}.",
                "Currency__c",
            )
            return
        self.fields["Currency__c"] = self.currency.upper()
        if context.multi_currency:
            self.fields["CurrencyIsoCode"] = self.currency.upper()

    def row(self, external_id: str, value: str, account_id: str) -> Row:
        """The record, to be upserted by `external_id`. Raises AssertionError for a field that the package lacks."""
        unknown = [name for name in self.fields if not _declared(self.sobject, name)]
        if unknown:
            raise AssertionError(f"{self.sobject} has no {', '.join(unknown)} in domain.sync.fields")
        return Row(
            sobject=self.sobject,
            external_id=external_id,
            value=value,
            fields=self.fields,
            wave=WAVES[self.sobject],
            account_id=account_id,
            source=self.about,
        )

    def _name(self) -> str:
        return f"{self.about.type} {self.about.id}"

    def _problem(self, reason: SyncReason, message: str, field: str) -> None:
        self.problems.append(sync_problem(reason, message, field=field))


def mapped(drafts: Sequence[tuple[Draft, Row]]) -> Mapped:
    """The rows of one state, or its problems: never some of both."""
    problems = tuple(dict.fromkeys(problem for draft, _ in drafts for problem in draft.problems))
    return Mapped(problems=problems) if problems else Mapped(rows=tuple(row for _, row in drafts))


def fits(major: Decimal) -> bool:
    """Whether a currency field holds the amount without rounding."""
    return major == major.quantize(Decimal(1).scaleb(-_PLACES))


def draft_for(sobject: str, state: State) -> Draft:
    return Draft(sobject, state.key, text(state.body.get("currency")).lower())


@cache
def _declared(sobject: str, name: str) -> bool:
    declared = FIELDS[sobject]
    return name in declared or f"{name.removesuffix('__r')}__c" in declared or name == "CurrencyIsoCode"
