"""The org's objects and fields, who may see them, and how they are related."""

from collections.abc import Iterable

from emulators.salesforce.errors import OrgError
from emulators.salesforce.fields import Field, ObjectType
from emulators.salesforce.standard import standard_objects

# Key prefixes of custom objects are handed out in order from a00.
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class Schema:
    """Objects by name, in any case. `grants` maps a user id to what permission sets give that user."""

    def __init__(self, multi_currency: bool = False) -> None:
        self.multi_currency = multi_currency
        self.objects: dict[str, ObjectType] = {}
        for item in standard_objects(multi_currency):
            self.add(item)

    def add(self, item: ObjectType) -> None:
        self.objects[item.name.lower()] = item

    def get(self, name: str) -> ObjectType | None:
        return self.objects.get(name.lower())

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
        for child, field in self.children(parent):
            if field.child_relationship and field.child_relationship.lower() == wanted:
                return child, field
        return None


class Access:
    """What one user may see and change: field-level security and object permissions of custom objects.

    A custom field is visible only by a permission set that is assigned to the user; a standard field is,
    unless the org hides it (`hidden`, names like `Account.Phone`, in lower case). System fields, required
    fields and master-detail fields have no field-level security.
    """

    def __init__(
        self,
        readable: Iterable[str],
        editable: Iterable[str],
        objects: dict[str, frozenset[str]],
        hidden: Iterable[str],
        everything: bool = False,
    ) -> None:
        self.readable = frozenset(readable)
        self.editable = frozenset(editable)
        self.objects = objects
        self.hidden = frozenset(hidden)
        self.everything = everything

    def sees_object(self, item: ObjectType) -> bool:
        return (
            self.everything or not item.custom or "read" in self.objects.get(item.name.lower(), frozenset())
        )

    def may(self, action: str, item: ObjectType) -> bool:
        """`action` is create, read, edit or delete; standard objects are open to the integration user."""
        return (
            self.everything or not item.custom or action in self.objects.get(item.name.lower(), frozenset())
        )

    def sees(self, item: ObjectType, field: Field) -> bool:
        if self.everything or field.system:
            return True
        key = f"{item.name}.{field.name}".lower()
        return key in self.readable if field.custom else key not in self.hidden

    def edits(self, item: ObjectType, field: Field) -> bool:
        if self.everything or field.system or not field.custom:
            return self.sees(item, field)
        return f"{item.name}.{field.name}".lower() in self.editable

    def field(self, item: ObjectType, name: str) -> Field | None:
        """The field by that name if it exists and the user sees it: the org does not tell the two apart."""
        found = item.field(name)
        return found if found is not None and self.sees(item, found) else None


UNRESTRICTED = Access((), (), {}, (), everything=True)
