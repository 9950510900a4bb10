"""What an object and a field of the org are, before any record exists."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

NUMBER_TYPES = frozenset({"double", "currency", "percent", "int"})
LONG_TEXT = 4000  # a longer text area cannot be filtered, sorted or grouped in SOQL


@dataclass(frozen=True)
class PicklistValue:
    value: str
    label: str
    default: bool = False


@dataclass(frozen=True)
class Field:
    """One field. `length` in characters, `precision` in digits of which `scale` stand behind the point.

    `compound` names the address that a part belongs to; `compound_of` is an address's own prefix. `guarded`
    overrules what `system` derives, where a real org's describe says otherwise.
    """

    name: str
    type: str
    label: str
    length: int = 0
    precision: int = 0
    scale: int = 0
    createable: bool = True
    updateable: bool = True
    nillable: bool = True
    defaulted: bool = False
    default: object = None
    references: tuple[str, ...] = ()
    relationship: str | None = None
    child_relationship: str | None = None
    cascade: bool = False
    restrict_delete: bool = False
    picklist: tuple[PicklistValue, ...] = ()
    restricted: bool = False
    unique: bool = False
    case_sensitive: bool = False
    external_id: bool = False
    name_field: bool = False
    id_lookup: bool = False
    auto_number: str | None = None
    compound_of: str | None = None
    calculated: bool = False
    formula: str | None = None
    compound: str | None = None
    guarded: bool | None = None
    custom: bool = False

    @property
    def system(self) -> bool:
        """Whether everyone sees it: ids, audit fields, names, required fields have no field security."""
        if self.guarded is not None:
            return not self.guarded
        always = self.type == "id" or self.name_field or (not self.createable and not self.custom)
        return always or (not self.nillable and self.type != "boolean")

    @property
    def filterable(self) -> bool:
        return not (self.type == "textarea" and self.length > LONG_TEXT) and self.type != "address"

    def changed(self, **changes: object) -> "Field":
        return replace(self, **changes)  # type: ignore[arg-type]  # replace() checks the names itself


@dataclass
class ObjectType:
    """One object with its fields by lower-case name, in the order they were declared."""

    name: str
    label: str
    plural: str
    prefix: str
    custom: bool = False
    createable: bool = True
    updateable: bool = True
    deletable: bool = True
    mergeable: bool = False
    private: bool = False  # shown to its owner only, and to who may view all records
    fields: dict[str, Field] = field(default_factory=dict)

    def add(self, new: Field) -> None:
        self.fields[new.name.lower()] = new

    def field(self, name: str) -> Field | None:
        return self.fields.get(name.lower())

    def by_relationship(self, name: str) -> Field | None:
        """The reference field behind a parent path step such as `Account` or `Invoice__r`."""
        wanted = name.lower()
        for candidate in self.fields.values():
            if candidate.relationship and candidate.relationship.lower() == wanted:
                return candidate
        return None

    def references(self) -> Iterator[Field]:
        return (item for item in self.fields.values() if item.references)

    @property
    def name_field(self) -> Field | None:
        return next((item for item in self.fields.values() if item.name_field), None)
