"""What Slack is told of ladders: a thread each, or for many a message for up to twenty. Each step of a ladder once.

A message carries the keys of all effects that it tells of. Whatever the ledger knows, the channel is asked for them
before they are told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from order_to_cash.domain.dunning.posts import Post, together
from order_to_cash.domain.errors import O2CError, Refused
from order_to_cash.domain.identity import digest
from order_to_cash.domain.messages import Message
from order_to_cash.ledger.intents import Operation, OperationState
from tasks.company import Company, Slack
from tasks.dunning_work import begin
from tasks.effects import CLOCK_SKEW
from tasks.here import here
from tasks.retrying import step

MOST_POSTS = 10
"""Slack takes about a message a second and channel: with more ladders than this, they share messages."""
LOOK_BACK = timedelta(hours=2)
"""A restored ledger does not know what was told since; it is looked for so far back from when it was due."""
_NO_THREAD = frozenset({"message_not_found", "thread_not_found", "cannot_reply_to_message"})


@dataclass(frozen=True, slots=True)
class Telling:
    """One effect: `post` goes to `channel`, into the thread `thread_ts` where there is one. It was due at `since`.

    `broadcast`: the channel sees what is answered in a thread.
    """

    key: str
    channel: str
    post: Post
    since: datetime
    thread_ts: str = ""
    broadcast: bool = False


@dataclass(slots=True)
class Told:
    """What came of them. `unheard`: Slack did not take it. `later`: to be tried again, such as one that another run
    is telling. `known`: what the channels show of all of them, None where that is asked for each: a channel's history
    may be read 50 times a minute.
    """

    done: set[str] = field(default_factory=set)
    unheard: dict[str, O2CError] = field(default_factory=dict)
    later: dict[str, O2CError] = field(default_factory=dict)
    known: dict[str, str] | None = None
    tried: set[str] = field(default_factory=set)

    def heard(self, keys: Sequence[str]) -> None:
        self.done.update(keys)
        for key in keys:
            self.unheard.pop(key, None)


@dataclass(frozen=True, slots=True)
class _Group:
    """Effects that one message tells of."""

    tellings: tuple[Telling, ...]
    message: Message
    thread_ts: str = ""
    run: str = ""

    @property
    def keys(self) -> list[str]:
        return [one.key for one in self.tellings]

    @property
    def name(self) -> str:
        return self.keys[0] if len(self.keys) == 1 else f"o2c:ladders:{digest(sorted(self.keys))[:32]}"


async def tell_slack(company: Company, tellings: Sequence[Telling], run: str, run_id: str) -> Told:
    """Post what is not posted yet. `run`: the address of the run. Without Slack nothing is told, and that is all."""
    told = Told()
    slack = company.slack
    if slack is None:
        told.heard([one.key for one in tellings])
        return told
    groups = _groups(tellings, run)
    if len(groups) < len(tellings):
        told.known = await asyncio.to_thread(_known, slack, tellings)
    for group in groups:
        down = next((error for error in told.unheard.values() if error.retryable), None)
        if down is not None:  # each further one would wait as long for nothing
            told.unheard.update(dict.fromkeys(group.keys, down))
            continue
        try:
            await here(post_about)(company, slack, group, told, run_id, len(group.tellings))
        except O2CError as error:
            known = told.done | told.unheard.keys() | told.later.keys()
            told.later.update({key: error for key in group.keys if key not in known})
    return told


def _groups(tellings: Sequence[Telling], run: str) -> list[_Group]:
    if len(tellings) <= MOST_POSTS:
        return [_Group((one,), one.post.message, one.thread_ts) for one in tellings]
    groups = []
    for channel in dict.fromkeys(one.channel for one in tellings):
        named = {one.key: one for one in tellings if one.channel == channel}
        for keys, message in together([(key, one.post) for key, one in named.items()], run):
            groups.append(_Group(tuple(named[key] for key in keys), message, run=run))
    return groups


@step("tell Slack of {count} ladders")
async def post_about(
    company: Company, slack: Slack, group: _Group, told: Told, run_id: str, count: int
) -> None:
    """One message, unless an earlier one told all of it. Into `told` what came of each; raises what may pass."""
    del count
    ready, done, elsewhere = await begin(company, [key for key in group.keys if key not in told.done], run_id)
    told.heard(list(done))
    told.later.update(elsewhere)
    try:
        left = await _untold(company, slack, group, ready, told)
        if left:
            await _post(company, slack, group, left, told)
    except O2CError as error:
        open_ = {key: one for key, one in ready.items() if key not in told.done}
        told.unheard.update(dict.fromkeys(open_, error))
        if error.retryable:
            await asyncio.to_thread(company.ledger.effects.release, list(open_.values()))
            raise
        await asyncio.to_thread(company.ledger.effects.refuse, [(one, error) for one in open_.values()])


async def _untold(
    company: Company, slack: Slack, group: _Group, ready: Mapping[str, Operation], told: Told
) -> dict[str, Operation]:
    """Those that no message tells of; the others are written down."""
    if not ready:
        return {}
    again = group.name in told.tried
    told.tried.add(group.name)
    try:
        if told.known is not None and not again:
            found = {key: (told.known[key], "") for key in ready if key in told.known}
        else:
            found = await asyncio.to_thread(_look, slack, group, ready)
    except O2CError as error:
        if error.retryable or any(one.state is OperationState.UNKNOWN for one in ready.values()):
            raise
        found = {}  # the channel's history may not be read: what was never begun is told all the same
    await _succeed(company, {key: (ready[key], *there) for key, there in found.items()}, group, told)
    return {key: one for key, one in ready.items() if key not in found}


def _known(slack: Slack, tellings: Sequence[Telling]) -> dict[str, str] | None:
    """Effect → `ts` of the message that tells of it; None where a channel cannot be read now."""
    since = min(one.since for one in tellings) - LOOK_BACK
    found: dict[str, str] = {}
    try:
        for channel in dict.fromkeys(one.channel for one in tellings):
            keys = {one.key for one in tellings if one.channel == channel}
            found |= slack.gateway.posted(channel, keys, since)
    except O2CError:
        return None
    return found


def _look(slack: Slack, group: _Group, ready: Mapping[str, Operation]) -> dict[str, tuple[str, str]]:
    """Effect → (`ts` of its message, the thread that it stands in)."""
    channel = group.tellings[0].channel
    due = min(one.since for one in group.tellings) - LOOK_BACK
    begun = min(one.intended_at for one in ready.values()) - CLOCK_SKEW
    there: dict[str, tuple[str, str]] = {}
    if group.thread_ts:
        try:
            answers = slack.gateway.posted(channel, list(ready), thread_ts=group.thread_ts)
        except Refused as error:
            if error.code not in _NO_THREAD:
                raise
            answers = {}
        there = {key: (ts, group.thread_ts) for key, ts in answers.items()}
    left = [key for key in ready if key not in there]
    found = slack.gateway.posted(channel, left, min(due, begun)) if left else {}
    return there | {key: (ts, "") for key, ts in found.items()}


async def _post(
    company: Company, slack: Slack, group: _Group, left: Mapping[str, Operation], told: Told
) -> None:
    channel, message, thread_ts = group.tellings[0].channel, group.message, group.thread_ts
    if len(left) < len(group.tellings):  # a part of it was told before
        group = replace(group, tellings=tuple(one for one in group.tellings if one.key in left))
        [(_, message)] = together([(one.key, one.post) for one in group.tellings], group.run)
    about = group.keys if len(group.keys) > 1 else []
    broadcast = group.tellings[0].broadcast

    def post(thread: str) -> str:
        return slack.gateway.post(
            channel,
            message.text,
            message.blocks,
            key=group.name,
            about=about,
            thread_ts=thread,
            broadcast=broadcast,
        )

    try:
        ts = await asyncio.to_thread(post, thread_ts)
    except Refused as error:
        if not thread_ts or error.code not in _NO_THREAD:
            raise
        thread_ts = ""  # somebody deleted the message that opened it
        ts = await asyncio.to_thread(post, "")
    await _succeed(company, {key: (one, ts, thread_ts) for key, one in left.items()}, group, told)


async def _succeed(
    company: Company, there: Mapping[str, tuple[Operation, str, str]], group: _Group, told: Told
) -> None:
    channel = group.tellings[0].channel
    done = {
        key: (operation, {"channel": channel, "ts": ts, "thread_ts": thread})
        for key, (operation, ts, thread) in there.items()
    }
    await asyncio.to_thread(company.ledger.effects.succeed, done)
    told.heard(list(done))
