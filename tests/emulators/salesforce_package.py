"""A small metadata package to deploy into the emulated org."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

_HEAD = '<?xml version="1.0" encoding="UTF-8"?>'
_NS = 'xmlns="http://soap.sforce.com/2006/04/metadata"'

KEY_FIELD = (
    "<fullName>Key__c</fullName><label>Key</label><type>Text</type><length>20</length>"
    "<externalId>true</externalId><unique>true</unique><caseSensitive>true</caseSensitive>"
)
STATUS_FIELD = (
    "<fullName>Status__c</fullName><label>Status</label><type>Picklist</type><valueSet>"
    "<restricted>true</restricted><valueSetDefinition><sorted>false</sorted>"
    "<value><fullName>open</fullName><default>true</default><label>Open</label></value>"
    "<value><fullName>paid</fullName><default>false</default><label>Paid</label></value>"
    "</valueSetDefinition></valueSet>"
)
ACCOUNT_FIELD = (
    "<fullName>Account__c</fullName><label>Account</label><type>Lookup</type><referenceTo>Account</referenceTo>"
    "<relationshipName>Bills</relationshipName><deleteConstraint>SetNull</deleteConstraint>"
)
BILL = (
    "<label>Bill</label><pluralLabel>Bills</pluralLabel><nameField><label>Bill</label><type>AutoNumber</type>"
    "<displayFormat>B-{0000}</displayFormat></nameField><deploymentStatus>Deployed</deploymentStatus>"
    "<sharingModel>ReadWrite</sharingModel>"
)
TAG_FIELD = (
    "<fullName>Tag__c</fullName><label>Tag</label><type>Text</type><length>10</length>"
    "<externalId>true</externalId>"
)


def field_of(content: str) -> str:
    return f"<fields>{content}</fields>"


def object_xml(content: str) -> str:
    return f"{_HEAD}<CustomObject {_NS}>{content}</CustomObject>"


def permission_set(*fields: str, objects: Mapping[str, str] | None = None, label: str = "Sync") -> str:
    """Read and edit of the fields; `objects` maps an object to its `<allow…>` tags."""
    grants = "".join(
        f"<fieldPermissions><editable>true</editable><field>{name}</field><readable>true</readable></fieldPermissions>"
        for name in fields
    )
    access = "".join(
        f"<objectPermissions>{tags}<object>{name}</object></objectPermissions>"
        for name, tags in (objects or {}).items()
    )
    return f"{_HEAD}<PermissionSet {_NS}>{grants}<label>{label}</label>{access}</PermissionSet>"


ALL = "".join(f"<allow{word}>true</allow{word}>" for word in ("Create", "Delete", "Edit", "Read"))


def manifest(**types: list[str]) -> str:
    """package.xml naming the members of each type."""
    body = "".join(
        f"<types>{''.join(f'<members>{name}</members>' for name in members)}<name>{kind}</name></types>"
        for kind, members in types.items()
    )
    return f"{_HEAD}<Package {_NS}>{body}<version>66.0</version></Package>"


def zipped(files: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def bills_package() -> bytes:
    """Bill__c with a key, a status, an account and a note; a tag on Account; the permission set Sync."""
    note = "<fullName>Note__c</fullName><label>Note</label><type>Text</type><length>5</length>"
    fields = "".join(map(field_of, (KEY_FIELD, STATUS_FIELD, ACCOUNT_FIELD, note)))
    granted = ("Bill__c.Key__c", "Bill__c.Status__c", "Bill__c.Account__c", "Account.Tag__c")
    return zipped(
        {
            "package.xml": manifest(
                CustomObject=["Bill__c"], CustomField=["Account.Tag__c"], PermissionSet=["Sync"]
            ),
            "objects/Bill__c.object": object_xml(BILL + fields),
            "objects/Account.object": object_xml(field_of(TAG_FIELD)),
            "permissionsets/Sync.permissionset": permission_set(*granted, objects={"Bill__c": ALL}),
        }
    )
