"""Recursive descent over SOQL's grammar; everything outside it is MALFORMED_QUERY."""

from collections.abc import Callable
from decimal import Decimal

from emulators.salesforce.errors import OrgError
from emulators.salesforce.soql.dates import COUNTED_RANGES, PLAIN_RANGES
from emulators.salesforce.soql.lexer import Token, mistake, tokens, unquote
from emulators.salesforce.soql.tree import (
    AGGREGATES,
    Aggregate,
    Both,
    Compare,
    Condition,
    Constant,
    FieldsOf,
    InList,
    InQuery,
    Name,
    Not,
    Order,
    Query,
)

MAX_LENGTH = 100_000  # characters of a statement, as in the org
_CLAUSES = frozenset(
    {"where", "with", "group", "having", "order", "limit", "offset", "for", "using", "all", "update"}
)
_OPERATORS = frozenset({"=", "!=", "<>", "<", ">", "<=", ">="})


def parse(text: str) -> Query:
    """The tree of a statement; raises MALFORMED_QUERY."""
    if len(text) > MAX_LENGTH:
        raise OrgError("MALFORMED_QUERY", f"SOQL statements cannot be longer than {MAX_LENGTH} characters.")
    parser = _Parser(text)
    query = parser.query()
    parser.expect_end()
    return query


def parse_condition(text: str) -> Condition:
    """A bare WHERE condition, as validation rules of the emulator are written."""
    parser = _Parser(text)
    condition = parser.condition()
    parser.expect_end()
    return condition


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokens(text)
        self.at = 0

    # -- small steps ------------------------------------------------------------------------------------

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def next(self) -> Token:
        token = self.token
        self.at += 1
        return token

    def unexpected(self) -> OrgError:
        shown = self.token.text
        if self.token.kind == "end":
            return mistake(self.text, self.token.pos, "unexpected token: '<EOF>'")
        return mistake(self.text, self.token.pos, f"unexpected token: '{shown}'")

    def take(self, *words: str) -> bool:
        """Consume the word or sign sequence if it stands here."""
        for offset, word in enumerate(words):
            token = self.tokens[min(self.at + offset, len(self.tokens) - 1)]
            if (token.word or token.text) != word:
                return False
        self.at += len(words)
        return True

    def need(self, word: str) -> None:
        if not self.take(word):
            raise self.unexpected()

    def expect_end(self) -> None:
        if self.token.kind != "end":
            raise self.unexpected()

    def name(self) -> Name:
        if self.token.kind != "name":
            raise self.unexpected()
        token = self.next()
        return Name(tuple(token.text.split(".")), token.pos)

    # -- SELECT -----------------------------------------------------------------------------------------

    def query(self) -> Query:
        self.need("select")
        select = [self.selected()]
        while self.take(","):
            select.append(self.selected())
        self.need("from")
        source = self.name()
        alias = self.source_alias()
        where = self.condition() if self.take("where") else None
        group_by = self.group_by()
        having = self.condition() if group_by and self.take("having") else None
        order_by = self.order_by()
        limit = self.count() if self.take("limit") else None
        offset = self.count() if self.take("offset") else 0
        return Query(
            self.text,
            tuple(select),
            ".".join(source.path),
            source.pos,
            alias,
            where,
            group_by,
            having,
            order_by,
            limit,
            offset,
        )

    def source_alias(self) -> str | None:
        if self.take("as"):
            return ".".join(self.name().path)
        if self.token.kind == "name" and self.token.word not in _CLAUSES:
            return self.next().text
        return None

    def selected(self) -> Name | Aggregate | FieldsOf | Query:
        if self.take("("):
            query = self.query()
            self.need(")")
            return query
        following = self.tokens[self.at + 1] if self.at + 1 < len(self.tokens) else self.token
        if self.token.word == "typeof":
            raise self.unexpected()
        if following.text == "(":
            return self.function()
        name = self.name()
        return Name(name.path, name.pos, self.alias())

    def alias(self) -> str | None:
        if self.token.kind == "name" and self.token.word != "from":
            return self.next().text
        return None

    def function(self) -> Aggregate | FieldsOf:
        if self.token.word == "fields":
            pos = self.next().pos
            self.need("(")
            which = ".".join(self.name().path).lower()
            self.need(")")
            return FieldsOf(which, pos)
        made = self.aggregate()
        return Aggregate(made.function, made.argument, made.pos, self.alias())

    def aggregate(self) -> Aggregate:
        word = self.token.word
        if word not in AGGREGATES:
            raise self.unexpected()
        pos = self.next().pos
        self.need("(")
        if self.token.text == ")" and word != "count":
            raise self.unexpected()
        argument = None if self.token.text == ")" else self.name()
        self.need(")")
        return Aggregate(word, argument, pos)

    # -- WHERE ------------------------------------------------------------------------------------------

    def condition(self) -> Condition:
        """Terms joined by one of AND and OR; mixing them without parentheses is an error in SOQL."""
        parts = [self.term()]
        if self.token.word not in {"and", "or"}:
            return parts[0]
        how = self.token.word
        while self.token.word in {"and", "or"}:
            if self.token.word != how:
                raise self.unexpected()
            self.next()
            parts.append(self.term())
        return Both("and" if how == "and" else "or", tuple(parts))

    def term(self) -> Condition:
        if self.take("not"):
            return Not(self.term())
        if self.take("("):
            inner = self.condition()
            self.need(")")
            return inner
        return self.comparison()

    def comparison(self) -> Condition:
        left = self.operand()
        if isinstance(left, Name):
            if self.take("not", "in"):
                return self.membership(left, negated=True)
            if self.take("in"):
                return self.membership(left, negated=False)
        if self.take("like"):
            return Compare(left, "like", self.constant())
        if self.token.text not in _OPERATORS:
            raise self.unexpected()
        operator = self.next().text
        return Compare(left, "!=" if operator == "<>" else operator, self.constant())

    def operand(self) -> Name | Aggregate:
        following = self.tokens[min(self.at + 1, len(self.tokens) - 1)]
        if following.text == "(" and self.token.word in AGGREGATES:
            return self.aggregate()
        return self.name()

    def membership(self, left: Name, negated: bool) -> InList | InQuery:
        self.need("(")
        if self.token.word == "select":
            query = self.query()
            self.need(")")
            return InQuery(left, negated, query)
        values = [self.constant()]
        while self.take(","):
            values.append(self.constant())
        self.need(")")
        return InList(left, negated, tuple(values))

    def constant(self) -> Constant:
        token = self.token
        made = self._literal(token)
        if made is None:
            raise self.unexpected()
        self.next()
        return made

    def _literal(self, token: Token) -> Constant | None:
        plain: dict[str, Callable[[], object]] = {
            "string": lambda: unquote(self.text, token),
            "number": lambda: Decimal(token.text),
            "date": lambda: token.text,
            "datetime": lambda: token.text,
        }
        if token.kind in plain:
            return Constant(token.kind, plain[token.kind](), token.pos)
        if token.kind == "range":
            word, _, count = token.text.lower().partition(":")
            return Constant("range", word, token.pos, int(count)) if word in COUNTED_RANGES else None
        if token.word in {"true", "false"}:
            return Constant("boolean", token.word == "true", token.pos)
        if token.word == "null":
            return Constant("null", None, token.pos)
        return Constant("range", token.word, token.pos) if token.word in PLAIN_RANGES else None

    # -- the tail ---------------------------------------------------------------------------------------

    def group_by(self) -> tuple[Name, ...]:
        if not self.take("group", "by"):
            return ()
        names = [self.name()]
        while self.take(","):
            names.append(self.name())
        return tuple(names)

    def order_by(self) -> tuple[Order, ...]:
        if not self.take("order", "by"):
            return ()
        orders = [self.order()]
        while self.take(","):
            orders.append(self.order())
        return tuple(orders)

    def order(self) -> Order:
        by = self.operand()
        descending = not self.take("asc") and self.take("desc")
        nulls_last = False
        if self.take("nulls"):
            nulls_last = self.take("last")
            if not nulls_last:
                self.need("first")
        return Order(by, descending, nulls_last)

    def count(self) -> int:
        if self.token.kind != "number" or not self.token.text.isdigit():
            raise self.unexpected()
        return int(self.next().text)
