"""Fixtures that several folders share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import hypothesis
import pytest

# A test that asks for no server starts none by mistake: one took 10 s, on a database that other workers have open.
os.environ["PREFECT_SERVER_ALLOW_EPHEMERAL_MODE"] = "false"

# A deadline measures the machine: under load, 200 ms passed in tests that take 5; a first example may import an SDK.
hypothesis.settings.register_profile("o2c", deadline=None)
hypothesis.settings.load_profile("o2c")


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """One temporary Prefect server for the whole session: starting it takes 10–18 s."""
    import prefect.results
    from prefect.settings import PREFECT_SERVER_ANALYTICS_ENABLED, temporary_settings
    from prefect.testing.utilities import prefect_test_harness

    with (
        pytest.MonkeyPatch.context() as patch,
        # Its telemetry writes to the database while the server migrates it: "database is locked" in the log.
        temporary_settings({PREFECT_SERVER_ANALYTICS_ENABLED: False}),
        prefect_test_harness(server_startup_timeout=90),
    ):
        # Prefect 3.8.8 opens two HTTP clients for each flow run to ask the server for a default result storage,
        # and closes neither: their sockets would be the ResourceWarnings of whatever test comes next.
        patch.setattr(prefect.results, "_read_server_default_result_storage_block_id", lambda: None)
        yield
