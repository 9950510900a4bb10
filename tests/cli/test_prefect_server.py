"""Prefect's server does not stand still because of garbage that holds a cursor of a connection that waits."""

from __future__ import annotations

import subprocess
import sys
import textwrap

# A waits for the write lock; B holds it and goes on when the loop does; garbage holds an open cursor of A.
_SCENE = textwrap.dedent(
    """
    import asyncio, gc, sqlite3, sys, time
    from order_to_cash.cli.prefect_server import collect_beside

    path, beside = sys.argv[1], sys.argv[2] == "beside"
    one, other = (
        sqlite3.connect(path, timeout=3, check_same_thread=False, isolation_level=None) for _ in range(2)
    )

    class Knot:
        pass

    def garbage():
        knot = Knot()
        knot.itself, knot.cursor = knot, one.execute("SELECT 1 UNION ALL SELECT 2")
        next(knot.cursor)

    async def main():
        gc.disable()
        garbage()
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.get_running_loop().run_in_executor(None, one.execute, "BEGIN IMMEDIATE")
        await asyncio.sleep(0.2)
        began = time.monotonic()
        collect_beside(0.05) if beside else gc.collect()
        await asyncio.sleep(0.5)
        print(time.monotonic() - began)
        other.execute("COMMIT")
        await waiting

    asyncio.run(main())
    """
)


def _stood_still(path: object, how: str) -> tuple[float, str]:
    done = subprocess.run(
        [sys.executable, "-c", _SCENE, str(path), how],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return float(done.stdout), done.stderr


def test_the_loop_goes_on_while_garbage_waits_for_a_connection(tmp_path: object) -> None:
    seconds, errors = _stood_still(f"{tmp_path}/beside.db", "beside")
    assert seconds < 2
    assert errors == ""


def test_this_is_what_happens_otherwise(tmp_path: object) -> None:
    seconds, errors = _stood_still(f"{tmp_path}/within.db", "within")
    assert seconds > 2.5
    assert "database is locked" in errors
