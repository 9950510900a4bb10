"""A subscription as a Stripe_Subscription__c record (R22, R23)."""

from __future__ import annotations

from order_to_cash.domain.identity import METADATA_OPPORTUNITY
from order_to_cash.domain.sync import fields
from order_to_cash.domain.sync.bodies import items, mapping, metadata, ref, text, walk, whole
from order_to_cash.domain.sync.mrr import mrr_of
from order_to_cash.domain.sync.record import Draft, draft_for, mapped
from order_to_cash.domain.sync.shapes import Body, Context, Mapped, State
from order_to_cash.domain.sync.signals import period_end


def subscription_rows(state: State, account_id: str, context: Context) -> Mapped:
    """One record. Several items: quantities add up, plan names stand side by side, the first one's price is shown."""
    body = state.body
    if (
        state.deleted
    ):  # not in Stripe any more, and nothing known of it: what Salesforce shows is its last state
        return Mapped()
    draft = draft_for(fields.SUBSCRIPTION, state)
    draft.common(context, account_id, state.customer_id, body.get("created"))
    if draft.problems:
        return Mapped(problems=tuple(draft.problems))
    draft.text("Stripe_Subscription_Id__c", state.key.id)
    draft.pick("Status__c", body.get("status"))
    draft.pick("Collection_Method__c", body.get("collection_method"))
    _plan(draft, body, context)
    worth = mrr_of(body)
    draft.money("MRR__c", worth.amount.amount_minor)
    draft.words("MRR_Note__c", worth.note)
    _dates(draft, body)
    deal = next(metadata(body, METADATA_OPPORTUNITY), "")
    if deal in context.invoice_of_opportunity:
        draft.fields["Opportunity__c"] = deal
    return mapped([(draft, draft.row("Stripe_Subscription_Id__c", state.key.id, account_id))])


def _plan(draft: Draft, body: Body, context: Context) -> None:
    held = items(body.get("items"))
    first = mapping(held[0].get("price")) if held else {}
    names = [text(walk(item, "price", "nickname")) or ref(item.get("price")) for item in held]
    draft.words("Plan__c", ", ".join(names))
    draft.text("Stripe_Price_Id__c", ref(first))
    draft.pick("Billing_Interval__c", walk(first, "recurring", "interval"))
    draft.number("Billing_Interval_Count__c", walk(first, "recurring", "interval_count"))
    quantities = [whole(item.get("quantity")) for item in held]
    counted = [quantity for quantity in quantities if quantity is not None]
    draft.fields["Quantity__c"] = sum(counted) if counted else None
    product = ref(first.get("product"))
    if product in context.products:
        draft.lookup("Product__r", "Stripe_Product_Id__c", product)


def _dates(draft: Draft, body: Body) -> None:
    starts = [whole(item.get("current_period_start")) for item in items(body.get("items"))]
    draft.at("Current_Period_Start__c", min((start for start in starts if start is not None), default=None))
    draft.at("Current_Period_End__c", period_end(body))
    draft.at("Billing_Cycle_Anchor__c", body.get("billing_cycle_anchor"))
    draft.at("Start_Date__c", body.get("start_date"))
    draft.at("Trial_End__c", body.get("trial_end"))
    draft.flag("Cancel_At_Period_End__c", body.get("cancel_at_period_end"))
    draft.at("Cancel_At__c", body.get("cancel_at"))
    draft.at("Canceled_At__c", body.get("canceled_at"))
    draft.at("Ended_At__c", body.get("ended_at"))
    details = mapping(body.get("cancellation_details"))
    reasons = [text(details.get(name)).replace("_", " ") for name in ("reason", "feedback")]
    draft.words("Cancellation_Reason__c", ": ".join(filter(None, reasons)))
