"""Is this deal fit to be billed? All that speaks against it at once, in the words of `problems`. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

from order_to_cash.domain.emails import normalize_email
from order_to_cash.domain.errors import RecordRejected
from order_to_cash.domain.money import Money, known_currency, show_amount
from order_to_cash.domain.policy import BillingRules
from order_to_cash.domain.problems import Reason, problem
from order_to_cash.domain.records import CollectionMethod, DealLine, Problem, StripePrice, WonDeal

Catalogue = Mapping[str, StripePrice]

LONGEST_CUSTOMER_NAME = 256  # https://docs.stripe.com/api/customers/create, `name`
MOST_LINES = 250  # https://docs.stripe.com/api/invoices/add_lines: an invoice holds at most 250 items
LONGEST_TERM_DAYS = 3650


def judge(deal: WonDeal, catalogue: Catalogue, rules: BillingRules) -> tuple[Problem, ...]:
    """Every reason against billing `deal` now; empty when there is none.

    `catalogue` maps Stripe price ids to prices. The first problem is the one that most decides: first
    whether the deal is ours to bill at all, then whether it needs a subscription, then what has to be
    corrected.
    """
    return (
        *_not_ours(deal, rules),
        *_subscription(deal, catalogue),
        *_customer(deal, rules),
        *_terms(deal, rules),
        *_amounts(deal),
        *(found for line in deal.lines for found in _line(line, deal, catalogue, rules)),
    )


def _not_ours(deal: WonDeal, rules: BillingRules) -> Iterator[Problem]:
    if deal.stripe_invoice_id:
        field = rules.field_names.opportunity_invoice_id
        yield problem(Reason.ALREADY_BILLED, "The deal carries a Stripe invoice already.", field=field)
    if not _among(deal.stage_name, rules.stage_names):
        yield problem(Reason.STAGE_NOT_WON, "The deal's stage is none of those that are billed.")
    if _among(deal.deal_type, rules.excluded_types):
        yield problem(Reason.EXCLUDED_TYPE, f"Deals of the type {deal.deal_type} are not billed here.")
    if deal.close_date < rules.bill_deals_closed_on_or_after:
        first = rules.bill_deals_closed_on_or_after.isoformat()
        yield problem(
            Reason.CLOSED_BEFORE_GO_LIVE,
            f"The deal closed on {deal.close_date}, before billing began on {first}.",
        )


def _among(name: str, names: Iterable[str]) -> bool:
    """As SOQL's IN compares picklist values: without regard to case."""
    return name.casefold() in {one.casefold() for one in names}


def _subscription(deal: WonDeal, catalogue: Catalogue) -> Iterator[Problem]:
    recurring = [line for line in deal.lines if is_recurring(line, catalogue)]
    if recurring:
        kind = "recurring" if len(recurring) == len(deal.lines) else "partly recurring"
        yield problem(
            Reason.NEEDS_SUBSCRIPTION, f"The deal is {kind} and needs a subscription, not an invoice."
        )


def is_recurring(line: DealLine, catalogue: Catalogue) -> bool:
    """Whether the line itself or its Stripe price says so."""
    price = catalogue.get(line.stripe_price_id)
    return line.recurring or (price is not None and price.recurring)


def _customer(deal: WonDeal, rules: BillingRules) -> Iterator[Problem]:
    account = deal.account
    if not account.name:
        yield problem(Reason.CUSTOMER_NAME_MISSING, "The Account has no name.")
    if len(account.name) > LONGEST_CUSTOMER_NAME:
        yield problem(
            Reason.CUSTOMER_NAME_TOO_LONG,
            f"The Account's name has {len(account.name)} characters; Stripe takes {LONGEST_CUSTOMER_NAME}.",
        )
    try:
        normalize_email(account.email)
    except RecordRejected as error:
        field = f"Account.{rules.field_names.account_billing_email}"
        yield problem(Reason(error.code), error.message, field=field)
    yield from _countries(deal, rules)


def _countries(deal: WonDeal, rules: BillingRules) -> Iterator[Problem]:
    billing, shipping = deal.account.billing_address, deal.account.shipping_address
    for kind, address in (("Billing", billing), ("Shipping", shipping)):
        if address.country_given:
            yield problem(
                Reason.BILLING_COUNTRY_UNKNOWN,
                f"The {kind.lower()} country is not one that can be recognised.",
                field=f"Account.{kind}Country",
            )
    if rules.automatic_tax and not any((billing.country, shipping.country, billing.country_given)):
        yield problem(Reason.BILLING_COUNTRY_UNKNOWN, "Stripe Tax needs a country and the Account has none.")


def _terms(deal: WonDeal, rules: BillingRules) -> Iterator[Problem]:
    names = rules.field_names
    if deal.collection_method and deal.collection_method not in set(CollectionMethod):
        yield problem(
            Reason.COLLECTION_METHOD_UNKNOWN,
            "The deal's collection method is none of Stripe's.",
            field=names.opportunity_collection_method,
        )
    if deal.days_until_due is not None and not 0 <= deal.days_until_due <= LONGEST_TERM_DAYS:
        yield problem(
            Reason.DAYS_UNTIL_DUE_INVALID,
            "The days until due are out of range.",
            field=names.opportunity_days_until_due,
        )


def _amounts(deal: WonDeal) -> Iterator[Problem]:
    known = known_currency(deal.currency)
    if not known:
        yield problem(Reason.CURRENCY_UNKNOWN, "Stripe does not bill in the deal's currency.")
    if deal.amount is None:
        yield problem(Reason.AMOUNT_MISSING, "The deal has no amount.")
    elif deal.amount == 0:
        yield problem(Reason.AMOUNT_ZERO, "The deal's amount is zero.")
    elif deal.amount < 0:
        yield problem(Reason.AMOUNT_NEGATIVE, "The deal's amount is below zero.")
    if known and deal.amount is not None:
        yield from _exact(deal.amount, deal.currency, "Amount", "The deal's amount")
    yield from _line_totals(deal)


def _line_totals(deal: WonDeal) -> Iterator[Problem]:
    if not deal.lines:
        yield problem(Reason.NO_LINES, "The deal has no products.")
        return
    if len(deal.lines) > MOST_LINES:
        yield problem(Reason.TOO_MANY_LINES, f"The deal has {len(deal.lines)} lines.")
    total = sum((line.total for line in deal.lines), Decimal(0))
    if deal.amount is not None and total != deal.amount:
        yield problem(
            Reason.LINES_DO_NOT_ADD_UP,
            f"The lines add up to {show_amount(total, deal.currency)}, "
            f"the deal's amount is {show_amount(deal.amount, deal.currency)}.",
        )
    if total <= 0 and any(line.total < 0 for line in deal.lines):
        yield problem(Reason.NEGATIVE_LINE, "Lines below zero take away all that the other lines bill.")


def _line(line: DealLine, deal: WonDeal, catalogue: Catalogue, rules: BillingRules) -> Iterator[Problem]:
    label = line_label(line)
    if line.quantity <= 0:
        yield problem(Reason.QUANTITY_NOT_POSITIVE, f"{label}: the quantity is {line.quantity:f}.")
    if known_currency(deal.currency):
        yield from _exact(line.total, deal.currency, "TotalPrice", f"{label}: the line's total")
    field = f"Product2.{rules.field_names.product_price_id}"
    for reason, message in _price(line, deal, catalogue):
        yield problem(reason, f"{label}: {message}", field=field)


def _price(line: DealLine, deal: WonDeal, catalogue: Catalogue) -> Iterator[tuple[Reason, str]]:
    if not line.stripe_price_id:
        yield Reason.PRICE_MISSING, "the product has no Stripe price."
        return
    price = catalogue.get(line.stripe_price_id)
    if price is None or not price.active:
        yield Reason.PRICE_UNKNOWN, f"Stripe has no active price {line.stripe_price_id[:64]}."
    elif known_currency(deal.currency) and deal.currency.lower() not in price.unit_amounts:
        yield (
            Reason.PRICE_CURRENCY_MISMATCH,
            f"the price {price.price_id} has no amount in {deal.currency}.",
        )


def _exact(amount: Decimal, currency: str, field: str, what: str) -> Iterator[Problem]:
    try:
        Money.from_major(amount, currency)
    except RecordRejected as error:
        yield problem(Reason.AMOUNT_NOT_EXACT, f"{what}: {error.message}", field=field)


def line_label(line: DealLine) -> str:
    """How a line is named in messages: its product and its id."""
    return f"{line.product_name or 'Line'} ({line.line_id})"
