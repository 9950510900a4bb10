"""Why a payment failed, in plain words for the people who talk to the customer.

Source of the codes: https://docs.stripe.com/declines/codes and, for the last block, https://docs.stripe.com/error-codes.
As that page asks, nobody is told that a card was reported lost or stolen, or that fraud is suspected: such declines
read like a decline without a reason.
"""

from __future__ import annotations

_NO_REASON = (
    "The bank declined the card and gave no reason. The customer should ask the bank or use another card."
)
_CALL = "The bank declined the card. The customer should ask the bank or use another card."
_WRONG = "The card details are wrong. The customer should enter the card again."

_WORDS = {
    "authentication_not_handled": "The payment needs the customer's confirmation (3D Secure), which was not completed.",
    "authentication_required": "The bank wants the customer to confirm the payment (3D Secure).",
    "approve_with_id": "The bank did not authorize the payment. Try again, else the customer should ask the bank.",
    "card_not_supported": "The card does not support this kind of purchase. The customer should use another card.",
    "card_velocity_exceeded": "The card's balance, credit or transaction limit is exceeded. "
    "The customer should ask the bank or use another card.",
    "currency_not_supported": "The card does not support the currency. The customer should use another card.",
    "duplicate_transaction": "The same amount was charged to the same card moments before: see whether it is paid.",
    "expired_card": "The card has expired. The customer should enter another card.",
    "incorrect_address": "The billing address does not match the card. The customer should correct it.",
    "incorrect_cvc": _WRONG,
    "incorrect_number": _WRONG,
    "incorrect_pin": _WRONG,
    "incorrect_zip": "The postal code does not match the card. The customer should correct it.",
    "insufficient_funds": "The account behind the card has not enough money.",
    "invalid_account": "The card or its account is not valid. The customer should ask the bank or use another card.",
    "invalid_amount": "The amount is above what the bank allows. The customer should ask the bank.",
    "invalid_cvc": _WRONG,
    "invalid_expiry_month": _WRONG,
    "invalid_expiry_year": _WRONG,
    "invalid_number": _WRONG,
    "invalid_pin": _WRONG,
    "issuer_not_available": "The bank could not be reached. It will likely work when tried again.",
    "mobile_device_authentication_required": "The bank wants the customer to confirm the payment on a phone.",
    "new_account_information_available": "The card was replaced. The customer should enter the new card.",
    "no_action_taken": _CALL,
    "not_permitted": "The bank does not permit this payment. The customer should ask the bank.",
    "offline_pin_required": "The card needs a PIN. The customer should use another card.",
    "online_or_offline_pin_required": "The card needs a PIN. The customer should use another card.",
    "pin_try_exceeded": "A wrong PIN was entered too often. The customer should use another card.",
    "processing_error": "The bank could not process the payment. It will likely work when tried again.",
    "reenter_transaction": "The bank could not process the payment. It will likely work when tried again.",
    "revocation_of_all_authorizations": "The customer told the bank to stop these payments. Talk to the customer.",
    "revocation_of_authorization": "The customer told the bank to stop this payment. Talk to the customer.",
    "service_not_allowed": _CALL,
    "stop_payment_order": "The customer told the bank to stop this payment. Talk to the customer.",
    "testmode_decline": "A test card was used. The customer should use a real one.",
    "transaction_not_allowed": _CALL,
    "try_again_later": "The bank declined the card for now. Try again later.",
    "withdrawal_count_limit_exceeded": "The card's balance or limit is exceeded. The customer should use another card.",
    # As a decline without a reason: what is suspected is not passed on.
    "call_issuer": _NO_REASON,
    "do_not_honor": _NO_REASON,
    "do_not_try_again": _NO_REASON,
    "fraudulent": _NO_REASON,
    "generic_decline": _NO_REASON,
    "lost_card": _NO_REASON,
    "merchant_blacklist": _NO_REASON,
    "pickup_card": _NO_REASON,
    "restricted_card": _NO_REASON,
    "security_violation": _NO_REASON,
    "stolen_card": _NO_REASON,
    # Error codes that stand where there is no decline code, bank debits among them.
    "account_closed": "The bank account was closed. The customer should enter another one.",
    "bank_account_declined": "The bank account cannot be debited. The customer should enter another one.",
    "bank_account_unusable": "The bank account cannot be debited. The customer should enter another one.",
    "card_declined": _NO_REASON,
    "debit_not_authorized": "The bank says that the customer did not authorize the debit. Talk to the customer.",
    "payment_intent_authentication_failure": "The customer did not confirm the payment (3D Secure).",
    "payment_method_provider_decline": "The provider of the payment method declined the payment.",
    "payment_method_provider_timeout": "The provider of the payment method did not answer in time.",
}
_HIDDEN = frozenset(code for code, words in _WORDS.items() if words is _NO_REASON)
_UNKNOWN = "The payment failed; Stripe gives no reason that is known here."


def plain_words(code: str) -> str:
    """What a decline or error code means and what helps. Never empty."""
    return _WORDS.get(code.strip().lower(), _UNKNOWN)


def is_known(code: str) -> bool:
    """Whether the tables above have the code."""
    return code.strip().lower() in _WORDS


def shown_code(code: str) -> str:
    """The code as people may see it: one that names a suspicion reads `generic_decline`."""
    lowered = code.strip().lower()
    return "generic_decline" if lowered in _HIDDEN else lowered


def chosen_code(*codes: str) -> str:
    """The most telling of several codes of one failure, the first one known that has a reason; else the first given."""
    given = [code for code in codes if code]
    telling = [code for code in given if is_known(code) and code not in _HIDDEN]
    known = [code for code in given if is_known(code)]
    return next(iter([*telling, *known, *given]), "")
