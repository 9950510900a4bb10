"""Salesforce, as the recipes use it: plain rows in and out, numbers as Decimal, errors of ours.

Synchronous and safe to share between threads; async callers use `asyncio.to_thread`.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import SecretStr

from order_to_cash.domain.audit import AuditSink
from order_to_cash.domain.clock import Clock
from order_to_cash.domain.errors import ConfigurationError
from order_to_cash.domain.linger import Lane
from order_to_cash.domain.records import Environment
from order_to_cash.gateways import salesforce_deploy
from order_to_cash.gateways.calls import CallRecorder
from order_to_cash.gateways.clock import SystemClock
from order_to_cash.gateways.credentials import as_secret
from order_to_cash.gateways.pacing import Pacer
from order_to_cash.gateways.retry import RetryPolicy
from order_to_cash.gateways.salesforce_budget import DEFAULT_SHARES, ApiUsage, DailyBudget
from order_to_cash.gateways.salesforce_connection import SalesforceConnection
from order_to_cash.gateways.salesforce_deploy import DeployResult
from order_to_cash.gateways.salesforce_login import ClientCredentials, JwtBearer, Login
from order_to_cash.gateways.salesforce_rows import RowResult, RowWriter, records_body
from order_to_cash.gateways.salesforce_together import (
    TOGETHER,
    Part,
    by_id,
    pages,
    results,
    together_body,
    writes_body,
)
from order_to_cash.gateways.salesforce_wire import unmetered
from order_to_cash.gateways.vendor_logs import shut_vendor_logs

if TYPE_CHECKING:
    from simple_salesforce.api import Salesforce

T = TypeVar("T")

# Spring '26 (February 2026): in every org, supported for at least three years after its release (Salesforce
# API end-of-life policy). The library's own default, 59.0, is of 2023.
API_VERSION = "66.0"
# Calls of one batch leave together; how many are in flight is the wire's limit.
_BURST = 25.0


def login_with(  # a union of both ways, as settings give them
    client_id: str,
    *,
    client_secret: str | SecretStr = "",
    username: str = "",
    private_key: str | SecretStr = "",
    clock: Clock | None = None,
) -> Login:
    """JWT bearer when there is a private key, else client credentials. Raises ConfigurationError."""
    key, secret = as_secret(private_key), as_secret(client_secret)
    if key.get_secret_value():
        if not username:
            raise ConfigurationError("The JWT login needs the integration user's name.", code="username")
        return JwtBearer(client_id, username, key, clock or SystemClock())
    if not (client_id and secret.get_secret_value()):
        raise ConfigurationError(
            "Salesforce needs a client id with a client secret or a private key.", code="login"
        )
    return ClientCredentials(client_id, secret)


class SalesforceGateway:
    """One org in one environment.

    `login_url` is the org's My Domain (``https://acme.my.salesforce.com``) or the emulator's address. Methods
    raise errors of the domain's tree; those that write rows put each row's error into its RowResult.
    """

    def __init__(  # noqa: PLR0913 - the org's settings, all by keyword
        self,
        *,
        environment: Environment,
        login: Login,
        login_url: str,
        audit: AuditSink,
        api_version: str = API_VERSION,
        requests_per_second: float = 50.0,
        timeout_seconds: float = 60.0,
        retry: RetryPolicy | None = None,
        shares: Mapping[Lane, float] = DEFAULT_SHARES,
        lane: Lane = Lane.LIVE,
        actor: str = "",
        rng: random.Random | None = None,
    ) -> None:
        shut_vendor_logs()
        rng = rng or random.Random()  # noqa: S311 - jitter, not a secret
        retry = retry or RetryPolicy()
        self._lane = lane
        self._budget = DailyBudget(shares)
        self._connection = SalesforceConnection(
            environment=environment,
            login=login,
            login_url=login_url,
            recorder=CallRecorder(audit, "salesforce", actor),
            api_version=api_version,
            pacer=Pacer(requests_per_second, burst=max(1.0, min(requests_per_second, _BURST))),
            budget=self._budget,
            retry=retry,
            timeout_seconds=timeout_seconds,
            rng=rng,
        )
        self._rows = RowWriter(retry, rng, self._connection.wait)
        self._org_id = ""

    def close(self) -> None:
        """Wake and fail calls that wait, close connections."""
        self._connection.close()

    def on_lane(self, lane: Lane) -> SalesforceGateway:
        """The same org and connections, with calls counted as `lane`'s."""
        other = copy.copy(self)
        other._lane = lane
        return other

    # Reading

    def query(self, soql: str, *, deleted: bool = False) -> list[dict[str, Any]]:
        """All rows of ready SOQL: attributes removed, numbers int or Decimal.

        A child query is a list of rows, or None where there are none (as Salesforce has it). `deleted`: with records
        that were deleted or merged.
        """
        page = self._call("query", lambda sf: sf.query(soql, include_deleted=deleted))
        return self._plain_rows(page)

    def query_together(self, queries: Sequence[str]) -> list[list[dict[str, Any]]]:
        """`query` for up to five texts in one call, which counts as one; their rows in their order."""
        if len(queries) == 1:
            return [self.query(queries[0])]
        body = together_body(self._connection.api_version, queries)
        said = self._call("query", lambda sf: sf.restful(TOGETHER, method="POST", data=body))
        return [self._plain_rows(page) for page in pages(said, len(queries))]

    def get(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        """GET below `/services/data/vNN.0/`, such as ``sobjects/Account/001…``."""
        return _plain(self._call(f"GET {path}", lambda sf: sf.restful(path, params=dict(params or {}))))

    def describe(self, sobject: str) -> dict[str, Any]:
        """Fields and rights of one object as this user sees them."""
        return dict(self.get(f"sobjects/{sobject}/describe"))

    def limits(self) -> dict[str, Any]:
        """The org's limits, such as ``{"DailyApiRequests": {"Max": …, "Remaining": …}}``; never held back."""
        with unmetered():
            answer: dict[str, Any] = self._call("limits", lambda sf: sf.limits())
        return answer

    def org_id(self) -> str:
        """The org's 18-character id."""
        if not self._org_id:
            self._org_id = str(self.query("SELECT Id FROM Organization LIMIT 1")[0]["Id"])
        return self._org_id

    @property
    def api_usage(self) -> ApiUsage | None:
        """Calls of the whole org in 24 hours as the last answer said; None before the first."""
        return self._budget.usage

    # Writing

    def update_rows(self, sobject: str, rows: Sequence[Mapping[str, Any]]) -> list[RowResult]:
        """Update records by `Id`, one result a row in order. Repeating it changes nothing."""
        if not all(row.get("Id") for row in rows):
            raise ValueError("every row to update needs its Id")
        return self._write(sobject, [by_id(row) for row in rows], "PATCH", "composite/sobjects")

    def upsert_rows(
        self, sobject: str, external_id: str, rows: Sequence[Mapping[str, Any]]
    ) -> list[RowResult]:
        """Insert or update by an External ID field, which must be unique. Repeating it changes nothing."""
        if not all(row.get(external_id) for row in rows):
            raise ValueError(f"every row to upsert needs its {external_id}")
        return self._write(sobject, rows, "PATCH", f"composite/sobjects/{sobject}/{external_id}")

    def upsert_together(self, parts: Sequence[Part]) -> list[list[RowResult]]:
        """Upsert (by `Id`: update) up to five parts in order, in one call, which counts as one: one result a row each.

        Tried again as a whole only: a row that is locked says so in its result. Raises the errors of a call that is
        refused as a whole or lost; repeating it changes nothing.
        """
        if not all(row.get(part.external_id) for part in parts for row in part.rows):
            raise ValueError("every row to upsert needs its External ID")
        body = writes_body(self._connection.api_version, parts)
        where = f"write {', '.join(part.sobject for part in parts)}"
        return results(self._call(where, lambda sf: sf.restful(TOGETHER, method="POST", data=body)), parts)

    def insert_rows(self, sobject: str, rows: Sequence[Mapping[str, Any]]) -> list[RowResult]:
        """Insert records. Rows of a lost call carry OutcomeUnknown: query for them before repeating."""
        return self._write(sobject, rows, "POST", "composite/sobjects")

    def deploy(
        self, zip_bytes: bytes, check_only: bool, *, sleep: Callable[[float], None] | None = None
    ) -> DeployResult:
        """Deploy a package zip, all or nothing, and wait for the end; `check_only` changes nothing."""
        files = salesforce_deploy.multipart(zip_bytes, check_only=check_only)
        path = salesforce_deploy.PATH
        # Without its own Content-Type requests writes the multipart boundary.
        first = self._call(
            "deploy",
            lambda sf: sf.restful(path, method="POST", headers={"Content-Type": None}, files=files),
        )
        return salesforce_deploy.follow(
            first or {},
            lambda deploy_id: self.get(f"{path}/{deploy_id}", {"includeDetails": "true"}) or {},
            sleep or self._connection.wait,
        )

    # Plumbing

    def _call(self, where: str, do: Callable[[Salesforce], T]) -> T:
        return self._connection.call(where, self._lane, do)

    def _write(
        self, sobject: str, rows: Sequence[Mapping[str, Any]], method: str, path: str
    ) -> list[RowResult]:
        verb = {"PATCH": "write", "POST": "insert"}[method]

        def send(chunk: Sequence[Mapping[str, Any]]) -> Any:
            body = records_body(sobject, chunk)
            return self._call(
                f"{verb} {sobject}", lambda sf: sf.restful(path, method=method, data=body) or []
            )

        return self._rows.write(f"{verb} {sobject}", rows, send)

    def _plain_rows(self, page: Mapping[str, Any]) -> list[dict[str, Any]]:
        rows = [self._plain_row(row) for row in page["records"]]
        while next_url := page.get("nextRecordsUrl"):
            page = self._more(next_url)
            rows += [self._plain_row(row) for row in page["records"]]
        return rows

    def _more(self, next_url: str) -> Mapping[str, Any]:
        page: Mapping[str, Any] = self._call(
            "query", lambda sf: sf.query_more(next_url, identifier_is_url=True)
        )
        return page

    def _plain_row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        plain: dict[str, Any] = {}
        for name, value in row.items():
            if name == "attributes":
                continue
            if isinstance(value, Mapping):
                plain[name] = self._plain_rows(value) if "records" in value else self._plain_row(value)
            else:
                plain[name] = value
        return plain


def _plain(value: Any) -> Any:
    """`value` without Salesforce's `attributes`, at any depth."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items() if name != "attributes"}
    return [_plain(item) for item in value] if isinstance(value, list) else value
