"""The engine that the emulators share: clock, faults, journal, settings, control API, process."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import httpx
import pytest

from emulators.engine import Answer, Call, Clock, Service
from emulators.engine.faults import FaultError
from emulators.engine.settings import SettingError
from emulators.engine.wire import nest, parse_body
from emulators.run import EmulatorProcess, main, running


class Counter(Service):
    """Counts what it was asked to add."""

    name: ClassVar[str] = "counter"

    def __init__(self, clock: Clock | None = None) -> None:
        super().__init__(clock)
        self.count = 0
        self.gone: list[str] = []

    def handle(self, call: Call) -> Answer:
        if call.path == "/broken":
            raise RuntimeError("a bug in a handler")
        self.count += 1
        call.effect("count", str(self.count), "created")
        return Answer(200, {"count": self.count})

    def depart(self, call: Call) -> None:
        self.gone.append(call.path)

    def reset_data(self) -> None:
        self.count = 0


@pytest.fixture
def counter() -> Counter:
    return Counter()


@pytest.fixture
def http(counter: Counter) -> Iterator[httpx.Client]:
    with running(counter) as urls, httpx.Client(base_url=urls["counter"], trust_env=False) as client:
        yield client


def test_a_request_is_journaled_with_its_effect(http: httpx.Client, counter: Counter) -> None:
    http.post(
        "/things?a=1", data={"x[y][0]": "1"}, headers={"authorization": "Bearer sk_test_very_secret_key"}
    )
    (entry,) = http.get("/_emulator/journal").json()["entries"]
    assert entry["effects"] == [{"object": "count", "id": "1", "action": "created"}]
    assert (entry["seq"], entry["method"], entry["path"]) == (1, "POST", "/things")
    assert (entry["query"], entry["body"]) == ({"a": "1"}, {"x": {"y": ["1"]}})
    assert (entry["status"], entry["response"]) == (200, {"count": 1})
    assert "very_secret_key" not in str(entry)
    (brief,) = http.get("/_emulator/journal", params={"bodies": "false"}).json()["entries"]
    assert brief == {key: entry[key] for key in ("seq", "method", "path", "status", "effects", "in_flight")}
    assert counter.journal.entries[0].duration_ms is not None


def test_the_journal_is_read_in_parts_and_emptied(http: httpx.Client) -> None:
    for path in ("/a", "/b", "/a"):
        http.get(path)
    http.post("/a")
    page = http.get("/_emulator/journal", params={"since": 2, "method": "get", "path": "^/a"}).json()
    assert [entry["seq"] for entry in page["entries"]] == [3]
    assert page["next"] == 5
    assert http.delete("/_emulator/journal").json() == {"entries": [], "next": 5}


def test_the_control_api_is_not_in_the_journal(http: httpx.Client, counter: Counter) -> None:
    assert http.get("/_emulator/health").json()["service"] == "counter"
    assert counter.journal.entries == []


def test_drop_before_has_no_effect(http: httpx.Client, counter: Counter) -> None:
    counter.faults.add(path="^/x$", drop="before")
    with pytest.raises(httpx.RemoteProtocolError):
        http.post("/x")
    assert counter.count == 0
    assert counter.journal.entries[0].dropped == "before"
    assert counter.journal.entries[0].status is None


def test_drop_after_has_its_effect(http: httpx.Client, counter: Counter) -> None:
    counter.faults.add(path="^/x$", drop="after", times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        http.post("/x")
    assert counter.count == 1
    assert counter.journal.entries[0].effects[0].id == "1"
    assert counter.gone == ["/x"]
    assert http.post("/x").json() == {"count": 2}


def test_a_status_fault_has_no_effect_unless_after(http: httpx.Client, counter: Counter) -> None:
    counter.faults.add(status=503, nth=1, headers={"retry-after": "2"}, response={"why": "test"})
    counter.faults.add(status=500, after_effect=True, nth=1)
    first = http.get("/x")
    assert (first.status_code, first.json(), first.headers["retry-after"]) == (503, {"why": "test"}, "2")
    assert counter.count == 0
    assert http.get("/x").status_code == 500
    assert counter.count == 1
    assert http.get("/x").status_code == 200


def test_faults_strike_the_nth_match_of_method_path_and_body(http: httpx.Client, counter: Counter) -> None:
    description = {"method": "POST", "path": "^/pay", "body": "amount=5", "nth": [2, 3], "status": 429}
    created = http.post("/_emulator/faults", json=description)
    assert created.status_code == 201
    assert http.get("/pay").status_code == 200
    assert http.post("/pay", data={"amount": "4"}).status_code == 200
    statuses = [http.post("/pay", data={"amount": "5"}).status_code for _ in range(4)]
    assert statuses == [200, 429, 429, 200]
    assert counter.journal.entries[3].fault == created.json()["id"]
    assert http.get("/_emulator/faults").json()["faults"][0]["struck"] == 2
    http.delete("/_emulator/faults")
    assert list(counter.faults) == []


def test_a_delay_can_come_before_or_after_the_effect(http: httpx.Client, counter: Counter) -> None:
    counter.faults.add(delay_seconds=5, after_effect=True, path="^/after$")
    counter.faults.add(delay_seconds=5, path="^/before$")
    for path in ("/after", "/before"):
        with pytest.raises(httpx.ReadTimeout):
            http.post(path, timeout=0.15)
    assert counter.count == 1
    assert [entry.in_flight for entry in counter.journal.entries] == [True, True]


@pytest.mark.parametrize("bad", [{"pth": "x"}, {"drop": "sometimes"}, {"path": "("}, {"body": "["}])
def test_a_bad_fault_is_refused(http: httpx.Client, counter: Counter, bad: dict[str, str]) -> None:
    with pytest.raises(FaultError):
        counter.faults.load(bad)
    assert http.post("/_emulator/faults", json=bad).status_code == 400


def test_settings_are_checked(http: httpx.Client, counter: Counter) -> None:
    assert http.post("/_emulator/settings", json={"latency_seconds": 0.25}).json()["latency_seconds"] == 0.25
    for bad in ({"latency_second": 1}, {"latency_seconds": "slow"}, {"latency_seconds": True}):
        assert http.post("/_emulator/settings", json=bad).status_code == 400
        with pytest.raises(SettingError):
            counter.settings.patch(bad)
    counter.settings.restore()
    assert counter.settings.latency_seconds == 0


async def test_many_calls_are_in_flight_at_once(counter: Counter) -> None:
    counter.settings.latency_seconds = 0.2
    with running(counter) as urls:
        async with httpx.AsyncClient(base_url=urls["counter"], trust_env=False) as client:
            started = time.perf_counter()
            await asyncio.gather(*(client.get("/x") for _ in range(50)))
            assert time.perf_counter() - started < 2  # one after another they take 10 s
    assert counter.count == 50


def test_the_effect_outlives_a_client_that_hangs_up(http: httpx.Client, counter: Counter) -> None:
    counter.settings.latency_seconds = 0.3
    with pytest.raises(httpx.ReadTimeout):
        http.post("/x", timeout=0.05)
    deadline = time.monotonic() + 3
    while counter.count == 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert counter.count == 1


def test_a_request_whose_body_breaks_off_never_arrived(http: httpx.Client, counter: Counter) -> None:
    """As when a client is killed between the head of its request and the body."""
    with socket.create_connection((http.base_url.host, http.base_url.port or 0)) as client:
        client.sendall(b"POST /half HTTP/1.1\r\nHost: counter\r\nContent-Length: 100\r\n\r\nname=")
    http.post("/whole")
    assert [entry.path for entry in counter.journal.entries] == ["/whole"]
    assert counter.count == 1


def test_a_bug_in_a_handler_shows_as_500(http: httpx.Client, counter: Counter) -> None:
    assert http.get("/broken").status_code == 500
    assert counter.journal.entries[0].status == 500


def test_the_clock_moves_and_fires_timers_in_order(http: httpx.Client, counter: Counter) -> None:
    seen: list[tuple[str, datetime]] = []
    clock = counter.clock
    start = clock.now()
    clock.at(start + timedelta(hours=2), lambda: seen.append(("two", clock.now())))

    def first() -> None:
        seen.append(("one", clock.now()))
        clock.after(60, lambda: seen.append(("one and a bit", clock.now())))

    clock.at(start + timedelta(hours=1), first)
    answer = http.post("/_emulator/clock", json={"advance_seconds": 3 * 3600}).json()
    assert [name for name, _ in seen] == ["one", "one and a bit", "two"]
    assert seen[0][1] == start + timedelta(hours=1)
    assert abs(datetime.fromisoformat(answer["now"]) - start - timedelta(hours=3)) < timedelta(seconds=5)
    there = datetime(2031, 1, 1, tzinfo=UTC)
    http.post("/_emulator/clock", json={"now": there.isoformat()})
    assert timedelta(0) <= clock.now() - there < timedelta(seconds=5)
    for bad in ({}, {"now": "soon"}, {"advance_seconds": 1, "now": there.isoformat()}):
        assert http.post("/_emulator/clock", json=bad).status_code == 400


@pytest.mark.usefixtures("http")
def test_timers_fire_by_real_time_too(counter: Counter) -> None:
    fired = threading.Event()
    counter.clock.after(0.05, fired.set)
    assert fired.wait(3)


@pytest.mark.usefixtures("http")
def test_moving_the_clock_from_a_test_runs_timers_on_the_loop(counter: Counter) -> None:
    threads: list[str] = []
    counter.clock.after(60, lambda: threads.append(threading.current_thread().name))
    counter.clock.advance(61)
    assert threads == ["emulators"]


def test_reset_empties_data_journal_and_faults(http: httpx.Client, counter: Counter) -> None:
    http.get("/x")
    counter.faults.add(status=500, path="nothing")
    http.post("/_emulator/reset")
    assert (counter.count, counter.journal.entries, list(counter.faults)) == (0, [], [])


def test_services_of_a_process_share_a_clock() -> None:
    clock = Clock(datetime(2030, 1, 1, tzinfo=UTC))
    one, two = Counter(clock), Counter(clock)
    two.name = "second"  # type: ignore[misc]  # two of a kind need two names
    with running(one, two) as urls:
        httpx.post(urls["counter"] + "/_emulator/clock", json={"advance_seconds": 86400}, trust_env=False)
        now = httpx.get(urls["second"] + "/_emulator/clock", trust_env=False).json()["now"]
    assert now.startswith("2030-01-02")


def test_forms_nest() -> None:
    pairs = [("a[b][0][c]", "1"), ("a[b][1][c]", "2"), ("e[]", "x"), ("e[]", "y"), ("plain", "")]
    assert nest(pairs) == {"a": {"b": [{"c": "1"}, {"c": "2"}]}, "e": ["x", "y"], "plain": ""}
    with pytest.raises(ValueError, match="a"):
        nest([("a", "1"), ("a[b]", "2")])


def test_bodies_are_shown_by_their_type() -> None:
    assert parse_body("application/json; charset=utf-8", b'{"a": 1}') == {"a": 1}
    assert parse_body("application/json", b"{") == "{"
    assert parse_body("application/zip", b"PK") == "<2 bytes of application/zip>"
    assert parse_body("text/xml", b"<a/>") == "<a/>"
    assert parse_body("", b"") is None


def test_the_emulators_run_as_a_process_of_their_own() -> None:
    with EmulatorProcess(["stripe"]) as urls:
        answer = httpx.get(urls["stripe"] + "/_emulator/health", trust_env=False)
        assert answer.json()["service"] == "stripe"
    with pytest.raises(httpx.ConnectError):
        httpx.get(urls["stripe"] + "/_emulator/health", trust_env=False)


def test_a_taken_port_is_named(http: httpx.Client) -> None:
    taken = http.base_url.port
    with pytest.raises(SystemExit, match=f"Port {taken}, which stripe wants, is taken.*--stripe-port"):
        main(["--only", "stripe", "--stripe-port", str(taken)])


def test_the_command_line_names_unknown_services(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--only", "strip"])
    assert "unknown service 'strip'" in capsys.readouterr().err
