"""One org: its schema, its rows, its users and what an administrator has set up."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from typing import Any

from emulators.engine.clock import Clock
from emulators.salesforce.administration import RowFault, ValidationRule
from emulators.salesforce.errors import OrgError
from emulators.salesforce.fields import Field, ObjectType
from emulators.salesforce.formulas import with_formulas
from emulators.salesforce.locks import Locks
from emulators.salesforce.pages import Pages
from emulators.salesforce.schema import UNRESTRICTED, Access, Schema
from emulators.salesforce.settings import SalesforceSettings
from emulators.salesforce.soql.columns import Column, World, resolve
from emulators.salesforce.soql.conditions import Compiler, Predicate
from emulators.salesforce.soql.parser import parse_condition
from emulators.salesforce.soql.tree import Name, Query
from emulators.salesforce.store import Row, Store
from emulators.salesforce.values import org_time
from emulators.salesforce.write_plan import WritePlan

# Stage, closed, won, default probability, forecast category and its name: what a new org comes with.
_STAGES = (
    ("Prospecting", False, False, 10, "Pipeline", "Pipeline"),
    ("Qualification", False, False, 10, "Pipeline", "Pipeline"),
    ("Needs Analysis", False, False, 20, "Pipeline", "Pipeline"),
    ("Value Proposition", False, False, 50, "Pipeline", "Pipeline"),
    ("Id. Decision Makers", False, False, 60, "Pipeline", "Pipeline"),
    ("Perception Analysis", False, False, 70, "Pipeline", "Pipeline"),
    ("Proposal/Price Quote", False, False, 75, "Pipeline", "Pipeline"),
    ("Negotiation/Review", False, False, 90, "Pipeline", "Pipeline"),
    ("Closed Won", True, True, 100, "Closed", "Closed"),
    ("Closed Lost", True, False, 0, "Omitted", "Omitted"),
)


_KEPT_WHEN_EMPTIED = frozenset(
    {
        "CurrencyType",
        "DatedConversionRate",
        "FieldPermissions",
        "ObjectPermissions",
        "OpportunityStage",
        "Organization",
        "PermissionSet",
        "PermissionSetAssignment",
        "User",
    }
)


class Org:
    """Holds everything that `reset` empties; the REST layer and the control endpoints work on it."""

    def __init__(self, clock: Clock, settings: SalesforceSettings) -> None:
        self.clock = clock
        self.settings = settings
        self.schema = Schema(settings.multi_currency, settings.dated_rates)
        self.schema_changed = clock.now()
        self.pages = Pages()
        self.locks = Locks()
        self.store = Store()
        self.rules: list[ValidationRule] = []
        self.row_faults: list[RowFault] = []
        self._access: dict[str, tuple[object, Access]] = {}
        self._plans: dict[tuple[int, str], WritePlan] = {}
        self.org_id = self.user_id = self.admin_id = self.standard_pricebook_id = ""
        self._found()

    def stamp(self) -> str:
        return org_time(self.clock.now())

    # -- the first rows ---------------------------------------------------------------------------------

    def _found(self) -> None:
        self.admin_id = self.insert("User", self._user("Admin", "admin"))
        self.user_id = self.insert("User", self._user("Integration", "integration"))
        self.org_id = self.insert("Organization", self._organization())
        self.standard_pricebook_id = self.insert(
            "Pricebook2", {"Name": "Standard Price Book", "IsActive": True, "IsStandard": True}
        )
        for order, (name, closed, won, chance, category, category_name) in enumerate(_STAGES, 1):
            stage = {"MasterLabel": name, "ApiName": name, "IsActive": True, "SortOrder": order}
            stage |= {"IsClosed": closed, "IsWon": won, "DefaultProbability": Decimal(chance)}
            stage |= {"ForecastCategory": category, "ForecastCategoryName": category_name}
            self.insert("OpportunityStage", stage)
        for code in self.settings.currencies if self.settings.multi_currency else ():
            corporate = code == self.settings.currencies[0]
            row = {"IsoCode": code, "ConversionRate": Decimal(1), "DecimalPlaces": 2}
            self.insert("CurrencyType", {**row, "IsActive": True, "IsCorporate": corporate})
        self.index_fields()
        self.store.take_effects()

    def empty(self) -> None:
        """Forget every record but users, stages, the standard price book and what the package brought."""
        for name in self.store.tables:
            if name not in _KEPT_WHEN_EMPTIED:
                self.store.forget(name, keep={self.standard_pricebook_id})
        self.rules.clear()
        self.row_faults.clear()
        self.store.take_effects()

    def _user(self, last_name: str, name: str) -> Row:
        return {
            "Username": f"{name}@{self.settings.my_domain}.example",
            "Email": f"{name}@{self.settings.my_domain}.example",
            "LastName": last_name,
            "FirstName": "Emulated",
            "Name": f"Emulated {last_name}",
            "Alias": name[:8],
            "IsActive": True,
            "UserType": "Standard",
            "TimeZoneSidKey": "GMT",
            "LocaleSidKey": "en_US",
            "LanguageLocaleKey": "en_US",
            "EmailEncodingKey": "UTF-8",
        }

    def _organization(self) -> Row:
        return {
            "Name": "Emulated Org",
            "Country": "US",
            "OrganizationType": self.settings.organization_type,
            "IsSandbox": True,
            "InstanceName": "EMU1",
            "IsReadOnly": False,
            "LanguageLocaleKey": "en_US",
            "DefaultLocaleSidKey": "en_US",
            "TimeZoneSidKey": "GMT",
            "FiscalYearStartMonth": 1,
        }

    def insert(self, name: str, values: Row) -> str:
        """Put a row as it is, with its system fields; no rule is asked."""
        item = self.schema.require(name)
        row = self.blank(item)
        row["Id"] = self.store.new_id(item)
        now, user = self.stamp(), self.admin_id or row["Id"]
        row |= {"CreatedDate": now, "LastModifiedDate": now, "SystemModstamp": now}
        row |= {"CreatedById": user, "LastModifiedById": user} | values
        self.store.put(item.name, row, "created", tuple(values))
        return str(row["Id"])

    def blank(self, item: ObjectType) -> Row:
        """A row of an object with every field at its default."""
        row: Row = {f.name: f.default for f in item.fields.values() if f.type != "address"}
        row["IsDeleted"] = False
        if item.field("CurrencyIsoCode"):
            row["CurrencyIsoCode"] = self.settings.currencies[0]
        return row

    def index_fields(self) -> None:
        """Index what is looked up by value or by parent; called after each change of the schema."""
        self._plans.clear()
        for item in self.schema.objects.values():
            for each in item.fields.values():
                looked_up = each.unique or each.external_id or each.id_lookup
                wanted = looked_up or (each.references and each.references != ("User",))
                if wanted and each.type != "id" and not self.store.indexed(item.name, each.name):
                    self.store.index(item.name, each.name)

    # -- looking around ---------------------------------------------------------------------------------

    def row_by_id(self, record_id: str | None) -> tuple[ObjectType, Row] | None:
        item = self.schema.by_prefix(record_id) if record_id else None
        row = self.store.get(item.name, record_id) if item and record_id else None
        return (item, row) if item and row else None

    def shown(self, item: ObjectType, row: Row) -> Row:
        """The row with what is computed only when it is looked at."""
        return with_formulas(item, row, self.clock.now().date())

    def world(self, access: Access) -> World:
        return World(self.schema, self.store, access, self.clock.now())

    def access(self, user_id: str) -> Access:
        """What the user sees by the permission sets assigned now."""
        if not self.settings.field_level_security:
            return UNRESTRICTED
        tables = ("PermissionSetAssignment", "FieldPermissions", "ObjectPermissions")
        state = (
            *(self.store.version(name) for name in tables),
            *self.settings.hidden_fields,
            self.settings.restricted_user,
        )
        known = self._access.get(user_id)
        if known is not None and known[0] == state:
            return known[1]
        made = self._make_access(user_id)
        self._access[user_id] = (state, made)
        return made

    def _make_access(self, user_id: str) -> Access:
        assigned = {
            row["PermissionSetId"]
            for row in self._live("PermissionSetAssignment")
            if row["AssigneeId"] == user_id
        }
        return self.access_by(assigned, restricted=self.settings.restricted_user)

    def access_by(self, set_ids: Collection[str], *, restricted: bool = False) -> Access:
        """What permission sets show and allow together."""
        fields = [row for row in self._live("FieldPermissions") if row["ParentId"] in set_ids]
        objects: dict[str, frozenset[str]] = {}
        for row in self._live("ObjectPermissions"):
            if row["ParentId"] in set_ids:
                actions = ("Create", "Read", "Edit", "Delete", "ViewAllRecords")
                granted = {action.lower() for action in actions if row.get(f"Permissions{action}")}
                key = row["SobjectType"].lower()
                objects[key] = objects.get(key, frozenset()) | granted
        return Access(
            frozenset(row["Field"].lower() for row in fields if row.get("PermissionsRead")),
            frozenset(row["Field"].lower() for row in fields if row.get("PermissionsEdit")),
            objects,
            frozenset(name.lower() for name in self.settings.hidden_fields),
            restricted,
        )

    def _live(self, name: str) -> list[Row]:
        return [row for row in self.store.rows(name).values() if not row.get("IsDeleted")]

    def plan(self, access: Access, item: ObjectType) -> WritePlan:
        """What a user with this access may write on the object, as long as neither changes."""
        key = (id(access), item.name)
        known = self._plans.get(key)
        if known is None or known.access is not access or known.item is not item:
            known = self._plans[key] = WritePlan(access, item)
        return known

    # -- what an administrator set up ---------------------------------------------------------------------

    def predicate(self, item: ObjectType, condition: str) -> Predicate:
        """A SOQL condition over rows of an object; raises OrgError when it is not one."""
        world = self.world(UNRESTRICTED)
        query = Query(condition, (), item.name, 0)

        def column(left: Any) -> Column:
            if not isinstance(left, Name):
                raise OrgError("MALFORMED_QUERY", "aggregate functions are not allowed in a rule")
            return resolve(world, query, item, left)

        compiler = Compiler(condition, column, _no_semi_join, world.now)
        return compiler.compile(parse_condition(condition))

    def check_rules(self, item: ObjectType, row: Row) -> None:
        """Raise FIELD_CUSTOM_VALIDATION_EXCEPTION for the first active rule that is true of the row."""
        for rule in self.rules:
            applies = rule.active and rule.object.lower() == item.name.lower()
            if applies and self.predicate(item, rule.when)(row):
                fields = [rule.field] if rule.field else []
                raise OrgError("FIELD_CUSTOM_VALIDATION_EXCEPTION", rule.message, fields)

    def check_row_faults(self, item: ObjectType, row: Row) -> None:
        """Raise what a row fault says, by the row's own id or by that of a parent; refuse a row in other hands."""
        if self.row_faults:
            ids = [row.get("Id") or "", *(row.get(f.name) or "" for f in _parents(item))]
            for fault in self.row_faults:
                if fault.strikes(item.name, ids):
                    raise OrgError(fault.code, fault.message or _LOCKED + (ids[0] or ids[-1]), [])
        if self.locks.writing is not None:
            locking = [row.get(each.name) or "" for each in _parents(item) if _locks_parent(each)]
            taken = self.locks.take([row.get("Id") or "", *locking])
            if taken is not None:
                raise OrgError("UNABLE_TO_LOCK_ROW", _LOCKED + taken, [])


_LOCKED = "unable to obtain exclusive access to this record or 1 records: "


def _parents(item: ObjectType) -> list[Field]:
    return [each for each in item.references() if each.references != ("User",)]


def _locks_parent(each: Field) -> bool:
    """A lookup that is cleared when its target goes does not lock it ("Record-Level Access: Under the Hood")."""
    return each.cascade or each.restrict_delete or (not each.custom and "Account" in each.references)


def _no_semi_join(query: Query) -> list[Any]:
    raise OrgError("MALFORMED_QUERY", f"a rule cannot select from {query.source}")
