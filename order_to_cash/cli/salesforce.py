"""`o2c salesforce deploy`: our package into the org, all or nothing, and what to do about a refusal."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

import typer

from order_to_cash.cli.output import show_table
from order_to_cash.cli.package import SourcePackage
from order_to_cash.cli.wiring import open_ledger, require_emulators, salesforce_gateway
from order_to_cash.domain.errors import ConfigurationError
from order_to_cash.domain.queries import soql_literal
from order_to_cash.settings import Settings

if TYPE_CHECKING:
    from order_to_cash.gateways.salesforce_deploy import ComponentFailure, DeployResult
    from order_to_cash.gateways.salesforce_gateway import SalesforceGateway

INTEGRATION_SET = "O2C_Integration"

# What the org says (as a pattern) → what to do. The first that fits is told.
REMEDIES = (
    (
        r"INSUFFICIENT_ACCESS|insufficient access|not have access",
        "Deploy as a user with Modify Metadata Through Metadata API Functions and API Enabled.",
    ),
    (
        r"already exists|duplicate",
        "One of that name exists with another type: rename it, or name yours in O2C_FIELD_NAMES__….",
    ),
    (
        r"Cannot (change|update) (the )?(field )?type|DUPLICATE_VALUE|cannot be made unique",
        "The field exists and holds data that does not fit: clean it, or name another in O2C_FIELD_NAMES__….",
    ),
    (
        r"required layout field: CurrencyIsoCode",
        "The org has several currencies: set O2C_MULTI_CURRENCY=true, then deploy again.",
    ),
    (
        r"no CustomField named .*CurrencyIsoCode",
        "The org has one currency: set O2C_MULTI_CURRENCY=false, then deploy again.",
    ),
    (
        r"required field",
        "The org requires this field, so that no permission is needed for it: report it to us.",
    ),
    (
        r"maximum number|limit",
        "The object has no room for another field or external ID: delete unused ones.",
    ),
    (
        r"no CustomObject|Entity .* (unavailable|cannot be found)|sObject type",
        "The org's edition or a setting hides this object: switch it on in Setup, then deploy again.",
    ),
)
DEFAULT_REMEDY = "Correct it in Salesforce's Setup, then deploy again."


def deploy(settings: Settings, *, check_only: bool, assign_to: str) -> None:
    """Deploy or validate, print the outcome and the next step. Raises ConfigurationError when refused."""
    package = SourcePackage()
    require_emulators(settings)
    with open_ledger(settings) as ledger:
        gateway = salesforce_gateway(settings, ledger.audit, "o2c salesforce deploy")
        try:
            user_id = _active_user(gateway, assign_to) if assign_to else ""
            result = gateway.deploy(package.zip_bytes(multi_currency=settings.multi_currency), check_only)
            show_result(package, result)
            if assign_to and not check_only:
                assign(gateway, user_id)
        finally:
            gateway.close()
    _next_step(check_only, assign_to)


def show_result(package: SourcePackage, result: DeployResult) -> None:
    """A table of what the package holds, then of what was refused. Raises ConfigurationError when not ok."""
    failed = Counter(failure.component_type for failure in result.failures)
    counts = Counter(component.kind for component in package.components())
    verdict = "valid" if result.checked_only else "deployed"
    if not result.ok:
        verdict = "valid" if result.checked_only else "rolled back"
    rows = [
        (kind, str(count), f"{count - failed[kind]} {verdict}", str(failed[kind] or "-"))
        for kind, count in sorted(counts.items())
    ]
    show_table(("components", "in package", "outcome", "refused"), rows)
    if result.ok:
        return
    if result.failures:
        typer.echo()
        show_table(
            ("refused", "component", "because", "to do"),
            [(each.component_type, each.full_name, each.problem, remedy(each)) for each in result.failures],
        )
    raise ConfigurationError(
        f"The org refused the package ({result.status}). {result.message}".rstrip() + " Nothing was changed.",
        code="package_refused",
        remedy="Correct what the table names, then deploy again.",
        ids={"deploy_id": result.deploy_id},
    )


def remedy(failure: ComponentFailure) -> str:
    """What to do about a refused component, by what the org said."""
    for pattern, advice in REMEDIES:
        if re.search(pattern, failure.problem, re.IGNORECASE):
            return advice
    return DEFAULT_REMEDY


def _active_user(gateway: SalesforceGateway, username: str) -> str:
    """The id of the user. Asked before anything is deployed. Raises ConfigurationError."""
    users = _ids(gateway, "User", {"Username": username, "IsActive": True})
    if not users:
        raise ConfigurationError(
            "The org has no active user of that name. Nothing was deployed.",
            code="assignment",
            remedy="Give the full username, such as o2c@acme.example, or assign the set in Setup.",
        )
    return users[0]


def assign(gateway: SalesforceGateway, user_id: str) -> None:
    """Give the user our integration permission set, unless it has it. Raises ConfigurationError, Refused."""
    sets = _ids(gateway, "PermissionSet", {"Name": INTEGRATION_SET})
    if not sets:
        raise ConfigurationError(
            f"The org has no permission set {INTEGRATION_SET}.",
            code="assignment",
            remedy="Assign the set in Setup.",
        )
    ids = {"AssigneeId": user_id, "PermissionSetId": sets[0]}
    if _ids(gateway, "PermissionSetAssignment", ids):
        typer.echo(f"{INTEGRATION_SET} was assigned already.")
        return
    result = gateway.insert_rows("PermissionSetAssignment", [ids])[0]
    if result.error is not None:
        raise result.error
    typer.echo(f"{INTEGRATION_SET} is assigned.")


def _ids(gateway: SalesforceGateway, sobject: str, equal: Mapping[str, str | bool]) -> list[str]:
    conditions = " AND ".join(f"{name} = {soql_literal(value)}" for name, value in equal.items())
    # Object and field names are constants of this module; values come through soql_literal.
    rows = gateway.query(f"SELECT Id FROM {sobject} WHERE {conditions}")  # noqa: S608 - above
    return [str(row["Id"]) for row in rows]


def _next_step(check_only: bool, assign_to: str) -> None:
    typer.echo()
    if check_only:
        typer.echo("Nothing was changed. Next: o2c salesforce deploy")
    elif assign_to:
        typer.echo("Next: o2c catalog match, then o2c doctor")
    else:
        typer.echo(
            "Fields are invisible until a permission set is assigned. Next:\n"
            "  the API user:  o2c salesforce deploy --assign-integration-user USERNAME\n"
            "  people:        in Setup, assign O2C_Sales, O2C_Customer_Success, O2C_Finance, O2C_Collections,\n"
            "                 and the layouts Stripe Billing of Account and Opportunity (docs/operating.md)\n"
            "  then:          o2c catalog match, o2c doctor"
        )
