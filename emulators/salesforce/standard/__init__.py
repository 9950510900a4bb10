"""The standard objects of a Sales and Service org, with the fields that order-to-cash touches.

The `.txt` files beside this module are tables: an object line `= Name | key prefix | plural | traits`, then a
line for each field, `name | type | flags | extra`. Types carry their length, or precision and scale. `extra`
holds picklist values (`;` between them, `*` after the default), a reference's `Parent/ChildRelationship`, or
the prefix of an address.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from emulators.salesforce.fields import Field, ObjectType, PicklistValue

_FILES = ("sales.txt", "service.txt")
_TYPE = re.compile(r"(\w+)(?:\((.*)\))?")
_LENGTHS = {"phone": 40, "url": 255, "email": 80, "ref": 18}
_TYPE_NAMES = {"ref": "reference", "autonumber": "string"}


def label_of(name: str) -> str:
    """`BillingPostalCode` → `Billing Postal Code`, `OwnerId` → `Owner ID`."""
    return re.sub(r"\bId\b", "ID", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name))


def _picklist(text: str) -> tuple[PicklistValue, ...]:
    values = [item.strip() for item in text.split(";") if item.strip()]
    return tuple(PicklistValue(v.rstrip("*"), v.rstrip("*"), v.endswith("*")) for v in values)


def _numbers(argument: str) -> tuple[int, int]:
    precision, _, scale = argument.partition(",")
    return int(precision), int(scale or 0)


def parse_field(line: str, read_only: bool) -> Field:
    """One line of a table as a field; `read_only` makes every field of the object so."""
    name, kind, flag_text, extra, *_ = [part.strip() for part in (line + "|||").split("|")]
    match = _TYPE.fullmatch(kind)
    if match is None:
        raise ValueError(f"standard object table: cannot read {line!r}")
    base, argument = match[1], match[2] or ""
    flags = set(flag_text.split())
    closed = read_only or "readonly" in flags
    made = Field(
        name=name,
        type=_TYPE_NAMES.get(base, base),
        label=label_of(name),
        length=_LENGTHS.get(base, 0),
        createable=not closed and "updateonly" not in flags,
        updateable=not closed and "createonly" not in flags,
        nillable="required" not in flags and base != "boolean",
        defaulted="default" in flags or base in {"boolean", "autonumber"},
        cascade="cascade" in flags,
        name_field="name" in flags,
        id_lookup="idlookup" in flags or base == "autonumber",
        guarded=True if "guarded" in flags or base == "address" else False if "open" in flags else None,
    )
    return made.changed(**_by_type(base, argument, extra))


def _by_type(base: str, argument: str, extra: str) -> dict[str, object]:
    """What a type's argument and the extra column say."""
    made: dict[str, object] = {}
    if base in {"string", "textarea", "email"} and argument:
        made = {"length": int(argument)}
    elif base == "picklist":
        values = _picklist(extra)
        default = next((item.value for item in values if item.default), None)
        made = {"length": int(argument or 255), "picklist": values, "default": default}
    elif base in {"currency", "double", "percent"}:
        precision, scale = _numbers(argument)
        made = {"precision": precision, "scale": scale}
    elif base == "ref":
        parent, _, child = extra.partition("/")
        targets = tuple(argument.split(","))
        made = {"references": targets, "relationship": parent or None, "child_relationship": child or None}
    elif base == "autonumber":
        made = {"length": 30, "auto_number": argument, "createable": False, "updateable": False}
    elif base == "boolean":
        made = {"default": extra == "true"}
    elif base == "address":
        made = {"compound_of": extra, "createable": False, "updateable": False}
    return made


def system_fields(custom: bool = False) -> list[Field]:
    """Audit fields that every object carries; a custom object has its owner among them."""
    closed = {"createable": False, "updateable": False, "nillable": False, "defaulted": True}
    made = [
        Field("CreatedDate", "datetime", "Created Date", **closed),  # type: ignore[arg-type]  # bools only
        _user_field("CreatedById", "CreatedBy"),
        Field("LastModifiedDate", "datetime", "Last Modified Date", **closed),  # type: ignore[arg-type]  # bools only
        _user_field("LastModifiedById", "LastModifiedBy"),
        Field("SystemModstamp", "datetime", "System Modstamp", **closed),  # type: ignore[arg-type]  # bools only
    ]
    if custom:
        owner = _user_field("OwnerId", "Owner").changed(createable=True, updateable=True)
        made.insert(0, owner)
    return made


def _user_field(name: str, relationship: str) -> Field:
    return Field(
        name,
        "reference",
        label_of(name),
        length=18,
        createable=False,
        updateable=False,
        nillable=False,
        defaulted=True,
        references=("User",),
        relationship=relationship,
    )


def id_fields() -> list[Field]:
    """The record id and the recycle-bin mark."""
    closed = {"createable": False, "updateable": False, "nillable": False, "defaulted": True}
    return [
        Field("Id", "id", "Record ID", length=18, id_lookup=True, **closed),  # type: ignore[arg-type]  # bools only
        Field("IsDeleted", "boolean", "Deleted", default=False, **closed),  # type: ignore[arg-type]  # bools only
    ]


def currency_field() -> Field:
    """The record's currency, which only a multi-currency org has."""
    return Field("CurrencyIsoCode", "picklist", "Currency ISO Code", length=3, defaulted=True, guarded=False)


def _blocks() -> Iterator[tuple[str, list[str]]]:
    head, lines = "", list[str]()
    for file in _FILES:
        for raw in (Path(__file__).parent / file).read_text("utf-8").splitlines():
            if raw.startswith("="):
                if head:
                    yield head, lines
                head, lines = raw.removeprefix("="), []
            elif raw.strip() and not raw.startswith("#"):
                lines.append(raw)
    yield head, lines


def standard_objects(multi_currency: bool, dated_rates: bool) -> list[ObjectType]:
    """Every standard object of the org; CurrencyType and CurrencyIsoCode only with several currencies.

    `dated_rates`: DatedConversionRate too, as with advanced currency management.
    """
    made = []
    for head, lines in _blocks():
        name, prefix, plural, traits, *_ = [part.strip() for part in (head + "|").split("|")] + [""]
        if "multicurrency" in traits and not multi_currency:
            continue
        if "dated" in traits and not dated_rates:
            continue
        closed = "readonly" in traits
        new = ObjectType(
            name,
            label_of(name),
            plural,
            prefix,
            createable=not closed,
            updateable=not closed,
            deletable=not closed,
            mergeable="mergeable" in traits,
        )
        for item in id_fields()[: 1 if "permanent" in traits else 2]:
            new.add(item)
        for line in lines:
            new.add(parse_field(line, closed))
        if multi_currency and any(each.type == "currency" for each in new.fields.values()):
            new.add(currency_field())
        for item in system_fields():
            new.add(item)
        _join_addresses(new)
        made.append(new)
    return made


def _join_addresses(item: ObjectType) -> None:
    """Tell the parts of each address whose they are: a part is seen where its address is."""
    prefixes = {each.compound_of: each.name for each in item.fields.values() if each.compound_of}
    for each in list(item.fields.values()):
        for prefix, name in prefixes.items():
            if each.name.startswith(prefix) and each.name != name:
                item.add(each.changed(compound=name))
