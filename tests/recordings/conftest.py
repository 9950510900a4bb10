from __future__ import annotations

from collections.abc import Iterator

import pytest

from emulators.run import running
from emulators.salesforce.service import SalesforceService
from tests.recordings.org import EmulatedOrg


@pytest.fixture(scope="module")
def org() -> Iterator[EmulatedOrg]:
    with running(SalesforceService()) as urls:
        yield EmulatedOrg(urls["salesforce"])
