"""What an audit row holds of a call."""

from __future__ import annotations

import json

import pytest

from order_to_cash.gateways.calls import CallRecorder, acting_as, digest, shown
from tests.gateways.conftest import RememberingAudit

URL = "https://api.example.com/v1/things"


@pytest.fixture
def recorder(audit: RememberingAudit) -> CallRecorder:
    return CallRecorder(audit, "stripe", "cli")


def test_query_and_form_are_kept_apart_from_the_path(recorder: CallRecorder, audit: RememberingAudit) -> None:
    recorder.begin("post", f"{URL}?email=ada%40acme.example&limit=3", b"name=Acme&tag=a&tag=b&empty=")
    (intent,) = audit.intents
    assert (intent.system, intent.method, intent.path) == ("stripe", "POST", "/v1/things")
    assert intent.request == {
        "email": "a…@acme.example",
        "limit": "3",
        "name": "Acme",
        "tag": ["a", "b"],
        "empty": "",
    }


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (b"", {}),
        (b'{"a": 1}', {"a": 1}),
        (b"[1, 2]", {"items": [1, 2]}),
        (b"{broken", {"text": "{broken"}),
        (b"just text", {"text": "just text"}),
        (b"--boundary\r\nPK\x00", {"bytes": 15}),
        (b"x" * 20_001, {"bytes": 20_001}),
        (json.dumps({"big": "y" * 30_000}).encode(), {"bytes": 30_011}),
    ],
)
def test_bodies_of_every_kind(
    recorder: CallRecorder, audit: RememberingAudit, body: bytes, kept: dict[str, object]
) -> None:
    call = recorder.begin("POST", URL, body)
    recorder.finish(call, status=200, body=body)
    assert audit.intents[0].request == kept
    assert audit.outcomes["0"].response == kept
    assert audit.outcomes["0"].response_digest == digest(body)


def test_literals_of_a_query_are_blanked_but_ids_stay(
    recorder: CallRecorder, audit: RememberingAudit
) -> None:
    soql = r"SELECT Id FROM Account WHERE Name = 'O\'Brien' AND Id IN ('001000000000001AAA') AND City = ''"
    recorder.begin("GET", f"{URL}?q={soql}", b"")
    assert audit.intents[0].request["q"] == (
        "SELECT Id FROM Account WHERE Name = '…' AND Id IN ('001000000000001AAA') AND City = '…'"
    )


def test_the_actor_is_who_acts_now(recorder: CallRecorder, audit: RememberingAudit) -> None:
    recorder.begin("GET", URL, b"")
    with acting_as("run-7"):
        recorder.begin("GET", URL, b"")
    recorder.begin("GET", URL, b"")
    assert [intent.actor for intent in audit.intents] == ["cli", "run-7", "cli"]


def test_requests_that_differ_have_different_digests(recorder: CallRecorder, audit: RememberingAudit) -> None:
    for body in (b"email=a@x.example", b"email=ab@x.example"):
        recorder.begin("POST", URL, body)
    first, second = audit.intents
    assert first.request == second.request  # masked alike
    assert first.request_digest != second.request_digest


@pytest.mark.parametrize("name", ["ada@acme.example", "O\\'Neill Ada", "Ada \\\\"])
def test_a_long_query_is_cut_and_no_name_shows_at_the_cut(name: str) -> None:
    for room in range(len(name) + 4):
        front = "SELECT Id FROM Account WHERE Name IN ("
        soql = front + " " * (2_000 - len(front) - room) + f"'{name}', '001000000000001AAA')" + " " * 500
        text = str(shown({"q": soql})["q"])
        assert text.startswith(front)
        assert text.endswith("…")
        assert "Ada" not in text
        assert "ada@" not in text
        assert "Neill" not in text
