"""Refusals of the org: one exception that renders both error shapes of the REST API."""

from collections.abc import Sequence
from typing import Any


class OrgError(Exception):
    """A refusal with Salesforce's error code, its wording and the HTTP status that goes with it."""

    def __init__(
        self, code: str, message: str, fields: Sequence[str] | None = None, status: int = 400
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.fields = None if fields is None else list(fields)
        self.status = status

    def as_request_error(self) -> list[dict[str, Any]]:
        """Body of a refused request: `[{"message", "errorCode", "fields"?}]`."""
        body: dict[str, Any] = {"message": self.message, "errorCode": self.code}
        if self.fields is not None:
            body["fields"] = self.fields
        return [body]

    def as_row_error(self) -> dict[str, Any]:
        """One error of a row in an sObject Collections answer: `{"statusCode", "message", "fields"}`."""
        return {"statusCode": self.code, "message": self.message, "fields": self.fields or []}


def not_found(message: str = "The requested resource does not exist") -> OrgError:
    return OrgError("NOT_FOUND", message, status=404)


def entity_is_deleted() -> OrgError:
    return OrgError("ENTITY_IS_DELETED", "entity is deleted", [], status=404)


def not_writable(names: Sequence[str]) -> OrgError:
    return OrgError(
        "INVALID_FIELD_FOR_INSERT_UPDATE",
        f"Unable to create/update fields: {', '.join(names)}. Please check the security settings of this "
        "field and verify that it is read/write for your profile or permission set.",
        names,
    )


def unknown_column(name: str, entity: str) -> OrgError:
    """The wording for a field that a write names and the object lacks, or that the user may not see."""
    return OrgError("INVALID_FIELD", f"No such column '{name}' on sobject of type {entity}")
