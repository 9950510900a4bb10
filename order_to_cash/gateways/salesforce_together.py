"""Several queries, or several lists of rows, in one call: a Composite request counts as one, whatever is in it.

REST API guide, "Composite": up to 25 subrequests, of which five may be queries or sObject Collections; all of them
count as one call. Not checked against a real org's counter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus

from order_to_cash.domain.errors import Unavailable
from order_to_cash.gateways.salesforce_errors import translate_answer
from order_to_cash.gateways.salesforce_rows import CHUNK, Row, RowResult, collection, row_results, wire_json

TOGETHER = "composite"
QUERIES_A_CALL = 5
PARTS_A_CALL = 5


@dataclass(frozen=True, slots=True)
class Part:
    """At most 200 rows of one object, to be upserted by one External ID, or updated where that is `Id`."""

    sobject: str
    external_id: str
    rows: Sequence[Row]


def together_body(api_version: str, queries: Sequence[str]) -> bytes:
    """The body for up to five SOQL texts. Raises ValueError for more."""
    if len(queries) > QUERIES_A_CALL:
        raise ValueError(f"{len(queries)} queries are more than {QUERIES_A_CALL}")
    asked = [
        {
            "method": "GET",
            "url": f"/services/data/v{api_version}/query?q={quote_plus(soql)}",
            "referenceId": f"q{number}",
        }
        for number, soql in enumerate(queries)
    ]
    return wire_json({"allOrNone": False, "compositeRequest": asked})


def pages(said: Any, count: int) -> list[Mapping[str, Any]]:
    """The first page of each query. Raises what the first refused one was refused for."""
    answers = said.get("compositeResponse") if isinstance(said, Mapping) else None
    if not isinstance(answers, list) or len(answers) != count:
        raise Unavailable(f"Salesforce did not answer each of {count} queries.")
    for answer in answers:
        if answer["httpStatusCode"] >= 400:
            raise translate_answer(answer["httpStatusCode"], answer["body"], "query")
    return [answer["body"] for answer in answers]


def writes_body(api_version: str, parts: Sequence[Part]) -> bytes:
    """The body that upserts up to five parts one after another; a good row is kept when its neighbour fails.

    Not collated: a part may refer to rows of an earlier one by External ID, which Salesforce would not see as a
    dependency and could then write in another order (`collateSubrequests`, true by default since version 49).
    Raises ValueError for more parts or rows than one call takes.
    """
    if len(parts) > PARTS_A_CALL or any(len(part.rows) > CHUNK for part in parts):
        raise ValueError(f"{[len(part.rows) for part in parts]} rows are more than one call takes")
    written = [
        {
            "method": "PATCH",
            "url": f"/services/data/v{api_version}/composite/sobjects{_below(part)}",
            "referenceId": f"w{number}",
            "body": collection(
                part.sobject, [by_id(row) if part.external_id == "Id" else row for row in part.rows]
            ),
        }
        for number, part in enumerate(parts)
    ]
    return wire_json({"allOrNone": False, "collateSubrequests": False, "compositeRequest": written})


def _below(part: Part) -> str:
    return "" if part.external_id == "Id" else f"/{part.sobject}/{part.external_id}"


def by_id(row: Row) -> Row:
    """As an update takes it: `id` instead of `Id`."""
    return {"id": row["Id"], **{name: value for name, value in row.items() if name != "Id"}}


def results(said: Any, parts: Sequence[Part]) -> list[list[RowResult]]:
    """One result a row for each part. A part that was refused as a whole answers for all its rows."""
    answers = said.get("compositeResponse") if isinstance(said, Mapping) else None
    if not isinstance(answers, list) or len(answers) != len(parts):
        answers = [{"httpStatusCode": 200, "body": None}] * len(parts)  # unknown, row by row
    return [_of_part(part, answer) for part, answer in zip(parts, answers, strict=True)]


def _of_part(part: Part, answer: Mapping[str, Any]) -> list[RowResult]:
    label, status, body = f"write {part.sobject}", int(answer.get("httpStatusCode") or 0), answer.get("body")
    if status < 400:
        return list(row_results(label, list(enumerate(part.rows)), body))
    refused = translate_answer(status, body, label)
    return [RowResult(index, "", ok=False, error=refused) for index, _ in enumerate(part.rows)]
