"""Where people are sent from a message about a ladder: the form that puts it on hold, filled in for its invoice."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote, urlencode

from order_to_cash.domain.dunning.holding import HoldAction
from tasks.company import Company

DEPLOYMENT = "hold-ladder/hold-ladder"
_ASK_AGAIN = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class HoldForm:
    """The deployment's form in the Prefect UI. `page` "": there is no UI, or the deployment is not registered."""

    page: str
    company: str

    def url(self, invoice_id: str, action: HoldAction = HoldAction.HOLD) -> str:
        """The form with this invoice in it; "" where there is none. Opening it changes nothing.

        Both of Prefect 3.8's UIs read the query's `parameters` as JSON (classic: FlowRunCreate.vue; the newer one:
        the search of its route `/deployments/deployment/$id/run`).
        """
        if not self.page:
            return ""
        filled = {
            "invoice": invoice_id,
            "action": action.value,
            "until": "",
            "reason": "",
            "by": "",
            "company": self.company,
        }
        query = urlencode({"parameters": json.dumps(filled, separators=(",", ":"))}, quote_via=quote)
        return f"{self.page}?{query}"


_known: dict[str, tuple[datetime, str]] = {}


async def hold_form(company: Company) -> HoldForm:
    """The form for this company's ladders. Asks Prefect at most every five minutes; that it does not answer is no
    error: the message then has no link.
    """
    from prefect.settings import get_current_settings

    settings = get_current_settings()
    api_url, ui_url = settings.api.url or "", (settings.ui_url or "").rstrip("/")
    if not ui_url:
        return HoldForm("", company.name)
    now = company.clock.now()
    asked_at, deployment_id = _known.get(api_url, (None, ""))
    if asked_at is None or not asked_at <= now < asked_at + _ASK_AGAIN:
        deployment_id = await _deployment_id()
        _known[api_url] = now, deployment_id
    page = f"{ui_url}/deployments/deployment/{deployment_id}/run" if deployment_id else ""
    return HoldForm(page, company.name)


async def _deployment_id() -> str:
    from httpx import HTTPError
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    try:
        async with get_client() as client:
            return str((await client.read_deployment_by_name(DEPLOYMENT)).id)
    except (ObjectNotFound, HTTPError):
        return ""
