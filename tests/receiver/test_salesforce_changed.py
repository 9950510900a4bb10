"""Callouts of Salesforce: a nudge is written, and nothing else is believed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from order_to_cash.domain.clock import FixedClock
from order_to_cash.domain.records import Environment
from order_to_cash.ledger.ledger import Ledger
from order_to_cash.receiver.app import Endpoints
from tests.receiver.serving import ENDPOINTS, NUDGE_SECRET, OWN_ORG, Served, serving

DEAL, OTHER_DEAL = "006000000000001AAA", "006000000000002AAA"
OTHER_ORG = "00D000000000002EAA"


def callout(**changes: Any) -> bytes:
    known = {"org_id": OWN_ORG, "sobject": "Opportunity", "record_ids": [DEAL]}
    return json.dumps(known | changes).encode()


def nudged(ledger: Ledger) -> list[tuple[str, str, str]]:
    return sorted((each.org_id, each.sobject, each.record_id) for each in ledger.nudges.take())


def test_changed_records_are_noted_once_with_their_long_ids(served: Served, ledger: Ledger) -> None:
    body = callout(org_id=OWN_ORG[:15], record_ids=[DEAL[:15], DEAL, OTHER_DEAL], StageName="Closed Won")
    assert [served.nudge(body).status, served.nudge(body).status] == [202, 202]
    assert nudged(ledger) == [(OWN_ORG, "Opportunity", DEAL), (OWN_ORG, "Opportunity", OTHER_DEAL)]
    assert served.metric('o2c_receiver_nudges_total{result="taken"}') == 2


@pytest.mark.parametrize(
    "secret", ["", "wrong", NUDGE_SECRET[:-1], f"{NUDGE_SECRET}x", f"Bearer {NUDGE_SECRET}", "é"]
)
def test_without_the_secret_nothing_is_read(standing: tuple[Served, Ledger], secret: str) -> None:
    served, ledger = standing
    answer = served.post("/salesforce/changed", callout(), {"authorization": f"Bearer {secret}".encode()})  # type: ignore[dict-item]  # http.client takes bytes
    assert answer.status == 401
    assert NUDGE_SECRET not in answer.text
    assert nudged(ledger) == []


def test_another_org_is_refused(served: Served, ledger: Ledger) -> None:
    assert served.nudge(callout(org_id=OTHER_ORG)).status == 403
    assert nudged(ledger) == []


def test_the_settings_say_which_orgs_may_call(ledger: Ledger, clock: FixedClock) -> None:
    allowed = Endpoints(
        Environment.TEST, salesforce_secret=NUDGE_SECRET.encode(), salesforce_org_ids=[OTHER_ORG]
    )
    with serving(ledger, clock, allowed) as served:
        answers = [served.nudge(callout()).status, served.nudge(callout(org_id=OTHER_ORG)).status]
    assert answers == [403, 202]


def test_without_a_secret_of_ours_it_is_switched_off(ledger: Ledger, clock: FixedClock) -> None:
    with serving(ledger, clock, Endpoints(Environment.TEST, ENDPOINTS.stripe_secrets)) as served:
        assert served.nudge(callout(), "").status == 404
    assert nudged(ledger) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        callout(record_ids=[]),
        callout(record_ids=DEAL),
        callout(record_ids=[DEAL] * 201),
        callout(record_ids=[1]),
        callout(record_ids=["006000000000001AAB"]),
        callout(record_ids=["006-00000000001"]),
        callout(record_ids=[{"a": 1}]),
        callout(sobject=""),
        callout(sobject="Opportunity WHERE"),
        callout(sobject="O" * 81),
        callout(sobject=None),
        callout(org_id=None),
        callout(org_id="acme"),
        json.dumps({"org_id": OWN_ORG, "sobject": "Opportunity"}).encode(),
    ],
    ids=lambda body: repr(body[-40:]),
)
def test_any_other_shape_is_refused(standing: tuple[Served, Ledger], body: bytes) -> None:
    served, ledger = standing
    assert served.nudge(body).status == 400
    assert nudged(ledger) == []
