"""The drain's dunning policy follows the block: what an operator saves counts without a restart."""

from __future__ import annotations

import asyncio
import logging

from order_to_cash.domain.dunning.policy import DunningPolicy
from order_to_cash.domain.errors import ConfigurationError
from tasks.company import Company

LOG = logging.getLogger("o2c.ladders")
TIMEOUT_SECONDS = 10.0


class PolicyWatch:
    """Ladders that have begun keep their version; this is the one that new ladders begin with, or None: ladders off."""

    def __init__(self) -> None:
        self._refused = ""

    async def renew(self, company: Company) -> None:
        """Take over what the block says. What is no policy, or cannot be read, leaves the one before in force."""
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                policy = await _stored(company.name)
        except ConfigurationError as error:
            if error.message != self._refused:
                LOG.error(
                    "The Dunning Policy block is left aside, the policy before stays in force: %s", error
                )
            self._refused = error.message
            return
        except Exception as error:  # noqa: BLE001 - Prefect does not answer: the next look asks again
            LOG.debug("The Dunning Policy block was not read: %s", type(error).__name__)
            return
        self._refused = ""
        if policy != company.dunning:
            LOG.info("Ladders that begin from now on: %s.", _in_words(policy))
            company.dunning = policy


async def _stored(name: str) -> DunningPolicy | None:
    from blocks.dunning_policy import DunningPolicyBlock

    block: DunningPolicyBlock = await DunningPolicyBlock.aload(name)
    return block.chosen()


def _in_words(policy: DunningPolicy | None) -> str:
    return (
        "none, they are switched off" if policy is None else f"policy {policy.name}, version {policy.version}"
    )
