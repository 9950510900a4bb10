"""The notes of a ladder's journal in words: they are kept as codes, and people read them."""

from __future__ import annotations

_WORDS = {
    "by_hand": "it could not be mailed: a Task with the text is left to a person",
    "mail_unknown": "not known whether the mail left: a Task asks a person to find out",
    "settled_meanwhile": "left out: settled meanwhile",
    "owner_not_found": "whom the policy names is not there: it went to who looks after the Account",
}
_SYSTEMS = {
    "mail": "the mail could not be written",
    "slack": "Slack did not take it",
    "task": "the mail left, and its Task could not be completed",
}


def note_in_words(note: str) -> str:
    """Each part of `note` in words; what is no known code stays as it is, behind the words for its kind."""
    return "; ".join(dict.fromkeys(_part(part.strip()) for part in note.split(";") if part.strip()))


def _part(part: str) -> str:
    kind, colon, code = part.partition(": ")
    if colon and kind in _SYSTEMS:
        return f"{_SYSTEMS[kind]} [{code}]"
    return _WORDS.get(part, part)
