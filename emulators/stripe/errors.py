"""Stripe's error object. Messages follow the wording of the real API where it is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

DOCS = "https://docs.stripe.com/error-codes/"


class StripeError(Exception):
    """Answered as `{"error": {...}}`.

    validation: the parameters themselves were wrong. Stripe keeps no idempotent result for those
    (docs.stripe.com/api/idempotent_requests), but does for everything found out while executing.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        status: int = 400,
        kind: str = "invalid_request_error",
        validation: bool = False,
        **extra: Any,
    ) -> None:
        super().__init__(message)
        self.message, self.code, self.param, self.status, self.kind = message, code, param, status, kind
        self.validation, self.extra = validation, extra

    def as_json(self, request_id: str) -> dict[str, Any]:
        error: dict[str, Any] = {"message": self.message, "type": self.kind}
        if self.code:
            error["code"] = self.code
            error["doc_url"] = DOCS + self.code.replace("_", "-")
        if self.param:
            error["param"] = self.param
        error["request_log_url"] = f"https://dashboard.stripe.com/test/logs/{request_id}"
        return {"error": {**error, **self.extra}}


def unknown_parameters(names: list[str]) -> StripeError:
    noun = "parameter" if len(names) == 1 else "parameters"
    message = f"Received unknown {noun}: {', '.join(names)}"
    return StripeError(message, code="parameter_unknown", param=names[0], validation=True)


def missing_parameter(name: str) -> StripeError:
    message = f"Missing required param: {name}."
    return StripeError(message, code="parameter_missing", param=name, validation=True)


def empty_parameter(name: str) -> StripeError:
    message = (
        f"You passed an empty string for '{name}'. We assume empty values are an attempt to unset a "
        f"parameter; however '{name}' cannot be unset. You should remove '{name}' from your request or "
        "supply a non-empty value."
    )
    return StripeError(message, code="parameter_invalid_empty", param=name, validation=True)


def only_one_of(names: Sequence[str], param: str) -> StripeError:
    message = f"You may only specify one of these parameters: {', '.join(names)}."
    return StripeError(message, code="parameters_exclusive", param=param, validation=True)


def bad_parameter(message: str, param: str, code: str | None = None) -> StripeError:
    return StripeError(message, code=code, param=param, validation=True)


def no_such(
    noun: str, object_id: str, param: str, *, in_path: bool = False, elsewhere: str = ""
) -> StripeError:
    """`elsewhere` is "live" or "test" when the object exists in the other mode."""
    message = f"No such {noun}: '{object_id}'"
    if elsewhere:
        used = "test" if elsewhere == "live" else "live"
        message += f"; a similar object exists in {elsewhere} mode, "
        message += f"but a {used} mode key was used to make this request."
    return StripeError(message, code="resource_missing", param=param, status=404 if in_path else 400)


def unrecognized_url(method: str, path: str) -> StripeError:
    message = (
        f"Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs or we can help at "
        "https://support.stripe.com/."
    )
    return StripeError(message, status=404, validation=True)


def lock_timeout() -> StripeError:
    message = (
        "This object cannot be accessed right now because another API request or Stripe process is currently "
        "accessing it. If you see this error intermittently, retry the request. If you see this error "
        "frequently and are making multiple concurrent requests to a single object, make your requests "
        "serially or at a lower rate."
    )
    return StripeError(message, code="lock_timeout", status=429)


def rate_limited() -> StripeError:
    return StripeError(
        "Request rate limit exceeded. Learn more about rate limits here https://docs.stripe.com/rate-limits.",
        code="rate_limit",
        status=429,
        validation=True,
    )


def card_declined(decline_code: str = "generic_decline", **extra: Any) -> StripeError:
    expired = decline_code == "expired_card"
    return StripeError(
        "Your card has expired." if expired else "Your card was declined.",
        code="expired_card" if expired else "card_declined",
        status=402,
        kind="card_error",
        decline_code=decline_code,
        **extra,
    )


def server_error(status: int = 500) -> StripeError:
    return StripeError(
        "Sorry! There was an error while talking to one of our backends. Support has been notified.",
        status=status,
        kind="api_error",
    )


NAMED = {"lock_timeout": lock_timeout, "rate_limit": rate_limited, "card_declined": card_declined}
