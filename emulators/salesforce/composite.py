"""Several requests in one: Composite (with references and all-or-none) and Batch."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qsl, unquote

from emulators.engine.wire import Answer
from emulators.salesforce.api import Api, Ask, body_list, body_object, split_version
from emulators.salesforce.errors import OrgError, not_found

Json = dict[str, Any]
MAX_SUBREQUESTS = 25
MAX_LARGE = 5  # REST API guide, "Composite": of queries and sObject Collections together
_REFERENCE = re.compile(r"@\{([^}]+)\}")


def composite(api: Api, ask: Ask) -> Answer:
    """POST /composite: subrequests in order, each result under its referenceId."""
    body = body_object(ask)
    wanted = body_list(ask, "compositeRequest")
    _require_limits(wanted)
    names = [str(sub.get("referenceId", "")) for sub in wanted]
    for name in names:
        if not re.fullmatch(r"[A-Za-z]\w*", name):
            raise OrgError("INVALID_INPUT", f"Invalid reference ID: '{name}'")
    if len(set(names)) != len(names):
        raise OrgError("INVALID_INPUT", "Duplicate reference IDs")
    mark = api.org.store.mark()
    all_or_none = body.get("allOrNone") is True
    results: list[Json] = []
    known: dict[str, Any] = {}
    failed = False
    for name, sub in zip(names, wanted, strict=True):
        if failed and all_or_none:
            results.append(_result(name, _halted(), {}))
            continue
        answer = _one(api, ask, sub, known)
        failed = failed or answer.status >= 400
        if answer.status < 400:
            known[name] = answer.body
        results.append(_result(name, answer, answer.headers))
    if failed and all_or_none:
        api.org.store.undo_to(*mark)
        results = [_undone(result) for result in results]
    return Answer(200, {"compositeResponse": results})


def _require_limits(wanted: list[Json]) -> None:
    if not wanted:
        raise OrgError("JSON_PARSER_ERROR", "compositeRequest is required")
    if len(wanted) > MAX_SUBREQUESTS:
        message = f"Too many subrequests in one composite request. The limit is {MAX_SUBREQUESTS}"
        raise OrgError("LIMIT_EXCEEDED", message)
    if sum(_is_large(sub) for sub in wanted) > MAX_LARGE:
        message = (
            f"Too many queries and sObject Collections in one composite request. The limit is {MAX_LARGE}"
        )
        raise OrgError("LIMIT_EXCEEDED", message)


def _is_large(sub: Json) -> bool:
    return re.search(r"/v\d+\.0/(query|queryAll|composite/sobjects)\b", str(sub.get("url", ""))) is not None


def _result(name: str, answer: Answer, headers: Json) -> Json:
    return {"body": answer.body, "httpHeaders": headers, "httpStatusCode": answer.status, "referenceId": name}


def _halted() -> Answer:
    message = "The transaction was rolled back since another operation in the same transaction failed."
    return Answer(400, [{"errorCode": "PROCESSING_HALTED", "message": message}])


def _undone(result: Json) -> Json:
    if result["httpStatusCode"] >= 400:
        return result
    return _result(result["referenceId"], _halted(), {})


def _one(api: Api, ask: Ask, sub: Json, known: dict[str, Any]) -> Answer:
    try:
        filled = _fill({"url": str(sub.get("url", "")), "body": sub.get("body")}, known)
        inner = subrequest(
            ask, str(sub.get("method", "GET")), filled["url"], filled["body"], sub.get("httpHeaders")
        )
    except OrgError as error:
        return Answer(error.status, error.as_request_error())
    answer = api.answer(inner)
    if answer.status == 201 and isinstance(answer.body, dict) and "id" in answer.body:
        answer.headers["Location"] = "/".join(
            ("/services/data", inner.version, *inner.path, answer.body["id"])
        )
    return answer


def subrequest(ask: Ask, method: str, url: str, body: Any, headers: Any = None) -> Ask:
    """A request in the body of another, with the same user; raises NOT_FOUND for a path outside the API."""
    path, _, query = url.partition("?")
    if not path.startswith("/services/data/"):
        path = f"/services/data/{path.lstrip('/')}"
    version, rest = split_version(unquote(path))
    if rest[:1] == ("composite",) and len(rest) == 1:
        raise not_found()
    lowered = {str(name).lower(): str(value) for name, value in (headers or {}).items()}
    return Ask(method.upper(), rest, version, ask.user_id, dict(parse_qsl(query)), body, lowered)


def _fill(value: Any, known: dict[str, Any]) -> Any:
    """Put earlier results where `@{name.path}` stands."""
    if isinstance(value, dict):
        return {key: _fill(below, known) for key, below in value.items()}
    if isinstance(value, list):
        return [_fill(below, known) for below in value]
    if isinstance(value, str):
        return _REFERENCE.sub(lambda match: _lookup(match[1], known), value)
    return value


def _lookup(path: str, known: dict[str, Any]) -> str:
    name, _, rest = path.partition(".")
    bracket = re.match(r"(\w+)(\[.*)", name)
    if bracket:
        name, rest = bracket[1], bracket[2] + ("." + rest if rest else "")
    current: Any = known.get(name)
    for step in re.findall(r"\w+", rest):
        try:
            current = current[int(step)] if isinstance(current, list) else current[step]
        except (KeyError, IndexError, TypeError, ValueError):
            current = None
    if current is None or isinstance(current, dict | list):
        message = f"Invalid reference specified. No value for {path} found in {name}"
        raise OrgError("PROCESSING_HALTED", message)
    return current if isinstance(current, str) else json.dumps(current)


def batch(api: Api, ask: Ask) -> Answer:
    """Batch: independent subrequests; `{"hasErrors", "results": [{"statusCode", "result"}]}`."""
    body = body_object(ask)
    wanted = body_list(ask, "batchRequests")
    if not wanted or len(wanted) > MAX_SUBREQUESTS:
        raise OrgError("LIMIT_EXCEEDED", f"A batch has between 1 and {MAX_SUBREQUESTS} subrequests")
    results = []
    for sub in wanted:
        inner = subrequest(ask, str(sub.get("method", "GET")), str(sub.get("url", "")), sub.get("richInput"))
        answer = api.answer(inner)
        results.append({"statusCode": answer.status, "result": answer.body})
        if answer.status >= 400 and body.get("haltOnError") is True:
            break
    has_errors = any(result["statusCode"] >= 400 for result in results)
    return Answer(200, {"hasErrors": has_errors, "results": results})
