"""States mapped with all that mapping may know."""

from __future__ import annotations

from datetime import UTC, datetime

from order_to_cash.domain.sync.normalize import normalize
from order_to_cash.domain.sync.rows import rows_of
from order_to_cash.domain.sync.shapes import Context, Fields, Links, Mapped, ObjectKey, ProductFacts, State
from tests.domain.sync.stripe_objects import ACCOUNT, CUSTOMER, DEAL, T0, Json

NOW = datetime(2026, 10, 1, tzinfo=UTC)
MADE = datetime.fromtimestamp(T0, UTC)
CONTEXT = Context(
    synced_at=NOW,
    links=Links(invoice_of={"pi_1": "in_1"}, charge_of={"pi_1": "ch_1"}),
    customer_of_account={ACCOUNT: ""},
    invoice_of_opportunity={DEAL: "in_1"},
    products={"prod_team": ProductFacts("01t000000000001AAA", "price_team")},
)


def state(body: Json, *, deleted: bool = False) -> State:
    key = ObjectKey(body["object"], body["id"])
    owner = CUSTOMER if body["object"] == "customer" else str(body.get("customer") or "")
    return State(key, normalize(body), MADE, False, deleted, owner, ("evt_1",), "")


def mapped(body: Json, context: Context = CONTEXT, *, deleted: bool = False) -> Mapped:
    return rows_of(state(body, deleted=deleted), ACCOUNT, context)


def only(body: Json, sobject: str, context: Context = CONTEXT) -> Fields:
    found = [row for row in mapped(body, context).rows if row.sobject == sobject]
    assert len(found) == 1
    return found[0].fields


def code(made: Mapped) -> str:
    assert not made.rows
    (problem,) = made.problems
    assert problem.remedy
    return problem.code
