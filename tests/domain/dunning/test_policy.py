"""A policy is data: what it may say, how faults are told, and that its version stands for its content."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings

from order_to_cash.domain.dunning.default_policy import DEFAULT_POLICY, default_policy
from order_to_cash.domain.dunning.policy import DunningPolicy
from order_to_cash.domain.dunning.reading import read_policy
from order_to_cash.domain.dunning.steps import ActionKind, Anchor, Owner
from order_to_cash.domain.errors import ConfigurationError
from order_to_cash.domain.records import CollectionMethod
from tests.domain.dunning.ladders import HOUR, policies

Edit = Callable[[dict[str, Any]], object]


def edited(edit: Edit) -> dict[str, Any]:
    data = copy.deepcopy(DEFAULT_POLICY)
    edit(data)
    return data


def first(data: dict[str, Any]) -> dict[str, Any]:
    step: dict[str, Any] = data["charged"]["steps"][0]
    return step


def test_the_default_is_what_is_promised() -> None:
    policy = default_policy()
    charged = policy.ladder(CollectionMethod.CHARGE_AUTOMATICALLY).steps
    assert [step.delay for step in charged[:3]] == [timedelta(0), 24 * HOUR, 72 * HOUR]
    assert charged[3].anchor is Anchor.STRIPES_END
    assert [step.kinds for step in charged] == [
        {ActionKind.PAYMENT_HEALTH, ActionKind.ACCOUNT_STATUS, ActionKind.TASK, ActionKind.SLACK},
        {ActionKind.EMAIL, ActionKind.CASE},
        {ActionKind.OUTREACH_TASK},
        {ActionKind.EXECUTIVE_ALERT, ActionKind.ACCOUNT_FLAG},
    ]
    assert [step.in_business_hours for step in charged] == [False, True, True, True]
    assert [step.contacts_customer for step in charged] == [False, True, True, False]
    sent = policy.ladder(CollectionMethod.SEND_INVOICE).steps
    assert sent[0].anchor is Anchor.DUE_DATE
    assert ActionKind.PAYMENT_HEALTH not in sent[0].kinds


@given(policies())
@settings(max_examples=50)
def test_any_policy_survives_being_written_down(policy: DunningPolicy) -> None:
    again = read_policy(json.loads(policy.model_dump_json()))
    assert again == policy
    assert again.version == policy.version
    brief = read_policy(json.loads(policy.model_dump_json(exclude_defaults=True)))
    assert brief.version == policy.version


@pytest.mark.parametrize(
    "edit",
    [
        lambda data: first(data).update(title="Failed"),
        lambda data: data["charged"]["steps"][1].update(delay="25h"),
        lambda data: data["charged"].update(days_to_final_action=15),
        lambda data: data["contact_hours"].update(holidays=["2026-12-25"]),
        lambda data: data["contact_hours"].update(time_zone="Europe/Berlin"),
        lambda data: data.update(quiet_period="21h"),
        lambda data: first(data).update(when={"segments": ["Enterprise"]}),
    ],
)
def test_what_is_said_otherwise_is_another_version(edit: Edit) -> None:
    assert read_policy(edited(edit)).version != default_policy().version


@pytest.mark.parametrize(
    "edit",
    [
        lambda data: data.update(name="ours"),
        lambda data: data.update(quiet_period="1200m"),
        lambda data: data["charged"]["steps"][1].update(delay="1d"),
        lambda data: data["contact_hours"].update(days=["fri", "thu", "wed", "tue", "mon", "mon"]),
        lambda data: first(data).update(when={}),
        lambda data: first(data)["actions"].insert(0, {"kind": first(data)["actions"].pop(0)}),
    ],
)
def test_what_is_only_written_otherwise_is_the_same_version(edit: Edit) -> None:
    assert read_policy(edited(edit)).version == default_policy().version


def test_the_default_policys_version_is_known() -> None:
    # Ladders that are asleep name it: a change of code that changes it would leave them without their policy.
    assert default_policy().version == "1ec6ac04259bcd3b"


FAULTS: list[tuple[Edit, str]] = [
    (
        lambda data: data["charged"]["steps"][1].update(delay="soon"),
        "step customer-mail (2 of charged), delay: 'soon'",
    ),
    (
        lambda data: data["charged"]["steps"][1].update(delay="100h"),
        "step csm-outreach: delay 72h is shorter",
    ),
    (lambda data: data["sent"]["steps"][0].pop("anchor"), "step due (1 of sent), anchor: is missing"),
    (lambda data: data["sent"]["steps"][0].pop("key"), "step 1 of sent, key: is missing"),
    (
        lambda data: data["sent"]["steps"][0].update(key="due-mail"),
        "step due-mail: key due-mail stands twice",
    ),
    (lambda data: first(data).update(key="A B"), "key: must be small letters"),
    (
        lambda data: first(data).update(colour="red"),
        "step first-failure (1 of charged), colour: no such field",
    ),
    (lambda data: first(data).update(anchor="due_date"), "step first-failure: anchor due_date does not fit"),
    (lambda data: first(data).update(anchor="someday"), "anchor: must be 'first_failure'"),
    (lambda data: first(data).update(lead="3h"), "only a step with the anchor stripes_end has a lead"),
    (lambda data: first(data).update(actions=[]), "actions: needs at least 1"),
    (lambda data: first(data)["actions"].append("emial"), "actions 5 kind: must be"),
    (lambda data: first(data)["actions"].append("slack"), "actions: the same one stands there twice"),
    (
        lambda data: first(data)["actions"].append({"kind": "email", "owner": "csm"}),
        "actions 5: email has no owner",
    ),
    (lambda data: first(data)["actions"][2].update(owner="boss"), "actions 3 owner: 'boss' is no owner"),
    (lambda data: first(data)["actions"][2].update(owner="user:"), "'user:' is no owner"),
    (
        lambda data: first(data).update(when={"amount_at_least": {"XXX": 1}}),
        "does not bill in the currency XXX",
    ),
    (lambda data: first(data).update(when={"amount_below": {"JPY": "1.5"}}), "JPY has 0 decimal places"),
    (lambda data: first(data).update(when={"segments": [" "]}), "an empty name is not allowed"),
    (lambda data: first(data).update(when={"attempts_at_least": 3, "attempts_at_most": 2}), "never hold"),
    (lambda data: data["charged"]["steps"].append("again"), "step 5 of charged: must be a mapping"),
    (
        lambda data: data["charged"]["steps"].reverse(),
        "cannot follow executive, which waits for Stripe's end",
    ),
    (
        lambda data: data["charged"].update(lead="20d"),
        "step executive: lead 20d is not shorter than the 14 days",
    ),
    (lambda data: data["charged"].update(days_to_final_action=0), "charged days_to_final_action"),
    (lambda data: data.pop("sent"), "sent: is missing"),
    (lambda data: data.update(charged=None), "charged: must be a mapping"),
    (lambda data: data["charged"].update(steps={}), "charged steps: must be a list"),
    (
        lambda data: data["contact_hours"].update(time_zone="Mars"),
        "contact_hours time_zone: 'Mars' is no time zone",
    ),
    (lambda data: data["contact_hours"].update(opens="18:00"), "closes must be at least an hour later"),
    (lambda data: data["contact_hours"].update(closes=1020), 'write a time of day such as "09:00"'),
    (lambda data: data["contact_hours"].update(days=[]), "name at least one day"),
    (lambda data: data.update(quiet_period=5), "quiet_period: '5' is no length of time"),
    (lambda data: data.update(retry_margin="13h"), "retry_margin: at most 12h"),
    (lambda data: [data[kind].update(steps=[]) for kind in ("charged", "sent")], "name at least one step"),
]


@pytest.mark.parametrize(("edit", "said"), FAULTS)
def test_a_fault_is_told_with_step_and_field(edit: Edit, said: str) -> None:
    with pytest.raises(ConfigurationError) as told:
        read_policy(edited(edit))
    assert said in told.value.message
    assert told.value.code == "policy_invalid"
    for noise in ("Value error", "pydantic", "Input should", "..", "[type="):
        assert noise not in told.value.message


def test_a_list_with_a_wrong_entry_is_not_called_too_short_as_well() -> None:
    with pytest.raises(ConfigurationError) as told:
        read_policy(edited(lambda data: first(data).update(actions=["emial"])))
    assert "actions 1 kind: must be" in told.value.message
    assert "needs at least" not in told.value.message


@pytest.mark.parametrize("data", [None, [], "charged", 5])
def test_what_is_no_mapping_is_no_policy(data: object) -> None:
    with pytest.raises(ConfigurationError, match="must be a mapping"):
        read_policy(data)


def test_many_faults_are_told_together_and_cut() -> None:
    data = edited(lambda data: [step.update(delay="x", key="?") for step in data["sent"]["steps"] * 2])
    data["charged"]["steps"] = [{"key": f"step-{number}"} for number in range(9)]
    with pytest.raises(ConfigurationError) as told:
        read_policy(data)
    assert told.value.message.count(";") == 10
    assert "more." in told.value.message


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("csm", "csm"),
        ("account_owner", "account owner"),
        ("user: jo", "jo"),
        ("queue:Collections", "Collections"),
    ],
)
def test_owners_are_one_word(written: str, shown: str) -> None:
    owner = Owner.model_validate(written)
    assert str(owner) == shown
    assert Owner.model_validate(owner.model_dump()) == owner
