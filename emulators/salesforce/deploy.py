"""POST and GET /metadata/deployRequest: a package is checked as a whole and applied as a whole."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

from emulators.engine.wire import Answer
from emulators.salesforce.api import Api, Ask
from emulators.salesforce.custom_objects import apply_around, apply_objects
from emulators.salesforce.errors import OrgError, not_found
from emulators.salesforce.ids import long_id, make_id
from emulators.salesforce.org import Org
from emulators.salesforce.package import Outcome, read_package
from emulators.salesforce.permission_sets import apply_permission_sets
from emulators.salesforce.schema import Schema

Json = dict[str, Any]
_OPTIONS: Json = {
    "allowMissingFiles": False,
    "autoUpdatePackage": False,
    "checkOnly": False,
    "ignoreWarnings": False,
    "performRetrieve": False,
    "purgeOnDelete": False,
    "rollbackOnError": True,
    "runTests": None,
    "singlePackage": True,
    "testLevel": "NoTestRun",
}


@dataclass
class Deployment:
    id: str
    options: Json
    outcomes: list[Outcome]
    started: str
    polls_left: int
    user_id: str

    @property
    def failures(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.problem]


def deploy(org: Org, data: bytes, check_only: bool = False) -> list[Outcome]:
    """Apply a metadata zip. On any problem, or with `check_only`, the org stays as it was."""
    package = read_package(data)
    trial = Schema.__new__(Schema)
    trial.multi_currency = org.schema.multi_currency
    trial.namespaces = tuple(org.settings.namespaces)
    trial.objects = {key: copy.copy(item) for key, item in org.schema.objects.items()}
    for item in trial.objects.values():
        item.fields = dict(item.fields)
    mark = org.store.mark()
    pages = org.pages.copy()
    outcomes = package.outcomes + apply_objects(trial, pages, package) + apply_around(trial, pages, package)
    outcomes += apply_permission_sets(org, trial, pages, package)
    if check_only or any(outcome.problem for outcome in outcomes):
        org.store.undo_to(*mark)
        return outcomes
    org.schema.objects = trial.objects
    org.pages = pages
    org.schema_changed = org.clock.now()
    _fill_new_fields(org)
    org.index_fields()
    return outcomes


def _fill_new_fields(org: Org) -> None:
    """Existing rows get a new field empty (a checkbox: false), not with its default, as in a real org."""
    for item in org.schema.objects.values():
        for row in org.store.rows(item.name).values():
            for field in item.fields.values():
                if field.custom and field.name not in row:
                    row[field.name] = False if field.type == "boolean" else None


def _parts(ask: Ask) -> tuple[Json, bytes]:
    """Options and zip of the multipart body; raises OrgError when one is missing."""
    content_type = ask.headers.get("content-type", "")
    head = f"Content-Type: {content_type}\r\nMIME-Version: 1.0\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + ask.raw)
    if not message.is_multipart():
        raise OrgError("INVALID_MULTIPART_REQUEST", "A multipart/form-data body is needed")
    options: Json | None = None
    data: bytes | None = None
    for part in message.iter_parts():
        content = part.get_payload(decode=True)
        if not isinstance(content, bytes):
            continue
        if part.get_content_type() == "application/json":
            options = json.loads(content).get("deployOptions", {})
        elif part.get_param("name", header="content-disposition") == "file":
            data = content
    if options is None or data is None:
        raise OrgError(
            "INVALID_MULTIPART_REQUEST", "The parts with deployOptions (JSON) and file (zip) are needed"
        )
    return options, data


def post_deploy(api: Api, ask: Ask) -> Answer:
    """201 with the deployment's id; its result is asked for with GET."""
    given, data = _parts(ask)
    unknown = sorted(given.keys() - _OPTIONS.keys())
    if unknown:
        raise OrgError("JSON_PARSER_ERROR", f'Unrecognized field "{unknown[0]}"')
    options = _OPTIONS | given
    outcomes = deploy(api.org, data, bool(options["checkOnly"]))
    made = Deployment(
        make_id("0Af", api.org.store.next_number("deployment")),
        options,
        outcomes,
        api.org.stamp(),
        api.org.settings.deploy_polls,
        ask.user_id,
    )
    api.deployments[made.id] = made
    url = f"/services/data/{ask.version}/metadata/deployRequest/{made.id}"
    body = {
        "id": made.id,
        "validatedDeployRequestId": None,
        "url": url,
        "deployResult": None,
        "deployOptions": options,
    }
    return Answer(201, body)


def get_deploy(api: Api, ask: Ask) -> Answer:
    """The status; with `includeDetails=true` each component's success or problem."""
    try:
        made = api.deployments.get(long_id(ask.path[2]))
    except OrgError:
        made = None
    if made is None:
        raise not_found()
    url = f"/services/data/{ask.version}/metadata/deployRequest/{made.id}"
    result = _result(api, made, ask.params.get("includeDetails") == "true")
    made.polls_left = max(made.polls_left - 1, 0)
    return Answer(200, {"id": made.id, "url": url, "deployResult": result, "deployOptions": made.options})


def _result(api: Api, made: Deployment, details: bool) -> Json:
    done = made.polls_left == 0
    failed = bool(made.failures)
    status = ("Failed" if failed else "Succeeded") if done else "InProgress"
    errors, total = len(made.failures), len(made.outcomes)
    result: Json = {
        "checkOnly": made.options["checkOnly"],
        "completedDate": made.started if done else None,
        "createdBy": made.user_id[:15],
        "createdByName": (api.org.store.get("User", made.user_id) or {}).get("Name"),
        "createdDate": made.started,
        "details": _details(made) if details and done else None,
        "done": done,
        "errorMessage": None,
        "errorStatusCode": None,
        "id": made.id,
        "ignoreWarnings": made.options["ignoreWarnings"],
        "lastModifiedDate": made.started,
        "numberComponentErrors": errors if done else 0,
        "numberComponentsDeployed": total - errors if done else 0,
        "numberComponentsTotal": total,
        "numberTestErrors": 0,
        "numberTestsCompleted": 0,
        "numberTestsTotal": 0,
        "rollbackOnError": made.options["rollbackOnError"],
        "runTestsEnabled": False,
        "startDate": made.started,
        "stateDetail": None,
        "status": status,
        "success": done and not failed,
    }
    return result


def _details(made: Deployment) -> Json:
    messages = [_message(outcome, made.started) for outcome in made.outcomes]
    tests = {"numTestsRun": 0, "numFailures": 0, "totalTime": 0.0, "failures": [], "successes": []}
    return {
        "componentFailures": [m for m in messages if not m["success"]],
        "componentSuccesses": [m for m in messages if m["success"]],
        "retrieveResult": None,
        "runTestResult": tests,
    }


def _message(outcome: Outcome, at: str) -> Json:
    return {
        "changed": outcome.changed and outcome.problem is None,
        "columnNumber": None,
        "componentType": outcome.type,
        "created": outcome.created and outcome.problem is None,
        "createdDate": at,
        "deleted": False,
        "fileName": outcome.file,
        "fullName": outcome.name,
        "id": None,
        "lineNumber": None,
        "problem": outcome.problem,
        "problemType": "Error" if outcome.problem else None,
        "success": outcome.problem is None,
        "warning": False,
    }
