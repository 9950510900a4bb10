"""Tokens of SOQL, and the org's way of pointing at the one that is wrong."""

import re
from dataclasses import dataclass

from emulators.salesforce.errors import OrgError

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<string>'(?:[^'\\]|\\.)*')
    |(?P<datetime>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d))
    |(?P<date>\d{4}-\d\d-\d\d)
    |(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<range>[A-Za-z_]+:\d+)
    |(?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)
    |(?P<sign><=|>=|<>|!=|=|<|>|\(|\)|,)""",
    re.VERBOSE,
)
_CONTEXT = 60  # characters of the query shown on either side of the mistake


@dataclass(frozen=True)
class Token:
    kind: str
    text: str
    pos: int

    @property
    def word(self) -> str:
        """The text in lower case if it is a name, else nothing: keywords match in any case."""
        return self.text.lower() if self.kind == "name" else ""


def locate(text: str, pos: int) -> str:
    """The line with a caret under the mistake, and its row and column counted from 1."""
    row = text.count("\n", 0, pos) + 1
    column = pos - (text.rfind("\n", 0, pos) + 1) + 1
    start = max(text.rfind("\n", 0, pos) + 1, pos - _CONTEXT)
    shown = text[start : pos + _CONTEXT].split("\n", maxsplit=1)[0]
    return f"\n{shown}\n{' ' * (pos - start)}^\nERROR at Row:{row}:Column:{column}\n"


def mistake(text: str, pos: int, message: str, code: str = "MALFORMED_QUERY") -> OrgError:
    return OrgError(code, locate(text, pos) + message)


def tokens(text: str) -> list[Token]:
    """Every token, and an `end`; raises MALFORMED_QUERY for a character that begins none."""
    found = []
    pos = 0
    while pos < len(text):
        match = _TOKEN.match(text, pos)
        if match is None:
            if text[pos] == "'":
                raise mistake(text, pos, "line breaks not allowed in string literals or it is not closed")
            raise mistake(text, pos, f"unexpected token: '{text[pos]}'")
        if match.lastgroup != "space":
            found.append(Token(str(match.lastgroup), match[0], pos))
        pos = match.end()
    found.append(Token("end", "<EOF>", len(text)))
    return found


_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", '"': '"', "'": "'", "\\": "\\"}
_ESCAPES |= {"_": "\\_", "%": "\\%"}
_ESCAPED = re.compile(r"\\(?:[uU](?P<code>[0-9a-fA-F]{4})|(?P<letter>.))", re.DOTALL)


def unquote(text: str, token: Token) -> str:
    r"""The content of a string token. `\_` and `\%` stay escaped: only LIKE gives them a meaning."""

    def replace(match: re.Match[str]) -> str:
        if match["code"]:
            return chr(int(match["code"], 16))
        letter = match["letter"]
        found = _ESCAPES.get(letter if letter in "_%\"'\\" else letter.lower())
        if found is None:
            message = (
                f"Invalid string literal '{token.text[1:-1]}'. "
                f"Illegal character sequence '\\{letter}' in string literal."
            )
            raise mistake(text, token.pos + match.start() + 1, message)
        return found

    return _ESCAPED.sub(replace, token.text[1:-1])
