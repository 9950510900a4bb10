"""Every error of the product, in one tree.

O2CError
├── Retryable                    trying again later may work
│   ├── RateLimited              429, REQUEST_LIMIT_EXCEEDED of a short window
│   ├── Unavailable              5xx, connection refused, maintenance: nothing happened
│   ├── OutcomeUnknown           sent, no answer: look it up before repeating
│   ├── RowLocked                UNABLE_TO_LOCK_ROW, Stripe lock_timeout
│   ├── BudgetExhausted          the day's Salesforce calls are used up
│   └── ClaimedElsewhere         another run holds this record right now
└── Permanent                    a person or a changed record is needed
    ├── RecordRejected           a record of ours is not fit to be billed (held)
    ├── AmbiguousCustomer        several Stripe customers could be the one
    ├── TotalMismatch            Stripe computed another total than the plan
    ├── Refused                  the far side refused the request
    │   ├── PermissionMissing    403: key or permission set lacks a right
    │   ├── FieldRefused         a field is unknown, hidden or not writable
    │   ├── RuleRefused          validation rule, trigger, restricted picklist, duplicate rule
    │   ├── RecordGone           deleted or merged meanwhile
    │   ├── CredentialsRefused   401
    │   └── IdempotencyMismatch  one key, two different requests
    ├── RunHeld                  a run is larger than policy allows: a person decides
    ├── ClaimLost                another run took over: this one must stop
    └── ConfigurationError       settings, blocks or environment do not fit together
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class O2CError(Exception):
    """What happened (`message`), to which record (`ids`), and what to do (`remedy`).

    `code` is stable and machine-readable, such as ``billing_email_missing`` or ``INVALID_FIELD``.
    No message, id or remedy carries a secret or personal data: they reach logs, Slack and artifacts.
    """

    retryable: ClassVar[bool]
    default_code: ClassVar[str] = "error"
    default_remedy: ClassVar[str] = ""

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        remedy: str = "",
        ids: Mapping[str, str] | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        self.message = message
        self.code = code or self.default_code
        self.remedy = remedy or self.default_remedy
        self.ids = dict(ids or {})
        self.retry_after_seconds = retry_after_seconds
        super().__init__(message)

    def __str__(self) -> str:
        about = " ".join(f"{name}={value}" for name, value in self.ids.items())
        parts = [f"{self.message}", f"[{self.code}]", f"({about})" if about else "", self.remedy]
        return " ".join(part for part in parts if part)


class Retryable(O2CError):  # noqa: N818 — the tree reads as a statement: "this error is retryable"
    retryable = True


class Permanent(O2CError):  # noqa: N818 — as above
    retryable = False


class RateLimited(Retryable):
    default_code = "rate_limited"
    default_remedy = "Nothing to do: it is tried again with a growing delay."


class Unavailable(Retryable):
    default_code = "unavailable"
    default_remedy = "Nothing to do: it is tried again. If it lasts, see the vendor's status page."


class OutcomeUnknown(Retryable):
    default_code = "outcome_unknown"
    default_remedy = "Nothing to do: the next run looks up what happened before it repeats anything."


class RowLocked(Retryable):
    default_code = "row_locked"
    default_remedy = "Nothing to do: another write held the record; it is tried again."


class BudgetExhausted(Retryable):
    default_code = "api_budget_exhausted"
    default_remedy = "Wait for the rolling 24 hours, or raise the org's API allocation."


class ClaimedElsewhere(Retryable):
    default_code = "claimed_elsewhere"
    default_remedy = "Nothing to do: the other run finishes it, or the next one takes over after its lease."


class RecordRejected(Permanent):
    default_code = "record_rejected"
    default_remedy = "Correct the record in Salesforce; it is billed on the next look-out."


class AmbiguousCustomer(Permanent):
    default_code = "customer_ambiguous"
    default_remedy = (
        "Set metadata salesforce_account_id on the right Stripe customer, "
        "or Stripe_Customer_Id__c on the Account."
    )


class TotalMismatch(Permanent):
    default_code = "total_mismatch"
    default_remedy = "The draft was not finalized. Compare the deal's lines with the draft in Stripe."


class Refused(Permanent):
    default_code = "refused"


class PermissionMissing(Refused):
    default_code = "permission_missing"


class FieldRefused(Refused):
    default_code = "field_refused"


class RuleRefused(Refused):
    default_code = "rule_refused"


class RecordGone(Refused):
    default_code = "record_gone"


class CredentialsRefused(Refused):
    default_code = "credentials_refused"
    default_remedy = "Check the key or client in the settings, then run `o2c doctor`."


class IdempotencyMismatch(Refused):
    default_code = "idempotency_mismatch"
    default_remedy = "Report it: two different requests were given one key."


class RunHeld(Permanent):
    default_code = "run_held"
    default_remedy = "Look at the list in plan mode, then run it with the name of the person who approves."


class ClaimLost(Permanent):
    default_code = "claim_lost"
    default_remedy = "Nothing to do: another run took this record over."


class ConfigurationError(Permanent):
    default_code = "configuration"
