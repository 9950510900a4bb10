"""Trials, and subscriptions that are paused and resumed."""

from __future__ import annotations

from emulators.stripe import invoice_states
from emulators.stripe.api import Api
from emulators.stripe.errors import StripeError, only_one_of
from emulators.stripe.model import Obj, Params
from emulators.stripe.params import Spec, choice, hash_of, integer, required, timestamp, unsettable
from emulators.stripe.periods import period_end
from emulators.stripe.subscription_fields import items_of

DAY = 86400
WARNED_SECONDS = (
    3 * DAY
)  # docs.stripe.com/api/events/types: trial_will_end comes three days before, or at once
TRIAL: dict[str, Spec] = {
    "trial_end": timestamp(),
    "trial_period_days": integer(1, 730),
    "trial_settings": hash_of(
        end_behavior=required(hash_of(missing_payment_method=choice("cancel", "create_invoice", "pause")))
    ),
}
PAUSE_COLLECTION = unsettable(
    hash_of(behavior=required(choice("keep_as_draft", "mark_uncollectible", "void")), resumes_at=timestamp())
)
UPDATED = "customer.subscription.updated"


def begin_trial(api: Api, subscription: Obj, params: Params) -> None:
    """Take the trial out of the parameters of a new subscription."""
    end, days = params.pop("trial_end", None), params.pop("trial_period_days", None)
    if end is not None and days is not None:
        raise only_one_of(["trial_end", "trial_period_days"], "trial_end")
    if days is not None:
        end = api.now + days * DAY
    if end is None:
        return
    if end <= api.now:
        raise StripeError("The trial must end in the future.", param="trial_end")
    subscription.update(
        status="trialing", trial_start=api.now, trial_end=end, billing_cycle_anchor=end, _trial=True
    )


def watch_trial(api: Api, subscription: Obj) -> None:
    """`trial_will_end`, three days before."""
    if subscription["trial_end"] is None:
        return

    def warn(later: Api) -> None:
        if subscription["status"] == "trialing":
            later.emit("customer.subscription.trial_will_end", subscription)

    api.later(max(0, subscription["trial_end"] - api.now - WARNED_SECONDS), warn)


def trial_goes_on_paid(api: Api, subscription: Obj) -> bool:
    """At the end of a trial: whether it is billed from now on; else it was paused or canceled."""
    subscription["_trial"] = False
    customer = api.find("customer", subscription["customer"], "customer")
    method = subscription["default_payment_method"] or customer["invoice_settings"]["default_payment_method"]
    missing = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
    billed = method or subscription["collection_method"] == "send_invoice" or missing == "create_invoice"
    if billed:
        api.change(subscription, UPDATED, "updated", status="active")
        return True
    if missing == "pause":
        _pause(api, subscription)
        return False
    gone: Params = {"status": "canceled", "canceled_at": api.now, "ended_at": api.now}
    api.change(subscription, "customer.subscription.deleted", "canceled", **gone)
    return False


def _pause(api: Api, subscription: Obj) -> None:
    api.change(subscription, UPDATED, "updated", status="paused")
    api.emit("customer.subscription.paused", subscription)


def pause(api: Api, subscription: Obj, params: Params) -> Obj:
    del params
    if subscription["status"] not in ("active", "past_due", "trialing"):
        raise StripeError(f"You cannot pause a subscription that is {subscription['status']}.")
    _pause(api, subscription)
    return subscription


def resume(api: Api, subscription: Obj, params: Params) -> Obj:
    """A new period begins now, and is billed."""
    from emulators.stripe.subscription_billing import bill_period, watch_period_end

    del params
    if subscription["status"] != "paused":
        raise StripeError("You can only resume a subscription that is paused.")
    subscription["billing_cycle_anchor"] = api.now
    for item in items_of(api.world, subscription):
        interval, count = item["_interval"]
        item["current_period_start"] = api.now
        item["current_period_end"] = period_end(api.now, interval, count, api.now)
    invoice = bill_period(api, subscription, "subscription_update")
    api.change(subscription, UPDATED, "updated", status="active", latest_invoice=invoice["id"])
    api.emit("customer.subscription.resumed", subscription)
    invoice_states.finalize_quietly(api, invoice)
    watch_period_end(api, subscription)
    return subscription
