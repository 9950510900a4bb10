"""Our check of the header agrees with Stripe's SDK, and is stricter where that is lax."""

from __future__ import annotations

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from order_to_cash.receiver.signature import SignatureProblem, check, parse
from tests.receiver.serving import AT, SECRET, signed

BODY = b'{"id": "evt_1"}'


def ours(header: str, body: bytes = BODY, *secrets: str, now: float = AT) -> SignatureProblem | None:
    parsed = parse(header.encode())
    if parsed is None:
        return SignatureProblem.MISSING
    return check(*parsed, body, [secret.encode() for secret in secrets or (SECRET,)], now)


def sdk_accepts(header: str) -> bool:
    try:
        stripe.WebhookSignature.verify_header(BODY.decode(), header, SECRET, None)
    except stripe.SignatureVerificationError:
        return False
    return True


PARTS = st.sampled_from(
    [
        f"t={AT}",
        "t=1",
        "t=",
        "t=x",
        "v0=00",
        "v1=",
        "v1=é",
        "v1==",
        "scheme",
        "",
        " ",
        signed(BODY).split(",")[1],
    ]
)


@given(st.lists(PARTS, max_size=5).map(",".join))
def test_what_we_believe_the_sdk_believes_too(header: str) -> None:
    if ours(header) is None:
        assert sdk_accepts(header)


def test_what_stripe_sends_is_believed() -> None:
    header = signed(BODY)
    assert sdk_accepts(header)
    assert ours(header) is None
    assert ours(f"{header},v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39") is None


@given(st.integers(0, 10**12))
def test_age_is_judged_on_both_sides(now: int) -> None:
    found = ours(signed(BODY), now=now)
    expected = None
    if now - AT > 300:
        expected = SignatureProblem.STALE
    elif AT - now > 60:
        expected = SignatureProblem.FUTURE
    assert found is expected


@pytest.mark.parametrize("secrets", [("",), ("", "")])
def test_an_empty_secret_verifies_nothing(secrets: tuple[str, ...]) -> None:
    assert ours(signed(BODY, ""), BODY, *secrets) is SignatureProblem.WRONG


@given(st.binary(max_size=200))
def test_no_header_is_too_strange(header: bytes) -> None:
    parsed = parse(header)
    if parsed is not None:
        check(*parsed, BODY, [SECRET.encode()], AT)
