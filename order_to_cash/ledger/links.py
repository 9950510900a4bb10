"""Which Stripe object belongs to which Salesforce record. Ids only, no personal data."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import select

from order_to_cash.domain.clock import Clock
from order_to_cash.domain.records import Environment
from order_to_cash.ledger.engine import Database
from order_to_cash.ledger.tables import LINK, Link


class Links:
    """Every method is one transaction; all may raise Unavailable."""

    def __init__(self, database: Database, clock: Clock, environment: Environment) -> None:
        self._database = database
        self._clock = clock
        self._environment = environment.value

    def put(self, stripe_type: str, stripe_id: str, salesforce_type: str, salesforce_id: str) -> None:
        """Link them. A Stripe object has one record of each Salesforce type: a later link takes its place."""
        self.put_many([(stripe_type, stripe_id, salesforce_type, salesforce_id)])

    def put_many(self, links: list[tuple[str, str, str, str]]) -> None:
        """`put` for many ``(stripe_type, stripe_id, salesforce_type, salesforce_id)`` in one transaction."""
        now = self._clock.now()
        rows = {
            link[:3]: Link(
                environment=self._environment,
                stripe_type=link[0],
                stripe_id=link[1],
                salesforce_type=link[2],
                salesforce_id=link[3],
                linked_at=now,
            ).model_dump()
            for link in links
        }
        with self._database.write() as connection:
            key = ("environment", "stripe_type", "stripe_id", "salesforce_type")
            self._database.upsert(connection, LINK, [rows[name] for name in sorted(rows)], key)

    def by_salesforce(self, salesforce_type: str, salesforce_id: str, stripe_type: str = "") -> list[Link]:
        """The Stripe objects of one record, oldest link first; `stripe_type` narrows them."""
        found = select(LINK).where(
            LINK.c.salesforce_type == salesforce_type, LINK.c.salesforce_id == salesforce_id
        )
        return self._read(found.where(LINK.c.stripe_type == stripe_type) if stripe_type else found)

    def by_stripe(self, stripe_type: str, stripe_id: str, salesforce_type: str = "") -> list[Link]:
        """The records of one Stripe object, oldest link first; `salesforce_type` narrows them."""
        found = select(LINK).where(LINK.c.stripe_type == stripe_type, LINK.c.stripe_id == stripe_id)
        return self._read(
            found.where(LINK.c.salesforce_type == salesforce_type) if salesforce_type else found
        )

    def of_many(self, stripe_type: str, stripe_ids: Collection[str], salesforce_type: str) -> dict[str, str]:
        """Stripe id → Salesforce id, of those that are linked."""
        if not stripe_ids:
            return {}
        query = select(LINK.c.stripe_id, LINK.c.salesforce_id).where(
            LINK.c.environment == self._environment,
            LINK.c.stripe_type == stripe_type,
            LINK.c.salesforce_type == salesforce_type,
            self._database.among(LINK.c.stripe_id, list(stripe_ids)),
        )
        with self._database.read() as connection:
            return {row.stripe_id: row.salesforce_id for row in connection.execute(query)}

    def _read(self, query: Any) -> list[Link]:
        query = query.where(LINK.c.environment == self._environment).order_by(
            LINK.c.linked_at, LINK.c.stripe_id
        )
        with self._database.read() as connection:
            return [Link(**row._mapping) for row in connection.execute(query)]
