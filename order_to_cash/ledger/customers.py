"""A mirror of Stripe's customers, for matching.

The one place of the ledger with personal data: name and e-mail address of each customer, as Stripe has
them. They are needed to find an Account's customer, because Stripe's List filters neither by name nor by
metadata and its Search lags. `forget` removes a customer's row; nothing else of the ledger repeats what is
in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, case, delete, select

from order_to_cash.domain.clock import Clock
from order_to_cash.domain.identity import full_id
from order_to_cash.domain.matching import normalized_name
from order_to_cash.domain.records import StripeCustomer
from order_to_cash.ledger.engine import Database
from order_to_cash.ledger.tables import CUSTOMER, CustomerRow
from order_to_cash.ledger.watermarks import Watermarks

REFRESHED = "stripe_customers"
"""The watermark up to whose `modstamp` the mirror holds everything that Stripe lists."""


class Customers:
    """Every method is one transaction; all may raise Unavailable."""

    def __init__(self, database: Database, clock: Clock, watermarks: Watermarks) -> None:
        self._database = database
        self._clock = clock
        self._watermarks = watermarks

    def upsert_many(self, customers: Sequence[StripeCustomer]) -> None:
        """Write them as Stripe has them now; of two with one id the later in the sequence counts."""
        if not customers:
            return
        now = self._clock.now()
        rows = {customer.customer_id: _row(customer, now) for customer in customers}
        with self._database.write() as connection:
            self._database.upsert(connection, CUSTOMER, [rows[key] for key in sorted(rows)], ("customer_id",))

    def candidates(
        self,
        *,
        account_id: str = "",
        email: str = "",
        domain: str = "",
        name: str = "",
        currency: str = "",
        limit: int = 50,
    ) -> list[StripeCustomer]:
        """Customers, not deleted, that share at least one of these; an empty one matches nothing.

        E-mail and domain are compared without case, names by `name_key`. At most `limit` for each
        criterion; of more, those in `currency` or with none yet come first. No customer is left out for its
        currency: judging that is matching's business.
        """
        wanted = {
            CUSTOMER.c.account_id: account_id,
            CUSTOMER.c.email: email.strip().lower(),
            CUSTOMER.c.domain: domain.strip().lower(),
            CUSTOMER.c.name_key: name_key(name),
        }
        fits = case((CUSTOMER.c.currency.in_((currency.lower(), "")), 0), else_=1)
        found: dict[str, StripeCustomer] = {}
        with self._database.read() as connection:
            for column, value in wanted.items():
                if value:
                    for row in connection.execute(_matching(column, value, fits, limit)):
                        found.setdefault(row.customer_id, _customer(row))
        return list(found.values())

    def get(self, customer_id: str) -> StripeCustomer | None:
        """The mirrored customer, deleted or not."""
        with self._database.read() as connection:
            row = connection.execute(select(CUSTOMER).where(CUSTOMER.c.customer_id == customer_id)).first()
        return _customer(row) if row else None

    def forget(self, customer_ids: Iterable[str]) -> int:
        """Remove them from the mirror, for a request to erase personal data; how many there were."""
        with self._database.write() as connection:
            gone = delete(CUSTOMER).where(CUSTOMER.c.customer_id.in_(list(customer_ids)))
            return connection.execute(gone).rowcount

    def refreshed_at(self) -> datetime | None:
        """Up to when the mirror is complete; None before it was ever filled."""
        mark = self._watermarks.get(REFRESHED)
        return mark.modstamp if mark else None

    def refreshed(self, at: datetime) -> None:
        """Everything that Stripe listed at `at` is in the mirror. Never moves back."""
        self._watermarks.set(REFRESHED, at)


def name_key(name: str) -> str:
    """A company's name as matching compares names, without spaces: ``Café Ole, S.A.`` → ``cafeole``."""
    return normalized_name(name).replace(" ", "")


def _matching(column: ColumnElement[Any], value: str, fits: Any, limit: int) -> Any:
    query = select(CUSTOMER).where(column == value, CUSTOMER.c.deleted.is_(False))
    return query.order_by(fits, CUSTOMER.c.created.desc().nulls_last(), CUSTOMER.c.customer_id).limit(limit)


def _row(customer: StripeCustomer, now: datetime) -> dict[str, Any]:
    email = customer.email.strip().lower()
    return CustomerRow(
        customer_id=customer.customer_id,
        name=customer.name,
        name_key=name_key(customer.name),
        email=email,
        domain=email.rpartition("@")[2] if "@" in email else "",
        account_id=full_id(customer.account_id),
        currency=customer.currency,
        deleted=customer.deleted,
        created=customer.created,
        seen_at=now,
    ).model_dump()


def _customer(row: Row[Any]) -> StripeCustomer:
    return StripeCustomer(
        customer_id=row.customer_id,
        name=row.name,
        email=row.email,
        account_id=row.account_id,
        currency=row.currency,
        deleted=row.deleted,
        created=row.created,
    )
