"""The ledger as everybody sees it: one object with a part for each noun."""

from __future__ import annotations

from sqlalchemy import select, update

from order_to_cash.domain.clock import Clock
from order_to_cash.domain.errors import ConfigurationError
from order_to_cash.domain.records import Environment
from order_to_cash.ledger.applied import AppliedStates
from order_to_cash.ledger.audit import AuditLog
from order_to_cash.ledger.customers import Customers
from order_to_cash.ledger.effects import Effects
from order_to_cash.ledger.engine import Database
from order_to_cash.ledger.inbox import Inbox
from order_to_cash.ledger.ladders import Ladders
from order_to_cash.ledger.leases import Leases
from order_to_cash.ledger.links import Links
from order_to_cash.ledger.migrate import check_version, has_tables, known_revisions, migrate, revision
from order_to_cash.ledger.nudges import Nudges
from order_to_cash.ledger.obligations import Obligations
from order_to_cash.ledger.operations import Operations
from order_to_cash.ledger.quarantine import Quarantine
from order_to_cash.ledger.tables import IDENTITY, Identity
from order_to_cash.ledger.watermarks import Watermarks


class Ledger:
    """What the product remembers, on SQLite or PostgreSQL. Thread-safe; a method is one transaction.

    It holds no secret, and personal data only in `customers`, the mirror that matching needs, and in the bodies
    of `inbox`. It belongs to one environment, Stripe account and Salesforce org: `bind` says which, and nothing of
    another gets in.
    """

    def __init__(self, database: Database, clock: Clock, environment: Environment) -> None:
        self.database = database
        self.environment = environment
        self._clock = clock
        self.obligations = Obligations(database, clock)
        self.operations = Operations(database, clock)
        self.effects = Effects(database, clock)
        self.leases = Leases(database, clock)
        self.links = Links(database, clock, environment)
        self.quarantine = Quarantine(database, clock)
        self.audit = AuditLog(database, clock)
        self.watermarks = Watermarks(database, clock)
        self.customers = Customers(database, clock, self.watermarks)
        self.inbox = Inbox(database, clock)
        self.applied = AppliedStates(database)
        self.nudges = Nudges(database, clock)
        self.ladders = Ladders(database, clock)

    @classmethod
    def open(cls, url: str, *, clock: Clock, environment: Environment) -> Ledger:
        """Open the ledger at `url` (``sqlite:///path`` or ``postgresql://…``), with or without tables.

        Raises ConfigurationError for an address that cannot be a ledger, a ledger of a newer version of
        o2c, or one of another environment; Unavailable when the database does not answer.
        """
        ledger = cls(Database(url), clock, environment)
        try:
            check_version(ledger.database)
            ledger._check_environment()
        except BaseException:
            ledger.close()
            raise
        return ledger

    def migrate(self) -> None:
        """Create or update the tables. Safe when several processes do it at once.

        Raises ConfigurationError for a ledger of a newer version.
        """
        migrate(self.database)

    def is_current(self) -> bool:
        """Whether `migrate` has nothing to do."""
        with self.database.read() as connection:
            return revision(connection) == max(known_revisions())

    def bind(self, environment: Environment, stripe_account_id: str, salesforce_org_id: str) -> None:
        """Say to whom this ledger belongs. The first time stores it; an empty id is stored by a later call.

        Raises ConfigurationError when it belongs to another environment, Stripe account or Salesforce org.
        """
        asked = {
            "environment": Environment(environment).value,
            "stripe_account_id": stripe_account_id,
            "salesforce_org_id": salesforce_org_id,
        }
        if environment != self.environment:
            raise _belongs_elsewhere("environment", self.environment, asked["environment"])
        with self.database.write() as connection:
            row = Identity(id=1, bound_at=self._clock.now(), **asked).model_dump()
            if self.database.insert_new(connection, IDENTITY, row):
                return
            stored = connection.execute(select(IDENTITY).with_for_update()).one()
            for name, value in asked.items():
                known = getattr(stored, name)
                if known and value and known != value:
                    raise _belongs_elsewhere(name, known, value)
            missing = {name: value for name, value in asked.items() if value and not getattr(stored, name)}
            if missing:
                connection.execute(update(IDENTITY).values(**missing))

    def identity(self) -> Identity | None:
        """To whom this ledger belongs; None before `bind`."""
        with self.database.read() as connection:
            row = connection.execute(select(IDENTITY)).first()
        return Identity(**row._mapping) if row else None

    def close(self) -> None:
        """Give the connections back."""
        self.database.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _check_environment(self) -> None:
        if not has_tables(self.database):
            return
        stored = self.identity()
        if stored is not None and stored.environment != self.environment:
            raise _belongs_elsewhere("environment", stored.environment, self.environment.value)


def _belongs_elsewhere(name: str, stored: str, asked: str) -> ConfigurationError:
    return ConfigurationError(
        f"This ledger belongs to another {name.removesuffix('_id').replace('_', ' ')}.",
        code="ledger_of_another_account",
        remedy="Give each environment, Stripe account and org a ledger of its own (O2C_LEDGER_URL).",
        ids={"ledger": stored, "asked": asked},
    )
