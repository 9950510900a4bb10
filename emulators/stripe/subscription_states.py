"""How payments move subscriptions."""

from __future__ import annotations

from emulators.stripe.api import Api
from emulators.stripe.model import Obj


def subscription_of(api: Api, invoice: Obj) -> Obj | None:
    details = (invoice["parent"] or {}).get("subscription_details")
    return api.world.get("subscription", details["subscription"]) if details else None


def after_paid(api: Api, invoice: Obj) -> None:
    """A paid latest invoice makes an incomplete or past-due subscription active."""
    subscription = subscription_of(api, invoice)
    if subscription is None or subscription["latest_invoice"] != invoice["id"]:
        return
    if subscription["status"] in ("incomplete", "past_due"):
        api.change(subscription, "customer.subscription.updated", "updated", status="active")


def after_failure(api: Api, invoice: Obj) -> None:
    """A failed renewal makes an active subscription past due."""
    subscription = subscription_of(api, invoice)
    if subscription is not None and subscription["status"] == "active":
        api.change(subscription, "customer.subscription.updated", "updated", status="past_due")
