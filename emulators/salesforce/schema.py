"""The org's objects and fields, who may see them, and how they are related."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from emulators.salesforce.errors import OrgError
from emulators.salesforce.fields import Field, ObjectType
from emulators.salesforce.standard import standard_objects

# Key prefixes of custom objects are handed out in order from a00.
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class Schema:
    """Objects by name, in any case."""

    def __init__(self, multi_currency: bool = False, dated_rates: bool = False) -> None:
        self.multi_currency = multi_currency
        self.namespaces: tuple[str, ...] = ()  # of managed packages, such as SBQQ
        self.objects: dict[str, ObjectType] = {}
        for item in standard_objects(multi_currency, dated_rates):
            self.add(item)

    def add(self, item: ObjectType) -> None:
        self.objects[item.name.lower()] = item

    def get(self, name: str) -> ObjectType | None:
        return self.objects.get(name.lower())

    def local(self, name: str) -> str:
        """An API name without the namespace of a managed package that may be installed here."""
        prefix, _, rest = name.partition("__")
        return rest if prefix in self.namespaces else name

    def require(self, name: str) -> ObjectType:
        """The object, or NOT_FOUND as a REST path to an unknown object answers."""
        found = self.get(name)
        if found is None:
            raise OrgError("NOT_FOUND", "The requested resource does not exist", status=404)
        return found

    def by_prefix(self, record_id: str) -> ObjectType | None:
        return next((item for item in self.objects.values() if item.prefix == record_id[:3]), None)

    def next_prefix(self) -> str:
        number = sum(1 for item in self.objects.values() if item.custom)
        return "a" + _DIGITS[number // 62] + _DIGITS[number % 62]

    def children(self, parent: ObjectType) -> list[tuple[ObjectType, Field]]:
        """Each (child object, reference field) that can point at `parent`."""
        return [
            (child, field)
            for child in self.objects.values()
            for field in child.references()
            if parent.name in field.references
        ]

    def child_relationship(self, parent: ObjectType, name: str) -> tuple[ObjectType, Field] | None:
        """The child object behind a subquery's FROM, such as `OpportunityLineItems` or `Lines__r`."""
        wanted = name.lower()
        for child, reference in self.children(parent):
            if reference.child_relationship and reference.child_relationship.lower() == wanted:
                return child, reference
        return None


# What everyone may read, and what is open as its parent is.
_OPEN = frozenset(
    {
        "User",
        "Organization",
        "OpportunityStage",
        "CurrencyType",
        "DatedConversionRate",
        "PermissionSet",
        "PermissionSetAssignment",
        "FieldPermissions",
        "ObjectPermissions",
        "Task",
    }
)
_DETAILS = {
    "OpportunityLineItem": "Opportunity",
    "OpportunityContactRole": "Opportunity",
    "OrderItem": "Order",
    "PricebookEntry": "Pricebook2",
}


@dataclass(frozen=True)
class Access:
    """What one user may see and change: field-level security and object permissions.

    A custom field is visible only by a permission set that is assigned to the user; a standard field is,
    unless the org hides it (`hidden`). System fields, required fields and master-detail fields have no
    field-level security. A `restricted` user (the licence for integrations) needs grants for standard objects
    and fields too. Names are `account.phone`, in lower case; `objects` maps an object to granted actions.
    """

    readable: frozenset[str] = frozenset()
    editable: frozenset[str] = frozenset()
    objects: Mapping[str, frozenset[str]] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()
    restricted: bool = False
    everything: bool = False

    def sees_object(self, item: ObjectType) -> bool:
        return self.may("read", item)

    def may(self, action: str, item: ObjectType) -> bool:
        """`action` is create, read, edit or delete; without `restricted` standard objects are open."""
        if self.everything or not (item.custom or self.restricted) or item.name in _OPEN:
            return True
        parent = _DETAILS.get(item.name)
        if parent is not None:
            action = "read" if action == "read" else "edit"
        return action in self.objects.get((parent or item.name).lower(), frozenset())

    def sees(self, item: ObjectType, field: Field) -> bool:
        if self.everything or field.system or (item.name in _OPEN and not field.custom):
            return True
        key = _key(item, field)
        return key in self.readable if field.custom or self.restricted else key not in self.hidden

    def edits(self, item: ObjectType, field: Field) -> bool:
        guarded = field.custom or (self.restricted and item.name not in _OPEN)
        if self.everything or field.system or not guarded:
            return self.sees(item, field)
        return _key(item, field) in self.editable

    def field(self, item: ObjectType, name: str) -> Field | None:
        """The field by that name if it exists and the user sees it: the org does not tell the two apart."""
        found = item.field(name)
        return found if found is not None and self.sees(item, found) else None


def _key(item: ObjectType, field: Field) -> str:
    """What a permission set calls the field: a part of an address goes by its address."""
    return f"{item.name}.{field.compound or field.name}".lower()


UNRESTRICTED = Access(everything=True)
