"""Messages as a person at a terminal reads them."""

from __future__ import annotations

from typing import Any

from slack_sdk import WebClient

from emulators.run import running
from emulators.slack.render import broadcasts, plain, render_journal, render_message
from emulators.slack.service import SlackService


def mrkdwn(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text}


BLOCKS: list[dict[str, Any]] = [
    {"type": "header", "text": {"type": "plain_text", "text": "Deal won"}},
    {"type": "section", "text": mrkdwn("*Northwind* <https://a/i|invoice>\nsecond line")},
    {"type": "section", "fields": [mrkdwn("*Amount*"), mrkdwn("10.00 EUR")]},
    {"type": "divider"},
    {
        "type": "context",
        "elements": [
            mrkdwn("run `able-crow`"),
            {"type": "image", "image_url": "https://a", "alt_text": "logo"},
        ],
    },
    {"type": "image", "image_url": "https://a", "alt_text": "chart"},
    {
        "type": "actions",
        "elements": [
            {"type": "button", "text": {"type": "plain_text", "text": "Open"}, "url": "https://a/i"},
            {"type": "button", "text": {"type": "plain_text", "text": "Later"}},
            {"type": "image", "image_url": "https://a", "alt_text": "dot"},
        ],
    },
]


def test_every_block_has_its_line() -> None:
    message = {"ts": "1795161600.000100", "text": "fallback", "blocks": BLOCKS}
    assert render_message(message, channel="billing").splitlines() == [
        "#billing  2026-11-20 08:00:00 UTC",
        "  Deal won",
        "  ────────",
        "  *Northwind* invoice (https://a/i)",
        "  second line",
        "  *Amount*",
        "  10.00 EUR",
        "  ────",
        "  run `able-crow` · [logo]",
        "  [chart]",
        "  [Open] https://a/i  [Later]  [dot]",
    ]


def test_a_message_without_blocks_is_its_text() -> None:
    message = {"ts": "1795161600.000100", "text": "a &amp; b"}
    assert render_message(message).splitlines() == ["#channel  2026-11-20 08:00:00 UTC", "  a & b"]


def test_control_sequences_read_as_people_see_them() -> None:
    assert plain("<!channel> <!here|all> <@U1|ada> <#C1> <https://a> &lt;b&gt;") == (
        "@channel all ada #C1 https://a <b>"
    )


def test_calls_to_everyone_are_found_where_slack_would_make_them() -> None:
    nasty = 'O\'Brien \\ "Co" <!channel>'
    assert broadcasts({"text": nasty}) == ["channel"]
    assert broadcasts({"text": "x", "blocks": [{"type": "section", "fields": [mrkdwn("<!here|x>")]}]}) == [
        "here"
    ]
    escaped = nasty.replace("<", "&lt;").replace(">", "&gt;")
    header = {"type": "header", "text": {"type": "plain_text", "text": nasty}}
    metadata = {"event_type": "o2c", "event_payload": {"text": nasty}}
    assert broadcasts({"text": escaped, "blocks": [header], "metadata": metadata}) == []


def test_the_journal_reads_as_the_channel_did() -> None:
    service = SlackService()
    with running(service) as urls:
        client = WebClient("xoxb-emulator", base_url=urls["slack"], retry_handlers=[])
        client.auth_test()
        posted = client.chat_postMessage(channel="#billing", text="one")
        client.chat_update(channel=posted["channel"], ts=posted["ts"], text="two")
        entries = [entry.as_json() for entry in service.journal.entries]
    told = render_journal(entries, channels=["general", "billing"])
    assert [line for line in told.splitlines() if not line.startswith("#billing")] == ["  one", "", "  two"]
    assert render_journal(entries).startswith(f"#{posted['channel']}")
