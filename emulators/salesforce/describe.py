"""The describe resources, with the keys and types a real org answers."""

from __future__ import annotations

import hashlib
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

from emulators.engine.wire import Answer
from emulators.salesforce.api import Api, Ask
from emulators.salesforce.errors import not_found
from emulators.salesforce.fields import NUMBER_TYPES, Field, ObjectType
from emulators.salesforce.schema import Access, Schema

Json = dict[str, Any]
_SOAP_TYPES = {
    "id": "tns:ID",
    "reference": "tns:ID",
    "boolean": "xsd:boolean",
    "double": "xsd:double",
    "currency": "xsd:double",
    "percent": "xsd:double",
    "int": "xsd:int",
    "date": "xsd:date",
    "datetime": "xsd:dateTime",
    "address": "urn:address",
}


def describe_field(field: Field, writable: bool = True) -> Json:
    """One entry of `fields`; `writable`: whether field-level security lets this user write it."""
    filterable = field.filterable
    reference = field.type == "reference"
    return {
        "aggregatable": filterable and field.type != "boolean",
        "aiPredictionField": False,
        "autoNumber": field.auto_number is not None,
        "byteLength": field.length if field.type in {"id", "reference"} else field.length * 3,
        "calculated": field.calculated,
        "calculatedFormula": field.formula,
        "cascadeDelete": field.cascade and field.custom,
        "caseSensitive": field.case_sensitive,
        "compoundFieldName": field.compound,
        "controllerName": None,
        "createable": field.createable and writable,
        "custom": field.custom,
        "defaultValue": field.default if field.type in {"boolean", "picklist"} else None,
        "defaultValueFormula": None,
        "defaultedOnCreate": field.defaulted,
        "dependentPicklist": False,
        "deprecatedAndHidden": False,
        "digits": 10 if field.type == "int" else 0,
        "displayLocationInDecimal": False,
        "encrypted": False,
        "externalId": field.external_id,
        "extraTypeInfo": "plaintextarea" if field.type == "textarea" else None,
        "filterable": filterable,
        "filteredLookupInfo": None,
        "formulaTreatNullNumberAsZero": False,
        "groupable": filterable and field.type not in {"datetime", *(NUMBER_TYPES - {"int"})},
        "highScaleNumber": False,
        "htmlFormatted": False,
        "idLookup": field.id_lookup or field.external_id,
        "inlineHelpText": None,
        "label": field.label,
        "length": field.length,
        "mask": None,
        "maskType": None,
        "name": field.name,
        "nameField": field.name_field,
        "namePointing": len(field.references) > 1,
        "nillable": field.nillable,
        "permissionable": not field.system,
        "picklistValues": [
            {"active": True, "defaultValue": v.default, "label": v.label, "validFor": None, "value": v.value}
            for v in field.picklist
        ],
        "polymorphicForeignKey": len(field.references) > 1,
        "precision": field.precision,
        "queryByDistance": False,
        "referenceTargetField": None,
        "referenceTo": list(field.references),
        "relationshipName": field.relationship,
        "relationshipOrder": 0 if field.cascade and field.custom else None,
        "restrictedDelete": field.restrict_delete,
        "restrictedPicklist": field.restricted,
        "scale": field.scale,
        "searchPrefilterable": reference,
        "soapType": _SOAP_TYPES.get(field.type, "xsd:string"),
        "sortable": filterable,
        "type": field.type,
        "unique": field.unique,
        "updateable": field.updateable and writable,
        "writeRequiresMasterRead": False,
    }


def _traits(item: ObjectType, access: Access) -> Json:
    """What the global and the full describe both say of an object."""
    return {
        "activateable": False,
        "associateEntityType": None,
        "associateParentEntity": None,
        "createable": item.createable and access.may("create", item),
        "custom": item.custom,
        "customSetting": False,
        "deepCloneable": False,
        "deletable": item.deletable and access.may("delete", item),
        "deprecatedAndHidden": False,
        "feedEnabled": False,
        "hasSubtypes": False,
        "isInterface": False,
        "isSubtype": False,
        "keyPrefix": item.prefix,
        "label": item.label,
        "labelPlural": item.plural,
        "layoutable": True,
        "mergeable": item.mergeable,
        "mruEnabled": True,
        "name": item.name,
        "queryable": True,
        "replicateable": True,
        "retrieveable": True,
        "searchable": True,
        "triggerable": True,
        "undeletable": item.deletable,
        "updateable": item.updateable and access.may("edit", item),
    }


def _urls(item: ObjectType, version: str, full: bool) -> dict[str, str]:
    base = f"/services/data/{version}/sobjects/{item.name}"
    urls = {
        "compactLayouts": f"{base}/describe/compactLayouts",
        "rowTemplate": f"{base}/{{ID}}",
        "approvalLayouts": f"{base}/describe/approvalLayouts",
        "listviews": f"{base}/listviews",
        "describe": f"{base}/describe",
        "quickActions": f"{base}/quickActions",
        "layouts": f"{base}/describe/layouts",
        "sobject": base,
    }
    if full:
        page = f"https://emulator.my.salesforce.com/{item.prefix}"
        urls |= {
            "uiDetailTemplate": "https://emulator.my.salesforce.com/{ID}",
            "uiEditTemplate": "https://emulator.my.salesforce.com/{ID}/e",
            "uiNewRecord": f"{page}/e",
        }
    return urls


def _child_relationships(schema: Schema, item: ObjectType, access: Access) -> list[Json]:
    return [
        {
            "cascadeDelete": field.cascade,
            "childSObject": child.name,
            "deprecatedAndHidden": False,
            "field": field.name,
            "junctionIdListNames": [],
            "junctionReferenceTo": [],
            "relationshipName": field.child_relationship,
            "restrictedDelete": field.restrict_delete,
        }
        for child, field in schema.children(item)
        if access.sees_object(child) and access.sees(child, field)
    ]


def describe_object(schema: Schema, item: ObjectType, access: Access, version: str) -> Json:
    """The full describe; fields the user may not see are not in it."""
    master = {
        "active": True,
        "available": True,
        "defaultRecordTypeMapping": True,
        "developerName": "Master",
        "master": True,
        "name": "Master",
        "recordTypeId": "012000000000000AAA",
        "urls": {
            "layout": f"/services/data/{version}/sobjects/{item.name}/describe/layouts/012000000000000AAA"
        },
    }
    return _traits(item, access) | {
        "actionOverrides": [],
        "childRelationships": _child_relationships(schema, item, access),
        "compactLayoutable": True,
        "defaultImplementation": None,
        "extendedBy": None,
        "extendsInterfaces": None,
        "fields": [
            describe_field(field, access.edits(item, field))
            for field in item.fields.values()
            if access.sees(item, field)
        ],
        "implementedBy": None,
        "implementsInterfaces": None,
        "listviewable": None,
        "lookupLayoutable": None,
        "namedLayoutInfos": [],
        "networkScopeFieldName": None,
        "recordTypeInfos": [master],
        "searchLayoutable": True,
        "sobjectDescribeOption": "FULL",
        "supportedScopes": [{"label": f"All {item.plural.lower()}", "name": "everything"}],
        "urls": _urls(item, version, full=True),
    }


def visible_object(api: Api, ask: Ask, name: str) -> ObjectType:
    """The object of a REST path; NOT_FOUND when there is none or the user may not see it."""
    item = api.org.schema.require(name)
    if not api.access(ask).sees_object(item):
        raise not_found()
    return item


def _dated(api: Api, ask: Ask, body: Json) -> Answer:
    """The body with the schema's date and tag; 304 for a client that has seen this schema."""
    changed = api.org.schema_changed.replace(microsecond=0)
    tag = hashlib.sha256(f"{changed.isoformat()}{'/'.join(ask.path)}".encode()).hexdigest()[:8]
    headers = {"ETag": f'"{tag}"', "Last-Modified": format_datetime(changed, usegmt=True)}
    since = ask.headers.get("if-modified-since")
    if since and parsedate_to_datetime(since) >= changed:
        return Answer(304, None, headers)
    return Answer(200, body, headers)


def global_describe(api: Api, ask: Ask) -> Answer:
    access = api.access(ask)
    seen = [item for item in api.org.schema.objects.values() if access.sees_object(item)]
    listed = [_traits(item, access) | {"urls": _urls(item, ask.version, full=False)} for item in seen]
    return _dated(api, ask, {"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": listed})


def object_describe(api: Api, ask: Ask) -> Answer:
    item = visible_object(api, ask, ask.path[1])
    return _dated(api, ask, describe_object(api.org.schema, item, api.access(ask), ask.version))


def object_basic(api: Api, ask: Ask) -> Answer:
    """GET /sobjects/X: the object in short."""
    item = visible_object(api, ask, ask.path[1])
    short = _traits(item, api.access(ask)) | {"urls": _urls(item, ask.version, full=True)}
    return Answer(200, {"objectDescribe": short, "recentItems": []})
