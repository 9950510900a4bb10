"""Blocks made of the settings, and how those that Prefect stores compare with them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from prefect.blocks.core import Block

from blocks.alert_thresholds import AlertThresholds
from blocks.billing_policy import BillingPolicy
from blocks.dunning_policy import DunningPolicyBlock
from blocks.salesforce_org import SalesforceOrg
from blocks.slack_channel import SlackChannel
from blocks.smtp_server import SmtpServer
from blocks.stripe_account import StripeAccount

if TYPE_CHECKING:
    from order_to_cash.settings import Settings

BLOCK_NAME = "o2c"
"""The name under which `o2c init` saves one block of each type."""

BLOCK_TYPES: tuple[type[Block], ...] = (
    StripeAccount,
    SalesforceOrg,
    SlackChannel,
    SmtpServer,
    BillingPolicy,
    DunningPolicyBlock,
    AlertThresholds,
)

OPERATORS_OWN: tuple[type[Block], ...] = (AlertThresholds, DunningPolicyBlock)
"""Saved once and then changed in Prefect alone: no setting is compared with them."""


class BlockState(StrEnum):
    """What saving a block did, or would do."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    REMOVED = "removed"


@dataclass(frozen=True)
class BlockReport:
    """One block: its type's slug, what happened, and the fields that differed. Never a value."""

    slug: str
    state: BlockState
    fields: tuple[str, ...] = ()


def blocks_of(settings: Settings) -> Iterator[Block]:
    """One block of each type. Raises ConfigurationError when the settings make no valid policy."""
    yield StripeAccount.from_settings(settings)
    yield SalesforceOrg.from_settings(settings)
    yield SlackChannel.from_settings(settings)
    yield SmtpServer.from_settings(settings)
    yield BillingPolicy.from_settings(settings)
    yield DunningPolicyBlock.from_settings(settings)
    yield AlertThresholds()


async def compare(settings: Settings, name: str = BLOCK_NAME) -> list[BlockReport]:
    """What `save` would do. Touches nothing."""
    return [report async for _, report in _compared(settings, name)]


async def save(settings: Settings, name: str = BLOCK_NAME) -> list[BlockReport]:
    """Register the types and save one block of each under `name`; what is as it should be stays untouched."""
    reports = []
    async for block, report in _compared(settings, name):
        if report.state is BlockState.UNCHANGED:
            await type(block).aregister_type_and_schema()  # a new version may describe the form better
        else:
            await block.asave(name, overwrite=True)
        reports.append(report)
    return reports


async def _compared(settings: Settings, name: str) -> AsyncIterator[tuple[Block, BlockReport]]:
    for block in blocks_of(settings):
        slug = block.get_block_type_slug()
        known = await _stored(type(block), name)
        if known and isinstance(block, OPERATORS_OWN):
            yield block, BlockReport(slug, BlockState.UNCHANGED)
            continue
        if known is None:
            yield block, BlockReport(slug, BlockState.CREATED)
            continue
        changed = tuple(field for field, value in _values(block).items() if known.get(field) != value)
        state = BlockState.UPDATED if changed else BlockState.UNCHANGED
        yield block, BlockReport(slug, state, changed)


async def _stored(kind: type[Block], name: str) -> dict[str, Any] | None:
    """The fields that Prefect has; None without a block, nothing for one that does not fit this version."""
    try:
        return _values(await kind.aload(name))
    except ValueError:  # Prefect's answer for a block or a type that it does not have
        return None
    except RuntimeError:  # its answer for a block that does not pass this version's validation
        return {}


def _values(block: Block) -> dict[str, Any]:
    return {name: getattr(block, name) for name in type(block).model_fields}
