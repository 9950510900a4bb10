"""`o2c receive` as a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.receiver.serving import OLD_SECRET, SECRET

ROOT = Path(__file__).parents[2]
START_SECONDS = 60.0
ADDRESS = re.compile(r"Receiving at http://127\.0\.0\.1:(\d+)")

TEST_ENVIRONMENT = {
    "O2C_ENVIRONMENT": "test",
    "O2C_STRIPE_API_KEY": "rk_test_nothing",
    "O2C_STRIPE_WEBHOOK_SECRETS": f"{OLD_SECRET},{SECRET}",
    "O2C_SALESFORCE_DOMAIN": "acme--uat.sandbox.my.salesforce.com",
    "O2C_SALESFORCE_CLIENT_ID": "consumer",
    "O2C_SALESFORCE_CLIENT_SECRET": "nothing",
    "O2C_BILL_DEALS_CLOSED_ON_OR_AFTER": "2026-03-01",
    "O2C_RECEIVE_PORT": "0",
}


@dataclass
class Running:
    """A receiver that answers on `port`. `said` grows with what it prints."""

    process: subprocess.Popen[str]
    port: int = 0
    said: list[str] = field(default_factory=list)
    listening: threading.Event = field(default_factory=threading.Event)

    def listen(self) -> None:
        """Read what it prints until it ends."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            if found := ADDRESS.search(line):
                self.port = int(found[1])
            if "/metrics" in line:
                self.listening.set()
        self.listening.set()


@contextmanager
def receiving(home: Path, variables: Mapping[str, str]) -> Iterator[Running]:
    """`o2c receive` with these `O2C_` variables and no others; killed at the end if it still runs."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("O2C_")}
    env |= {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "O2C_HOME": str(home / "o2c")}
    env |= {"O2C_SECRETS_DIR": str(home / "no-secrets"), **variables}
    process = subprocess.Popen(
        [sys.executable, "-m", "order_to_cash.cli", "receive"],
        cwd=home,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    running = Running(process)
    reader = threading.Thread(target=running.listen, daemon=True)
    reader.start()
    try:
        assert running.listening.wait(START_SECONDS)
        yield running
    finally:
        process.kill()
        process.wait(10)
        reader.join(10)
        assert process.stdout is not None
        process.stdout.close()
