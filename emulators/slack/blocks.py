"""Block Kit as far as order-to-cash messages use it, refused where Slack refuses it.

Limits: https://docs.slack.dev/reference/block-kit/blocks (header, section, context, actions, image, divider).
Other block types, which Slack knows, are refused here: nothing would have checked them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

MAX_BLOCKS = 50
# Slack names no figure for `msg_blocks_too_long`. Others measured (slackapi/bolt-js #2867): 9,597 characters
# of text in all blocks together were accepted, 11,341 were not.
MAX_TEXT_OF_ALL_BLOCKS = 10_000

PLAIN = ("plain_text",)
TEXTS = ("plain_text", "mrkdwn")
Errors = Iterator[str]


def block_errors(blocks: Any) -> list[str]:
    """What Slack would find wrong, in its words; empty when the blocks are accepted."""
    if not isinstance(blocks, list):
        return ["must be an array [json-pointer:/blocks]"]
    if len(blocks) > MAX_BLOCKS:
        return [f"no more than {MAX_BLOCKS} items allowed [json-pointer:/blocks]"]
    errors: list[str] = []
    seen: set[str] = set()
    for index, block in enumerate(blocks):
        at = f"/blocks/{index}"
        errors.extend(_block(block, at))
        block_id = block.get("block_id") if isinstance(block, dict) else None
        if isinstance(block_id, str) and block_id in seen:
            errors.append(_error(f"`block_id` {block_id} already exists", f"{at}/block_id"))
        seen.add(str(block_id))
    return errors


def text_length(value: Any) -> int:
    """Characters of text in blocks, all depths."""
    if isinstance(value, list):
        return sum(map(text_length, value))
    if not isinstance(value, dict):
        return 0
    own = value.get("text")
    return (len(own) if isinstance(own, str) else 0) + sum(map(text_length, value.values()))


def _block(block: Any, at: str) -> Errors:
    if not isinstance(block, dict):
        yield _error("must be an object", at)
        return
    check = _CHECKS.get(str(block.get("type")))
    if check is None:
        yield _error(f"unsupported type: {block.get('type')}", f"{at}/type")
        return
    if "block_id" in block:
        yield from _string(block["block_id"], f"{at}/block_id", 255)
    yield from check(block, at)


def _header(block: Mapping[str, Any], at: str) -> Errors:
    yield from _text(block.get("text"), f"{at}/text", 150, PLAIN)


def _section(block: Mapping[str, Any], at: str) -> Errors:
    if "text" not in block and "fields" not in block:
        yield _error("missing required field: text", at)
    if "text" in block:
        yield from _text(block["text"], f"{at}/text", 3000)
    if "fields" in block:
        yield from _items(block["fields"], f"{at}/fields", 10, lambda item, here: _text(item, here, 2000))
    if "accessory" in block:
        yield from _element(block["accessory"], f"{at}/accessory")


def _context(block: Mapping[str, Any], at: str) -> Errors:
    yield from _items(block.get("elements"), f"{at}/elements", 10, _context_element)


def _actions(block: Mapping[str, Any], at: str) -> Errors:
    yield from _items(block.get("elements"), f"{at}/elements", 25, _element)


def _image(block: Mapping[str, Any], at: str) -> Errors:
    yield from _string(block.get("image_url"), f"{at}/image_url", 3000)
    yield from _string(block.get("alt_text"), f"{at}/alt_text", 2000)


def _divider(block: Mapping[str, Any], at: str) -> Errors:
    del block, at
    return iter(())


def _context_element(element: Any, at: str) -> Errors:
    if isinstance(element, dict) and element.get("type") == "image":
        return _image(element, at)
    return _text(element, at, 2000)


def _element(element: Any, at: str) -> Errors:
    if not isinstance(element, dict):
        yield _error("must be an object", at)
    elif element.get("type") == "image":
        yield from _image(element, at)
    elif element.get("type") == "button":
        yield from _button(element, at)
    else:
        yield _error(f"unsupported type: {element.get('type')}", f"{at}/type")


def _button(button: Mapping[str, Any], at: str) -> Errors:
    yield from _text(button.get("text"), f"{at}/text", 75, PLAIN)
    for name, most in (("url", 3000), ("value", 2000), ("action_id", 255)):
        if name in button:
            yield from _string(button[name], f"{at}/{name}", most)
    if not str(button.get("url", "https://")).startswith(("http://", "https://", "mailto:", "slack://")):
        yield _error("must be a valid URL", f"{at}/url")
    if button.get("style", "primary") not in ("primary", "danger"):
        yield _error("value must be one of primary, danger", f"{at}/style")


def _text(value: Any, at: str, most: int, kinds: tuple[str, ...] = TEXTS) -> Errors:
    if not isinstance(value, dict):
        yield _error("must be a text object" if value is not None else "missing required field: text", at)
    elif value.get("type") not in kinds:
        yield _error(f"must be one of the types {', '.join(kinds)}", f"{at}/type")
    else:
        yield from _string(value.get("text"), f"{at}/text", most)


def _string(value: Any, at: str, most: int) -> Errors:
    if not isinstance(value, str):
        yield _error("must be a string", at)
    elif not value:
        yield _error("must be more than 0 characters", at)
    elif len(value) > most:
        yield _error(f"must be less than {most + 1} characters", at)


def _items(value: Any, at: str, most: int, check: Callable[[Any, str], Errors]) -> Errors:
    if not isinstance(value, list) or not value:
        yield _error("must provide at least 1 item", at)
    elif len(value) > most:
        yield _error(f"no more than {most} items allowed", at)
    else:
        for index, item in enumerate(value):
            yield from check(item, f"{at}/{index}")


def _error(what: str, at: str) -> str:
    return f"{what} [json-pointer:{at}]"


_CHECKS: Mapping[str, Callable[[Mapping[str, Any], str], Errors]] = {
    "header": _header,
    "section": _section,
    "context": _context,
    "actions": _actions,
    "image": _image,
    "divider": _divider,
}
