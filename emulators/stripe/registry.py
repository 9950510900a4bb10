"""Every resource the emulator has. What is not here answers 404."""

from __future__ import annotations

from emulators.stripe.account import ACCOUNT_OPERATIONS, EVENT, WEBHOOK_ENDPOINT
from emulators.stripe.allocations import PAYMENT_RECORD
from emulators.stripe.checkout import CHECKOUT_SESSION
from emulators.stripe.credit_notes import CREDIT_NOTE, CREDIT_NOTE_LINE
from emulators.stripe.customers import CUSTOMER
from emulators.stripe.disputes import DISPUTE
from emulators.stripe.invoice_fields import LINE_ITEM
from emulators.stripe.invoice_items import INVOICE_ITEM
from emulators.stripe.invoices import INVOICE
from emulators.stripe.model import Operation, Resource
from emulators.stripe.payment_methods import PAYMENT_METHOD
from emulators.stripe.payment_objects import CHARGE, INVOICE_PAYMENT, PAYMENT_INTENT
from emulators.stripe.portal import PORTAL_SESSION
from emulators.stripe.previews import PREVIEW
from emulators.stripe.prices import PRICE
from emulators.stripe.products import PRODUCT
from emulators.stripe.refunds import REFUND
from emulators.stripe.subscriptions import SUBSCRIPTION, SUBSCRIPTION_ITEM
from emulators.stripe.thin import EVENT_DESTINATION, THIN_EVENT

RESOURCES: dict[str, Resource] = {
    resource.name: resource
    for resource in (
        CHARGE,
        CHECKOUT_SESSION,
        CREDIT_NOTE,
        CREDIT_NOTE_LINE,
        CUSTOMER,
        DISPUTE,
        EVENT,
        EVENT_DESTINATION,
        INVOICE,
        INVOICE_ITEM,
        INVOICE_PAYMENT,
        LINE_ITEM,
        PAYMENT_INTENT,
        PAYMENT_METHOD,
        PAYMENT_RECORD,
        PORTAL_SESSION,
        PRICE,
        PRODUCT,
        REFUND,
        SUBSCRIPTION,
        SUBSCRIPTION_ITEM,
        THIN_EVENT,
        WEBHOOK_ENDPOINT,
    )
}
OPERATIONS: tuple[Operation, ...] = (
    *ACCOUNT_OPERATIONS,
    PREVIEW,
    *(operation for resource in RESOURCES.values() for operation in resource.operations),
)
