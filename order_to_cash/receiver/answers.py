"""What the receiver says: short, the same for everybody, and prepared once."""

from __future__ import annotations

from starlette.types import Message, Send


class Answer:
    """A status, a sentence and the metric's name for it. `close`: the connection ends, its body was not read.

    `retry_seconds` becomes Retry-After.
    """

    def __init__(
        self, status: int, result: str, sentence: str = "", *, retry_seconds: int = 0, close: bool = False
    ) -> None:
        body = f"{sentence}\n".encode() if sentence else b""
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
        ]
        if retry_seconds:
            headers.append((b"retry-after", str(retry_seconds).encode()))
        if close:
            headers.append((b"connection", b"close"))
        self.status = status
        self.result = result
        self.sentence = sentence
        self._start: Message = {"type": "http.response.start", "status": status, "headers": headers}
        self._body: Message = {"type": "http.response.body", "body": body}

    async def send(self, send: Send) -> None:
        await send(self._start)
        await send(self._body)


class Refusal(Exception):  # noqa: N818 — what is raised is an answer, not a fault
    """The request is answered with `answer`, and nothing of it was stored."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.result)
        self.answer = answer


TOO_LARGE = Answer(413, "too_large", "The body is too large.", close=True)
TOO_SLOW = Answer(408, "too_slow", "The body did not arrive in time.", close=True)
GONE = Answer(400, "gone", close=True)  # the sender hung up: nobody reads it
NOT_STORED = Answer(503, "not_stored", "It cannot be stored right now.", retry_seconds=10)
NO_ROOM = Answer(503, "no_room", "Too much is being read.", retry_seconds=10, close=True)
COMMON = (TOO_LARGE, TOO_SLOW, GONE, NOT_STORED, NO_ROOM)
