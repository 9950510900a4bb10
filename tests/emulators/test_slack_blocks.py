"""Block Kit's limits, held to the ones that the official SDK's own models carry."""

from __future__ import annotations

from typing import Any

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackObjectFormationError
from slack_sdk.models.blocks import (
    ActionsBlock,
    Block,
    ButtonElement,
    ContextBlock,
    DividerBlock,
    HeaderBlock,
    ImageBlock,
    MarkdownTextObject,
    PlainTextObject,
    SectionBlock,
)

from emulators.run import running
from emulators.slack.blocks import MAX_TEXT_OF_ALL_BLOCKS, block_errors, text_length
from emulators.slack.service import SlackService

Json = dict[str, Any]


def text(length: int, kind: str = "mrkdwn") -> Json:
    return {"type": kind, "text": "x" * length}


def button(**more: Any) -> Json:
    return {"type": "button", "text": text(4, "plain_text"), **more}


def section(**parts: Any) -> Json:
    return {"type": "section", **parts}


ACCEPTED: list[Block] = [
    HeaderBlock(text="x" * HeaderBlock.text_max_length),
    SectionBlock(text="x" * SectionBlock.text_max_length),
    SectionBlock(
        text="x",
        fields=["y"] * SectionBlock.fields_max_length,
        accessory=ButtonElement(text="z", url="https://a"),
    ),
    SectionBlock(fields=[MarkdownTextObject(text="x" * 2000)]),
    ContextBlock(elements=[PlainTextObject(text="x")] * ContextBlock.elements_max_length),
    ActionsBlock(
        elements=[
            ButtonElement(text="x" * ButtonElement.text_max_length, action_id=f"a{n}", style="danger")
            for n in range(ActionsBlock.elements_max_length)
        ]
    ),
    ImageBlock(image_url="https://a/b.png", alt_text="x"),
    DividerBlock(block_id="x" * Block.block_id_max_length),
]


@pytest.mark.parametrize("block", ACCEPTED, ids=lambda block: block.type)
def test_what_the_sdk_lets_through_at_its_limits_is_accepted(block: Block) -> None:
    assert block_errors([block.to_dict()]) == []


REFUSED_BY_BOTH: list[Block] = [
    HeaderBlock(text="x" * (HeaderBlock.text_max_length + 1)),
    SectionBlock(text="x" * (SectionBlock.text_max_length + 1)),
    SectionBlock(fields=["y"] * (SectionBlock.fields_max_length + 1)),
    SectionBlock(block_id="nothing"),
    ContextBlock(elements=[PlainTextObject(text="x")] * (ContextBlock.elements_max_length + 1)),
    ActionsBlock(elements=[ButtonElement(text="x", action_id="a")] * (ActionsBlock.elements_max_length + 1)),
    ActionsBlock(elements=[ButtonElement(text="x" * (ButtonElement.text_max_length + 1), action_id="a")]),
    DividerBlock(block_id="x" * (Block.block_id_max_length + 1)),
]


@pytest.mark.parametrize("block", REFUSED_BY_BOTH, ids=lambda block: block.type)
def test_what_the_sdk_would_not_build_is_refused(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SlackObjectFormationError):
        block.to_dict()
    monkeypatch.setattr(Block, "validate_json", lambda self: None)
    monkeypatch.setattr(ButtonElement, "validate_json", lambda self: None)
    assert block_errors([block.to_dict()])


@pytest.mark.parametrize(
    ("block", "error"),
    [
        ("text", "must be an object [json-pointer:/blocks/0]"),
        ({"type": "table"}, "unsupported type: table [json-pointer:/blocks/0/type]"),
        (
            {"type": "header", "text": text(3)},
            "must be one of the types plain_text [json-pointer:/blocks/0/text/type]",
        ),
        ({"type": "header"}, "missing required field: text [json-pointer:/blocks/0/text]"),
        (section(text="x"), "must be a text object [json-pointer:/blocks/0/text]"),
        (section(text=text(0)), "must be more than 0 characters [json-pointer:/blocks/0/text/text]"),
        (
            section(text={"type": "mrkdwn", "text": 5}),
            "must be a string [json-pointer:/blocks/0/text/text]",
        ),
        (section(text=text(3001)), "must be less than 3001 characters [json-pointer:/blocks/0/text/text]"),
        (
            section(fields=[text(1), text(2001)]),
            "must be less than 2001 characters [json-pointer:/blocks/0/fields/1/text]",
        ),
        (section(fields=[]), "must provide at least 1 item [json-pointer:/blocks/0/fields]"),
        (
            section(text=text(1), accessory={"type": "overflow"}),
            "unsupported type: overflow [json-pointer:/blocks/0/accessory/type]",
        ),
        (
            {"type": "actions", "elements": [5]},
            "must be an object [json-pointer:/blocks/0/elements/0]",
        ),
        (
            {"type": "actions", "elements": [button(url="javascript:1")]},
            "must be a valid URL [json-pointer:/blocks/0/elements/0/url]",
        ),
        (
            {"type": "actions", "elements": [button(style="loud")]},
            "value must be one of primary, danger [json-pointer:/blocks/0/elements/0/style]",
        ),
        (
            {"type": "context", "elements": [{"type": "image", "image_url": "https://a"}]},
            "must be a string [json-pointer:/blocks/0/elements/0/alt_text]",
        ),
    ],
)
def test_an_error_says_what_and_where(block: Any, error: str) -> None:
    assert block_errors([block]) == [error]


def test_blocks_are_a_list_of_fifty_with_ids_of_their_own() -> None:
    divider = {"type": "divider"}
    assert block_errors({}) == ["must be an array [json-pointer:/blocks]"]
    assert block_errors([divider] * 50) == []
    assert block_errors([divider] * 51) == ["no more than 50 items allowed [json-pointer:/blocks]"]
    twins = [divider | {"block_id": "a"}] * 2
    assert block_errors(twins) == ["`block_id` a already exists [json-pointer:/blocks/1/block_id]"]


def test_all_text_counts_towards_the_sum() -> None:
    assert text_length([section(text=text(5), fields=[text(7)]), {"type": "divider"}]) == 12


def test_slack_answers_with_its_errors_in_both_places() -> None:
    with running(SlackService()) as urls:
        client = WebClient("xoxb-emulator", base_url=urls["slack"], retry_handlers=[])
        with pytest.raises(SlackApiError) as caught:
            client.chat_postMessage(channel="#billing", text="x", blocks=[section(text=text(3001))])
        error = "must be less than 3001 characters [json-pointer:/blocks/0/text/text]"
        assert caught.value.response["error"] == "invalid_blocks"
        assert caught.value.response["errors"] == [error]
        assert caught.value.response["response_metadata"] == {"messages": [f"[ERROR] {error}"]}
        full = [section(text=text(2500))] * (MAX_TEXT_OF_ALL_BLOCKS // 2500)
        assert client.chat_postMessage(channel="#billing", text="x", blocks=full)["ok"]
        with pytest.raises(SlackApiError) as caught:
            client.chat_postMessage(channel="#billing", text="x", blocks=[*full, section(text=text(1))])
        assert caught.value.response["error"] == "msg_blocks_too_long"
