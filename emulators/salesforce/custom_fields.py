"""Custom fields from their metadata, with the refusals of the Metadata API."""

from __future__ import annotations

import re
from collections.abc import Callable
from xml.etree.ElementTree import Element

from emulators.salesforce.fields import Field, ObjectType, PicklistValue
from emulators.salesforce.package import NAMESPACE, Problem, check_tags, children, flag, text
from emulators.salesforce.schema import Schema

API_NAME = re.compile(r"(?=\w{1,40}__c)[A-Za-z](?:_?[A-Za-z0-9])*__c")
_TAGS = frozenset(
    """
    fullName label type description inlineHelpText required length externalId unique caseSensitive
    precision scale defaultValue valueSet referenceTo relationshipName relationshipLabel
    relationshipOrder deleteConstraint reparentableMasterDetail writeRequiresMasterRead visibleLines
    displayFormat startingNumber trackHistory trackFeedHistory trackTrending securityClassification
    businessStatus complianceGroup formula formulaTreatBlanksAs lookupFilter maskChar maskType
    """.split()  # noqa: SIM905 - a list of forty names reads better as text
)
_EXTERNAL_TYPES = frozenset({"Text", "Number", "Email", "AutoNumber"})
_UNIQUE_TYPES = frozenset({"Text", "Number", "Email"})


def custom_field(schema: Schema, owner: ObjectType, element: Element) -> Field:
    """The field of one `<fields>` element; raises Problem."""
    name = text(element, "fullName") or ""
    check_tags(element, "CustomField", _TAGS)
    if not API_NAME.fullmatch(schema.local(name)):
        raise Problem(
            f"The name '{name}' is no API name of a custom field: letters, digits and single underscores, "
            "beginning with a letter, at most 40, ending in __c"
        )
    label = _need(element, "label")
    kind = _need(element, "type")
    build = _BUILDERS.get(kind)
    if build is None:
        raise Problem(f"'{kind}' is not a valid value for the enum 'FieldType' that this org supports")
    _check_keys(element, kind)
    field = build(schema, owner, element, Field(name, "", label, custom=True))
    formula = text(element, "formula")
    if formula:
        field = field.changed(createable=False, updateable=False, calculated=True, formula=formula)
    required = flag(element, "required")
    return field.changed(
        external_id=flag(element, "externalId"),
        unique=flag(element, "unique"),
        case_sensitive=flag(element, "caseSensitive"),
        nillable=field.nillable and not required,
    )


def _need(element: Element, name: str) -> str:
    found = text(element, name)
    if found is None:
        raise Problem(f"Required field is missing: {name}")
    return found


def _number(element: Element, name: str, least: int, most: int) -> int:
    found = _need(element, name)
    if not found.lstrip("-").isdigit():
        raise Problem(f"'{found}' is not a valid value for the type xsd:int")
    if not least <= int(found) <= most:
        raise Problem(f"{name} must be between {least} and {most}")
    return int(found)


def _check_keys(element: Element, kind: str) -> None:
    if flag(element, "externalId") and kind not in _EXTERNAL_TYPES:
        raise Problem(f"Can not specify 'externalId' for a CustomField of type {kind}")
    if flag(element, "unique") and kind not in _UNIQUE_TYPES:
        raise Problem(f"Can not specify 'unique' for a CustomField of type {kind}")
    if flag(element, "caseSensitive") and not (kind == "Text" and flag(element, "unique")):
        raise Problem("Can not specify 'caseSensitive' unless the field is a unique text field")
    if kind in {"MasterDetail", "Checkbox"} and flag(element, "required"):
        raise Problem(f"Can not specify 'required' for a CustomField of type {kind}")


def _text(schema: Schema, owner: ObjectType, element: Element, field: Field) -> Field:
    del schema, owner
    return field.changed(type="string", length=_number(element, "length", 1, 255))


def _long_text(schema: Schema, owner: ObjectType, element: Element, field: Field) -> Field:
    del schema, owner
    _number(element, "visibleLines", 2, 50)
    return field.changed(type="textarea", length=_number(element, "length", 256, 131_072))


def _sized(base: str, length: int) -> Builder:
    def build(schema: Schema, owner: ObjectType, element: Element, field: Field) -> Field:
        del schema, owner
        if text(element, "length") is not None:
            raise Problem(f"Can not specify 'length' for a CustomField of type {text(element, 'type')}")
        return field.changed(type=base, length=length)

    return build


def _numeric(base: str) -> Builder:
    def build(schema: Schema, owner: ObjectType, element: Element, field: Field) -> Field:
        del schema, owner
        precision = _number(element, "precision", 1, 18)
        return field.changed(type=base, precision=precision, scale=_number(element, "scale", 0, precision))

    return build


def _checkbox(schema: Schema, owner: ObjectType, element: Element, field: Field) -> Field:
    del schema, owner
    default = text(element, "defaultValue")
    if default not in {"true", "false"}:
        raise Problem("Must specify 'defaultValue' of 'true' or 'false' for a CustomField of type Checkbox")
    return field.changed(type="boolean", nillable=False, defaulted=True, default=default == "true")


def _picklist(schema: Schema, owner: ObjectType, element: Element, field: Field) -> Field:
    del schema, owner
    value_set = element.find(NAMESPACE + "valueSet")
    definition = value_set.find(NAMESPACE + "valueSetDefinition") if value_set is not None else None
    if value_set is None or definition is None:
        raise Problem(
            "Must specify 'valueSet' with a 'valueSetDefinition' for a CustomField of type Picklist"
        )
    values = []
    for each in children(definition, "value"):
        name = _need(each, "fullName")
        values.append(PicklistValue(name, text(each, "label") or name, flag(each, "default")))
        if len(name) > 255:
            raise Problem(f"Picklist value too long: {name[:40]}…")
    names = [value.value.lower() for value in values]
    if not values or len(set(names)) != len(names):
        raise Problem("Duplicate or no values in the picklist")
    default = next((value.value for value in values if value.default), None)
    return field.changed(
        type="multipicklist" if text(element, "type") == "MultiselectPicklist" else "picklist",
        length=255,
        picklist=tuple(values),
        restricted=flag(value_set, "restricted"),
        default=default,
        defaulted=default is not None,
    )


def _target(schema: Schema, element: Element) -> str:
    wanted = _need(element, "referenceTo")
    found = schema.get(wanted)
    if found is None:
        raise Problem(f"referenceTo value of '{wanted}' does not resolve to a valid sObject type")
    return found.name


def _relate(schema: Schema, owner: ObjectType, element: Element, field: Field) -> Field:
    """The common part of lookups and master-detail fields: target and both relationship names."""
    target = _target(schema, element)
    child = text(element, "relationshipName")
    if child is not None:
        if not re.fullmatch(r"[A-Za-z]\w*", child) or child.endswith("__r"):
            raise Problem(f"'{child}' is not a valid relationshipName")
        taken = schema.child_relationship(schema.objects[target.lower()], f"{child}__r")
        if taken is not None and (taken[0].name, taken[1].name) != (owner.name, field.name):
            raise Problem(f"There is already a Child Relationship named {child} on {target}.")
    return field.changed(
        type="reference",
        length=18,
        references=(target,),
        relationship=field.name.removesuffix("__c") + "__r",
        child_relationship=f"{child}__r" if child else None,
    )


def _lookup(schema: Schema, owner: ObjectType, element: Element, field: Field) -> Field:
    constraint = text(element, "deleteConstraint") or "SetNull"
    if constraint not in {"SetNull", "Restrict", "Cascade"}:
        raise Problem(f"'{constraint}' is not a valid value for the enum 'DeleteConstraint'")
    if flag(element, "required") and constraint == "SetNull":
        raise Problem("Can not specify 'SetNull' as deleteConstraint for a required lookup")
    made = _relate(schema, owner, element, field)
    return made.changed(restrict_delete=constraint == "Restrict", cascade=constraint == "Cascade")


def _master_detail(schema: Schema, owner: ObjectType, element: Element, field: Field) -> Field:
    if not owner.custom:
        raise Problem(f"Cannot create a master-detail field on the standard object {owner.name}")
    if text(element, "relationshipName") is None:
        raise Problem("Must specify 'relationshipName' for a CustomField of type MasterDetail")
    movable = flag(element, "reparentableMasterDetail")
    made = _relate(schema, owner, element, field)
    return made.changed(cascade=True, nillable=False, updateable=movable)


Builder = Callable[[Schema, ObjectType, Element, Field], Field]
_BUILDERS: dict[str, Builder] = {
    "Text": _text,
    "TextArea": _sized("textarea", 255),
    "LongTextArea": _long_text,
    "Email": _sized("email", 80),
    "Url": _sized("url", 255),
    "Phone": _sized("phone", 40),
    "Currency": _numeric("currency"),
    "Number": _numeric("double"),
    "Percent": _numeric("percent"),
    "Checkbox": _checkbox,
    "Date": _sized("date", 0),
    "DateTime": _sized("datetime", 0),
    "Picklist": _picklist,
    "MultiselectPicklist": _picklist,
    "Lookup": _lookup,
    "MasterDetail": _master_detail,
}
