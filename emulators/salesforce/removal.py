"""Deleting and merging: what goes along, what is cut loose, what forbids it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from emulators.salesforce.derived import after_save
from emulators.salesforce.errors import OrgError
from emulators.salesforce.fields import Field, ObjectType
from emulators.salesforce.ids import long_id
from emulators.salesforce.org import Org
from emulators.salesforce.store import Row
from emulators.salesforce.writes import Writer


def delete(writer: Writer, item: ObjectType, record_id: str) -> None:
    """Bin a record and what hangs on it; raises NOT_FOUND, ENTITY_IS_DELETED, DELETE_FAILED."""
    row = writer.existing(item, record_id)
    if not writer.access.may("delete", item) or not (item.deletable or writer.raw):
        raise OrgError("INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id", [])
    with writer.org.store.undoable():
        if not writer.raw:
            writer.org.check_row_faults(item, row)
            _check_won_deals(writer.org, item, row)
        _delete(writer.org, item, row, {})


def bin_only(org: Org, record_id: str) -> None:
    """Mark one record deleted and leave everything that points at it as it is (control endpoint)."""
    found = org.row_by_id(long_id(record_id))
    if found is None:
        raise OrgError("NOT_FOUND", f"no record {record_id}", status=404)
    _mark(org, found[0], found[1], {})


def _check_won_deals(org: Org, item: ObjectType, row: Row) -> None:
    """An account with closed won opportunities cannot be deleted."""
    if item.name != "Account":
        return
    deals = org.store.rows("Opportunity").values()
    won = [d for d in deals if d.get("AccountId") == row["Id"] and d.get("IsWon") and not d.get("IsDeleted")]
    if won:
        names = ", ".join(str(deal["Name"]) for deal in won)
        message = (
            f"Your attempt to delete {row['Name']} could not be completed because it is associated with the "
            f"following closed won opportunities: {names}"
        )
        raise OrgError("DELETE_FAILED", message, [])


def _pointing_at(org: Org, item: ObjectType, record_id: str) -> Iterator[tuple[ObjectType, Field, Row]]:
    for child, field in org.schema.children(item):
        for row in _rows_with(org, child.name, field.name, record_id):
            yield child, field, row


def _rows_with(org: Org, name: str, field: str, record_id: str) -> list[Row]:
    indexed = org.store.indexed(name, field)
    rows = org.store.find(name, field, record_id) if indexed else org.store.rows(name).values()
    return [row for row in rows if row.get(field) == record_id and not row.get("IsDeleted")]


def _delete(org: Org, item: ObjectType, row: Row, changes: Row) -> None:
    for child, field, pointing in list(_pointing_at(org, item, row["Id"])):
        if field.cascade:
            if not (org.store.get(child.name, pointing["Id"]) or {}).get("IsDeleted"):
                _delete(org, child, pointing, {})
        elif field.restrict_delete:
            message = f"Your attempt to delete {row['Id']} could not be completed: {child.plural} need it"
            raise OrgError("DELETE_FAILED", message, [])
        elif field.child_relationship or field.custom:
            current = org.store.get(child.name, pointing["Id"]) or pointing
            org.store.put(child.name, current | {field.name: None}, "updated", (field.name,))
    _mark(org, item, row, changes)


def _mark(org: Org, item: ObjectType, row: Row, changes: Row) -> None:
    now = org.stamp()
    gone = row | {"IsDeleted": True, "LastModifiedDate": now, "SystemModstamp": now} | changes
    org.store.put(item.name, gone, "deleted", ("IsDeleted",))
    after_save(org, item, gone, row)


def merge(org: Org, master_id: str, loser_ids: Sequence[str]) -> None:
    """Merge accounts or contacts as a person does: the losers' records move to the master, the losers go to
    the recycle bin with `MasterRecordId` set. Raises OrgError for records that cannot be merged."""
    found = org.row_by_id(long_id(master_id))
    if found is None or not found[0].mergeable:
        raise OrgError("INVALID_CROSS_REFERENCE_KEY", "the master is not a record that can be merged", [])
    item, master = found
    with org.store.undoable():
        for loser_id in map(long_id, loser_ids):
            loser = org.store.get(item.name, loser_id)
            if loser is None or loser.get("IsDeleted") or loser_id == master["Id"]:
                raise OrgError("INVALID_CROSS_REFERENCE_KEY", f"{loser_id} cannot be merged", [])
            now = org.stamp()
            for child, field, row in list(_pointing_at(org, item, loser_id)):
                moved = row | {field.name: master["Id"], "SystemModstamp": now, "LastModifiedDate": now}
                org.store.put(child.name, moved, "updated", (field.name,))
            _mark(org, item, loser, {"MasterRecordId": master["Id"]})
        stamps = {"SystemModstamp": org.stamp(), "LastModifiedDate": org.stamp()}
        org.store.put(item.name, master | stamps, "updated", ())
