"""`o2c ladder simulate` and `o2c ladder policy`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from order_to_cash.domain.dunning.default_policy import DEFAULT_POLICY

Command = Callable[..., Result]
TUESDAY = ("--starts", "2026-03-03T09:30")


@pytest.fixture
def policy_file(tmp_path: Path) -> Callable[..., str]:
    def write(name: str = "policy.json", **other: Any) -> str:
        path = tmp_path / name
        path.write_text(json.dumps({**DEFAULT_POLICY, **other}), encoding="utf-8")
        return str(path)

    return write


def plain(output: str) -> str:
    return " ".join(output.replace("│", " ").split())


def test_the_calendar_says_when_who_what_and_why(o2c: Command) -> None:
    done = o2c("ladder", "simulate", "--retries", "1,3,5", "--cancel-after", "14d", *TUESDAY)
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[2].split() == ["when", "after", "who", "what", "why"]
    assert [line[:20] for line in lines[4:6]] == ["Tue 2026-03-03 09:30"] * 2
    shown = plain(done.output)
    for words in (
        "start Stripe charges the invoice the first attempt fails",
        "start Account Payment Health = Failed first-failure: at once",
        "start CSM Task (High priority) first-failure: at once",
        "Wed 2026-03-04 09:30 +1 d Stripe tries again: retry 1 fails",
        "+1 d billing contact e-mail customer-mail: 24h after the first failure",
        "Fri 2026-03-06 09:30 +3 d CSM Task to call the customer",
        "+9 d 23 h executive sponsor alert by Slack and e-mail executive: 48h before Stripe's final action; "
        "2 d 30 min earlier (business hours)",
        "Tue 2026-03-17 09:30 +14 d Stripe cancels the subscription",
        "The ladder and Stripe's own attempts go together.",
    ):
        assert words in shown
    assert "warning" not in shown


def test_misalignment_is_told(o2c: Command) -> None:
    shown = plain(o2c("ladder", "simulate", "--retries", "30h,3", "--cancel-after", "7d", *TUESDAY).output)
    assert "warning executive is never taken: it would come 9 d 23 h after the start" in shown
    assert "warning customer-mail comes 6 h before Stripe tries again" in shown


def test_what_a_weekend_moves_is_a_note_and_no_warning(o2c: Command) -> None:
    shown = plain(o2c("ladder", "simulate", "--retries", "1,3,5", "--starts", "2026-03-06T14:00").output)
    assert (
        "note customer-mail was moved to 5 h before Stripe tries again; a longer retry_margin would" in shown
    )
    assert "warning" not in shown


def test_a_retry_that_collects(o2c: Command) -> None:
    shown = plain(o2c("ladder", "simulate", "--paid-by-retry", "2", *TUESDAY).output)
    assert "retry 2 succeeds" in shown
    assert "o2c ends the ladder, clears the flags the invoice is paid" in shown
    assert "Paid before they were due: csm-outreach, executive." in shown


def test_a_sent_invoice_begins_at_its_due_date(o2c: Command) -> None:
    shown = plain(o2c("ladder", "simulate", "--sent", "--due", "2026-03-03T09:30").output)
    assert "start Stripe the invoice is due not paid" in shown
    assert "+1 d billing contact e-mail due-mail: 24h after the due date" in shown
    assert "tries again" not in shown


def test_now_is_where_it_begins_when_nothing_is_said(o2c: Command) -> None:
    assert o2c("ladder", "simulate").exit_code == 0


def test_when_all_goes_together_it_says_so(o2c: Command, policy_file: Callable[..., str]) -> None:
    step = {"key": "one", "anchor": "first_failure", "actions": ["slack"]}
    ladder = {**DEFAULT_POLICY["charged"], "steps": [step]}
    done = o2c("ladder", "simulate", "--policy", policy_file(charged=ladder), *TUESDAY)
    assert done.output.endswith("The ladder and Stripe's own attempts go together.\n")


def test_conditions_take_the_amount_the_segment_and_the_decline(
    o2c: Command, policy_file: Callable[..., str]
) -> None:
    when = [
        {"amount_at_least": {"EUR": 500}},
        {"segments": ["SMB"]},
        {"declines": ["hard"]},
        {"billing": "one_off"},
    ]
    steps = [
        {"key": f"step-{n}", "anchor": "first_failure", "actions": ["slack"], "when": one}
        for n, one in enumerate(when)
    ]
    path = policy_file(charged={**DEFAULT_POLICY["charged"], "steps": steps})
    told: tuple[str, ...] = (
        "--amount",
        "499.99",
        "--currency",
        "eur",
        "--segment",
        "Enterprise",
        "--decline",
        "expired_card",
    )
    shown = o2c("ladder", "simulate", "--policy", path, *told, *TUESDAY).output
    assert shown.count("the step is passed over") == 4
    told = (
        "--amount",
        "500",
        "--currency",
        "EUR",
        "--segment",
        "SMB",
        "--decline",
        "stolen_card",
        "--one-off",
    )
    assert "passed over" not in o2c("ladder", "simulate", "--policy", path, *told, *TUESDAY).output


def test_the_printed_policy_is_read_back(o2c: Command, tmp_path: Path) -> None:
    printed = o2c("ladder", "policy").output
    path = tmp_path / "mine.json"
    path.write_text(printed, encoding="utf-8")
    mine = o2c("ladder", "simulate", "--policy", str(path), *TUESDAY).output
    assert mine == o2c("ladder", "simulate", *TUESDAY).output


YAML = """
name: ours
charged:
  days_to_final_action: 14
  steps:
    - {key: night, anchor: first_failure, delay: 12h, actions: [email], title: null}
sent:
  days_to_final_action: 30
  steps: []
contact_hours:
  time_zone: Europe/Berlin
  days: [mon, tue, wed, thu, fri]
  opens: 09:00
  closes: 17:00
fallback_owner: null
"""


def test_yaml_is_read_as_it_is_written(o2c: Command, tmp_path: Path) -> None:
    path = tmp_path / "ours.yaml"
    path.write_text(YAML.replace(", title: null", ""), encoding="utf-8")
    done = o2c("ladder", "simulate", "--policy", str(path), "--retries", "none", *TUESDAY)
    assert done.exit_code == 0, done.output
    assert "Policy ours" in done.output
    assert "Times in Europe/Berlin" in done.output
    assert "Wed 2026-03-04 09:00" in done.output
    none = o2c("ladder", "simulate", "--policy", str(path), "--sent", *TUESDAY)
    assert "The policy has no step for such an invoice." in none.output
    path.write_text(YAML, encoding="utf-8")
    broken = o2c("ladder", "simulate", "--policy", str(path))
    assert "step night (1 of charged), title" in plain(broken.output)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--retries 1,x", "'x' is no length of time"),
        ("--retries 1,,3", "is no length of time"),
        ("--retries 3,1", "Each retry must come later"),
        ("--retries 0", "after the first failure"),
        ("--retries 1,1", "Each retry must come later"),
        ("--cancel-after soon", "write 14d, 36h or never"),
        ("--cancel-after 0d", "Stripe cannot cancel at the first failure"),
        ("--cancel-after 400", "'400' is no length of time"),
        ("--amount x", "is no amount"),
        ("--amount NaN", "cannot be billed exactly"),
        ("--amount 0", "Nothing is owed"),
        ("--amount -5", "Nothing is owed"),
        ("--amount 1.234", "cannot be billed exactly"),
        ("--amount 1 --currency XXX", "does not bill in the currency 'XXX'"),
        ("--currency XXX", "does not bill in the currency 'XXX'"),
        ("--starts yesterday", "for --starts: 'yesterday' is no moment"),
        ("--sent --due yesterday", "for --due: 'yesterday' is no moment"),
        ("--sent --due 9999-12-31", "for --due: Choose a year between"),
        ("--starts 9999-12-31", "between 1971 and 9000"),
        ("--time-zone Mars", "is no time zone"),
        ("--decline nonsense", "is no decline code"),
        ("--sent --retries 1", "Stripe does not charge a sent invoice"),
        ("--due 2026-03-03", "instead of --due"),
        ("--sent --due 2026-03-03 --starts 2026-03-03", "without --starts"),
        ("--paid-by-retry 4", "There are 3 retries"),
        ("--paid-by-retry -1", "--paid-by-retry"),
        ("--paid-by-retry 3 --cancel-after 4d", "Stripe cancels before that retry"),
        ("--one-off --cancel-after 14d", "never canceled"),
        ("--policy nowhere.json", "nowhere.json"),
        ("--policy .", "--policy"),
        ("--polcy x", "--polcy"),
    ],
)
def test_a_wrong_argument_is_a_plain_sentence_with_status_2(o2c: Command, words: str, said: str) -> None:
    done = o2c("ladder", "simulate", *words.split())
    assert done.exit_code == 2
    assert said in plain(done.output)
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("p.json", "{", "p.json is no JSON: Expecting property name enclosed in double quotes, line 1"),
        ("p.json", "[]", "it must be a mapping"),
        ("p.json", "[" * 100_000, "p.json is no JSON"),
        ("p.yaml", "charged: [", "p.yaml is no YAML that can be read, line 1"),
        ("p.yaml", "!!python/object/apply:os.system ['true']", "p.yaml is no YAML that can be read"),
        ("p.yaml", "", "it must be a mapping"),
        ("p.json", b"\xff\xfe", "p.json cannot be read"),
        ("p.json", " " * 1_000_001, "larger than a policy can be"),
    ],
)
def test_a_broken_file_is_told_with_status_2(
    o2c: Command, tmp_path: Path, name: str, content: str | bytes, said: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    done = o2c("ladder", "simulate", "--policy", str(path))
    assert done.exit_code == 2
    assert said in plain(done.output)


def test_a_broken_policy_names_the_step(o2c: Command, policy_file: Callable[..., str]) -> None:
    step = {"key": "mail", "anchor": "first_failure", "delay": "tomorrow", "actions": ["email"]}
    done = o2c(
        "ladder", "simulate", "--policy", policy_file(charged={**DEFAULT_POLICY["charged"], "steps": [step]})
    )
    assert done.exit_code == 2
    shown = plain(done.output)
    assert "step mail (1 of charged), delay: 'tomorrow' is no length of time" in shown
    assert "`o2c ladder policy` prints one that is valid" in shown
