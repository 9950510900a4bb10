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
    if subscription["status"] in ("incomplete", "past_due", "unpaid"):
        api.change(subscription, "customer.subscription.updated", "updated", status="active")


def after_failure(api: Api, invoice: Obj, *, last: bool) -> None:
    """A failed renewal makes an active subscription past due; after the last retry, what the settings say."""
    subscription = subscription_of(api, invoice)
    if subscription is None:
        return
    if subscription["status"] == "active":
        api.change(subscription, "customer.subscription.updated", "updated", status="past_due")
    status = api.settings.after_last_retry
    if not last or subscription["status"] != "past_due" or status == "past_due":
        return
    if status == "unpaid":
        api.change(subscription, "customer.subscription.updated", "updated", status="unpaid")
        return
    details = {**subscription["cancellation_details"], "reason": "payment_failed"}
    api.change(
        subscription,
        "customer.subscription.deleted",
        "canceled",
        status="canceled",
        canceled_at=api.now,
        ended_at=api.now,
        cancellation_details=details,
    )
