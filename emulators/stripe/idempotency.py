"""Idempotency keys as docs.stripe.com/api/idempotent_requests has them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from emulators.engine import Answer, Call
from emulators.stripe.errors import StripeError

KEPT = timedelta(hours=24)


@dataclass
class Record:
    """What a key was first used for, and what came of it (`answer` is None while in flight)."""

    path: str
    parameters: list[tuple[str, str]]
    at: datetime
    request_id: str
    answer: Answer | None = None


@dataclass
class Keys:
    """The keys of one mode of the account."""

    records: dict[str, Record] = field(default_factory=dict)

    def claim(self, call: Call, key: str, now: datetime) -> Answer | None:
        """The stored answer of an earlier use, or None and the key is in flight until `keep` or `release`.

        Raises StripeError: other parameters or another path than at first, in flight, key too long.
        """
        if len(key) > 255:
            raise StripeError(
                "Idempotency keys can be at most 255 characters.", kind="idempotency_error", validation=True
            )
        record = self.records.get(key)
        if record is not None and now - record.at >= KEPT:
            record = None
        if record is None:
            self.records[key] = Record(call.path, sorted(call.form_pairs), now, call.context["request_id"])
            return None
        self._compare(record, call, key)
        if record.answer is None:
            message = (
                "There is currently another in-progress request using this Idempotent Key (that probably "
                "means you submitted twice, and the other request is still going through): "
                f"{key}. Please try "
                "again later."
            )
            raise StripeError(message, code="idempotency_key_in_use", status=409, validation=True)
        call.replayed = True
        marks = {"idempotent-replayed": "true", "original-request": record.request_id}
        return Answer(record.answer.status, record.answer.body, {**record.answer.headers, **marks})

    def keep(self, key: str, answer: Answer) -> None:
        """Store what every later use of the key will be answered."""
        if key in self.records:
            self.records[key].answer = Answer(answer.status, answer.body, dict(answer.headers))

    def release(self, key: str) -> None:
        """The request came to nothing that is kept: the key is free again."""
        if key in self.records and self.records[key].answer is None:
            del self.records[key]

    def _compare(self, record: Record, call: Call, key: str) -> None:
        advice = f"Try using a key other than '{key}' if you meant to execute a different request."
        if record.path != call.path:
            message = (
                "Keys for idempotent requests can only be used for the same endpoint they were first used "
                f"for ('{call.path}' vs '{record.path}'). {advice}"
            )
            raise StripeError(message, kind="idempotency_error", validation=True)
        if record.parameters != sorted(call.form_pairs):
            message = (
                "Keys for idempotent requests can only be used with the same parameters they were first used "
                f"with. {advice}"
            )
            raise StripeError(message, kind="idempotency_error", validation=True)
