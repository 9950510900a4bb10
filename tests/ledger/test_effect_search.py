"""Effects are found by the beginning of their keys, and nothing else is."""

from __future__ import annotations

from typing import Any

from order_to_cash.domain.errors import RuleRefused
from order_to_cash.ledger.effect_search import effects_under
from order_to_cash.ledger.ledger import Ledger
from tests.ledger.support import START

KEYS = (
    "ladder:in_1:a:task",
    "ladder:in_1:b:case",
    "ladder:IN_1:a:task",
    "ladder:in_10:a:task",
    "ladder:inX1:a:task",
)


def test_effects_are_found_by_prefix_with_how_they_stand(ledger: Ledger) -> None:
    begun: dict[str, Any] = dict(ledger.effects.begin("ladder", {key: {} for key in KEYS}, run_id="run-1"))
    ledger.effects.succeed({KEYS[0]: (begun[KEYS[0]], {"id": "00T"})})
    ledger.effects.refuse([(begun[KEYS[1]], RuleRefused("A rule says no.", code="RULE", remedy="Ask."))])
    found = {one.key: one for one in effects_under(ledger.database, ["ladder:in_1:"])}
    assert set(found) == {KEYS[0], KEYS[1]}, "an underscore is no wildcard, and a capital no small letter"
    done, refused = found[KEYS[0]], found[KEYS[1]]
    assert (done.said, done.outcome, done.error, done.at) == ("done", {"id": "00T"}, "", START)
    assert (refused.said, refused.error) == ("refused", "A rule says no.")
    (open_one,) = effects_under(ledger.database, ["ladder:in_10:", "nothing:"])
    assert open_one.said == "not known whether it was"
    assert effects_under(ledger.database, []) == []
    assert len(effects_under(ledger.database, ["ladder:"], limit=2)) == 2
