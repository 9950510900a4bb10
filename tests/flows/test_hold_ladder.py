"""The form that holds a ladder: what it writes, what it refuses, and that messages lead to it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from flows.hold_ladder import hold_ladder
from order_to_cash.domain.dunning.default_policy import default_policy
from order_to_cash.domain.dunning.holding import HoldAction
from order_to_cash.domain.errors import O2CError
from order_to_cash.domain.records import CollectionMethod
from order_to_cash.ledger.ladder_records import Ladder, NewLadder, PlacedHold
from tasks import dunning_links
from tasks.dunning_hold_steps import KEY, ordered_markdown
from tasks.dunning_holds import Ordered
from tasks.dunning_links import HoldForm, hold_form
from tests.flows.running import ledger
from tests.world import World

INVOICE, CUSTOMER = "in_1", "cus_1"


def begin(world: World, invoice: str = INVOICE, customer: str = CUSTOMER) -> None:
    """A ladder that sleeps for a day."""
    policy = default_policy()
    with ledger() as opened:
        opened.ladders.keep_policy(policy.version, policy.model_dump(mode="json"), policy.name)
        new = NewLadder(
            invoice_id=invoice,
            customer_id=customer,
            collection_method=CollectionMethod.CHARGE_AUTOMATICALLY,
            policy_version=policy.version,
            due_at=world.clock.now() + timedelta(days=1),
        )
        assert opened.ladders.open([new]) == {invoice}


def known() -> tuple[Ladder | None, list[PlacedHold]]:
    with ledger() as opened:
        return opened.ladders.get(INVOICE), opened.ladders.holds()


async def run(**parameters: Any) -> Any:
    state = await hold_ladder(return_state=True, **parameters)
    return await state.aresult(raise_on_failure=False)


@pytest.mark.prefect
async def test_the_form_holds_snoozes_and_resumes(books: World) -> None:
    begin(books)
    before, _ = known()
    assert before is not None
    done = await run(invoice=INVOICE, reason="waits for a PO", by=" Ada ")
    assert isinstance(done, Ordered)
    after, (hold,) = known()
    assert (hold.subject_id, hold.until, hold.reason, hold.placed_by) == (
        INVOICE,
        None,
        "waits for a PO",
        "Ada",
    )
    assert after is not None
    assert after.generation > before.generation, "it is woken, so that its alarm and timeline follow"
    assert after.due_at is not None
    assert after.due_at <= books.clock.now()
    await assert_shown(done)
    done = await run(invoice=CUSTOMER, action=HoldAction.SNOOZE, until="3d")
    _, holds = known()
    assert {hold.subject_id: hold.placed_by for hold in holds} == {INVOICE: "Ada", CUSTOMER: "the form"}
    assert done.in_words.startswith("held until ")
    done = await run(invoice=INVOICE, action=HoldAction.RESUME)
    assert done.in_words == "resumed: 1 ladder"
    assert [hold.subject_id for hold in done.left] == [CUSTOMER]
    await run(invoice=CUSTOMER, action=HoldAction.RESUME)
    assert known()[1] == []


async def assert_shown(ordered: Ordered) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
    from prefect.client.schemas.sorting import ArtifactSort

    async with get_client() as client:
        (newest,) = await client.read_artifacts(
            artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[KEY])),
            sort=ArtifactSort.CREATED_DESC,
            limit=1,
        )
    assert newest.data == ordered_markdown(ordered)
    assert "# Held until resumed: 1 ladder" in str(newest.data)
    assert "Said by Ada: waits for a PO." in str(newest.data)


@pytest.mark.prefect
async def test_what_cannot_be_meant_fails_the_run_and_writes_nothing(books: World) -> None:
    begin(books)
    for parameters, code in (
        ({}, "ladder_hold_unclear"),
        ({"invoice": "acme"}, "ladder_hold_unclear"),
        ({"invoice": INVOICE, "action": "snooze"}, "ladder_hold_unclear"),
        ({"invoice": INVOICE, "until": "2020-01-01"}, "ladder_hold_unclear"),
        ({"invoice": "in_none"}, "ladder_unknown"),
        ({"invoice": "cus_none"}, "ladder_unknown"),
    ):
        error = await run(**parameters)
        assert isinstance(error, O2CError)
        assert error.code == code
    assert known()[1] == []


class Place:
    """All that a link is made of."""

    name = "o2c"

    def __init__(self) -> None:
        self.at = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)

    @property
    def clock(self) -> Place:
        return self

    def now(self) -> datetime:
        return self.at


def test_a_link_opens_the_form_filled_in() -> None:
    url = HoldForm("https://prefect.example/deployments/deployment/d-1/run", "o2c").url(INVOICE)
    parts = urlsplit(url)
    assert parts.path == "/deployments/deployment/d-1/run"
    filled = json.loads(parse_qs(parts.query)["parameters"][0])
    assert filled == {
        "invoice": INVOICE,
        "action": "hold",
        "until": "",
        "reason": "",
        "by": "",
        "company": "o2c",
    }
    assert hold_ladder.validate_parameters(filled)
    assert "|" not in url, "Slack ends a link's address there"
    assert "%25" not in url, "the classic UI decodes once more"
    assert HoldForm("", "o2c").url(INVOICE) == ""


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_server")
async def test_without_the_deployment_there_is_no_link_and_later_there_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_UI_URL, temporary_settings

    monkeypatch.setattr(dunning_links, "_known", {})
    place: Any = Place()
    async with get_client() as client:
        for left in await client.read_deployments():  # of a test before this one
            if left.name == "hold-ladder":
                await client.delete_deployment(left.id)
    with temporary_settings({PREFECT_UI_URL: "https://prefect.example/"}):
        assert (await hold_form(place)).url(INVOICE) == ""
        deployment = await hold_ladder.ato_deployment("hold-ladder")
        deployment_id = await deployment.aapply()
        assert (await hold_form(place)).url(INVOICE) == "", "asked a moment ago"
        place.at += timedelta(minutes=6)
        form = await hold_form(place)
    assert form.page == f"https://prefect.example/deployments/deployment/{deployment_id}/run"


async def test_where_prefect_does_not_answer_a_message_has_no_link(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.settings import PREFECT_API_URL, PREFECT_UI_URL, temporary_settings

    monkeypatch.setattr(dunning_links, "_known", {})
    place: Any = Place()
    down = {PREFECT_UI_URL: "http://127.0.0.1:1", PREFECT_API_URL: "http://127.0.0.1:1/api"}
    with temporary_settings(down):
        assert (await hold_form(place)).url(INVOICE) == ""
