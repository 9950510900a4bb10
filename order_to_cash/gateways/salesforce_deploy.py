"""Deploying a metadata package over REST. (The library's own deploy is SOAP and spoils its headers after.)"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from order_to_cash.domain.errors import OutcomeUnknown

PATH = "metadata/deployRequest"  # Metadata API guide, "Deploy Metadata with Apex Testing Using REST"
_FIRST_POLL_SECONDS = 0.5
_SLOWEST_POLL_SECONDS = 5.0
_LONGEST_SECONDS = 1800.0


@dataclass(frozen=True)
class ComponentFailure:
    """One component that the org refused, such as CustomField Account.Stripe_Customer_Id__c."""

    component_type: str
    full_name: str
    problem: str


@dataclass(frozen=True)
class DeployResult:
    """How a deployment ended. `status` is Salesforce's: Succeeded, SucceededPartial, Failed, Canceled."""

    ok: bool
    deploy_id: str
    status: str
    checked_only: bool
    components: int
    failures: tuple[ComponentFailure, ...] = ()
    message: str = ""


def multipart(zip_bytes: bytes, *, check_only: bool) -> dict[str, tuple[str | None, bytes | str, str]]:
    """The two parts of a deploy request, in the shape that requests takes as `files`. All or nothing."""
    options = {
        "deployOptions": {
            "checkOnly": check_only,
            "rollbackOnError": True,
            "singlePackage": True,
            "ignoreWarnings": True,
            "testLevel": "NoTestRun",
        }
    }
    return {
        "json": (None, json.dumps(options), "application/json"),
        "file": ("deploy.zip", zip_bytes, "application/zip"),
    }


def follow(
    first: Mapping[str, Any], poll: Callable[[str], Mapping[str, Any]], sleep: Callable[[float], None]
) -> DeployResult:
    """Poll until the deployment is done. Raises OutcomeUnknown after half an hour; it goes on in the org."""
    deploy_id = str(first.get("id", ""))
    answer, waited, pause = first, 0.0, _FIRST_POLL_SECONDS
    while not (result := _result(answer)).get("done"):
        if waited >= _LONGEST_SECONDS:
            raise OutcomeUnknown(
                "The deployment is still running.",
                remedy="See Deployment Status in Salesforce's setup, then run it again.",
                ids={"deploy_id": deploy_id},
            )
        sleep(pause)
        waited, pause = waited + pause, min(pause * 1.5, _SLOWEST_POLL_SECONDS)
        answer = poll(deploy_id)
    return _summary(deploy_id, result)


def _result(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    result = answer.get("deployResult")
    return result if isinstance(result, Mapping) else {}


def _summary(deploy_id: str, result: Mapping[str, Any]) -> DeployResult:
    details = result.get("details")
    failures = details.get("componentFailures") if isinstance(details, Mapping) else None
    if isinstance(failures, Mapping):
        failures = [failures]
    return DeployResult(
        ok=result.get("success") is True,
        deploy_id=deploy_id,
        status=str(result.get("status", "")),
        checked_only=result.get("checkOnly") is True,
        components=int(result.get("numberComponentsDeployed") or 0),
        failures=tuple(
            ComponentFailure(
                str(failure.get("componentType") or ""),
                str(failure.get("fullName") or failure.get("fileName") or ""),
                str(failure.get("problem") or ""),
            )
            for failure in failures or ()
        ),
        message=str(result.get("errorMessage") or ""),
    )
