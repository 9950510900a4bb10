"""Makes the choke points of a child process report to its `Points`: HTTP of either kind, mail, and commits.

Nothing of the product is replaced: httpx (Stripe, Prefect), http.client below requests and urllib (Salesforce, Slack),
smtplib, and SQLAlchemy's commit are wrapped where they meet the outside.
"""

from __future__ import annotations

import http.client
import select
import smtplib
import threading
from collections.abc import Callable, Mapping
from typing import Any

import httpx
from sqlalchemy import Engine, event
from sqlalchemy.engine.default import DefaultDialect

from tests.crash.points import AUDIT_COMMIT, Points, call_name, commit_name

ANSWER_SECONDS = 30.0


def watch(points: Points, services: Mapping[str, str]) -> None:
    """Report the calls to `services` (host and port → name) and all commits of this process from now on."""
    _watch_httpx(points, services)
    _watch_http_client(points, services)
    _watch_smtplib(points)
    _watch_commits(points)


def _watch_httpx(points: Points, services: Mapping[str, str]) -> None:
    inner = httpx.AsyncHTTPTransport.handle_async_request

    async def handle(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        target = request.url.raw_path.decode()
        name = call_name(services, request.url.netloc.decode(), request.method, target)
        if not name:
            return await inner(transport, request)
        call = points.enter(name)
        points.reach(call, "before")

        async def trace(step: str, _info: Mapping[str, Any]) -> None:
            # https://www.encode.io/httpcore/extensions/#trace
            if step == "http11.receive_response_headers.complete":
                points.reach(call, "during")
            elif step == "http11.receive_response_body.complete":
                points.reach(call, "after")

        request.extensions = {**request.extensions, "trace": trace}
        return await inner(transport, request)

    _replace(httpx.AsyncHTTPTransport, "handle_async_request", handle)


def _watch_http_client(points: Points, services: Mapping[str, str]) -> None:
    connection, response = http.client.HTTPConnection, http.client.HTTPResponse
    putrequest, getresponse = connection.putrequest, connection.getresponse

    def put(self: Any, method: str, url: str, *args: Any, **kwargs: Any) -> None:
        name = call_name(services, f"{self.host}:{self.port}", method, url)
        self.watched_call = points.enter(name) if name else ""
        if name:
            points.reach(self.watched_call, "before")
        putrequest(self, method, url, *args, **kwargs)

    def get(self: Any) -> Any:
        call = getattr(self, "watched_call", "")
        if call:
            select.select([self.sock], [], [], ANSWER_SECONDS)
            points.reach(call, "during")
        answer: Any = getresponse(self)
        answer.watched_call = call
        return answer

    def reading(inner: Callable[..., bytes]) -> Callable[..., bytes]:
        def read(self: Any, *args: Any, **kwargs: Any) -> bytes:
            content = inner(self, *args, **kwargs)
            call = getattr(self, "watched_call", "")
            if call and self.isclosed():
                self.watched_call = ""
                points.reach(call, "after")
            return content

        return read

    _replace(connection, "putrequest", put)
    _replace(connection, "getresponse", get)
    _replace(response, "read", reading(response.read))
    _replace(response, "read1", reading(response.read1))


def _watch_smtplib(points: Points) -> None:
    """A message as one call: from the server's word to begin until its word that it has it."""
    docmd, getreply = smtplib.SMTP.docmd, smtplib.SMTP.getreply

    def command(self: Any, cmd: str, args: str = "") -> Any:
        answer = docmd(self, cmd, args)
        if cmd == "DATA":
            self.watched_call = points.enter("Mail DATA")
            points.reach(self.watched_call, "before")
        return answer

    def reply(self: Any) -> Any:
        call = getattr(self, "watched_call", "")
        if not call:
            return getreply(self)
        self.watched_call = ""
        select.select([self.sock], [], [], ANSWER_SECONDS)
        points.reach(call, "during")
        answer = getreply(self)
        points.reach(call, "after")
        return answer

    _replace(smtplib.SMTP, "docmd", command)
    _replace(smtplib.SMTP, "getreply", reply)


def _watch_commits(points: Points) -> None:
    inner: Callable[[DefaultDialect, Any], None] = DefaultDialect.do_commit
    transaction = threading.local()  # a transaction of the ledger stays on one thread

    @event.listens_for(Engine, "begin")
    def begin(_connection: Any) -> None:
        transaction.statements = []

    @event.listens_for(Engine, "before_cursor_execute")
    def note(
        _connection: Any, _cursor: Any, statement: str, _parameters: Any, _context: Any, _many: bool
    ) -> None:
        transaction.statements = [*getattr(transaction, "statements", []), statement]

    def commit(dialect: DefaultDialect, connection: Any) -> None:
        name = commit_name(getattr(transaction, "statements", []))
        transaction.statements = []
        if not name:
            inner(dialect, connection)
            return
        entered = points.enter(name)
        points.reach(entered, "before")
        if name == AUDIT_COMMIT:  # a hundred of them, and nothing is decided by them
            inner(dialect, connection)
        else:
            with points.within(entered):
                inner(dialect, connection)
        points.reach(entered, "after")

    _replace(DefaultDialect, "do_commit", commit)


def _replace(owner: type, name: str, wrapped: Callable[..., Any]) -> None:
    setattr(owner, name, wrapped)
