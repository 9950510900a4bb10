"""How unpaid invoices are chased, as a form. Its only source is the form itself once `o2c init` has saved it."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, ClassVar

from prefect.blocks.core import Block
from pydantic import Field

from order_to_cash.domain.dunning.default_policy import DEFAULT_POLICY
from order_to_cash.domain.dunning.policy import DunningPolicy
from order_to_cash.domain.dunning.reading import read_policy

if TYPE_CHECKING:
    from order_to_cash.settings import Settings


class DunningPolicyBlock(Block):
    """The steps of a ladder. A ladder that has begun keeps the policy that it began with."""

    _block_type_name: ClassVar[str | None] = "Dunning Policy"
    _block_type_slug: ClassVar[str | None] = "dunning-policy"
    _description: ClassVar[str | None] = (
        "By which steps, and when, failed payments and overdue invoices are chased."
    )

    enabled: bool = Field(
        default=True,
        title="Ladders",
        description="Off: no ladder is opened; each failed payment and overdue invoice is one Task and one alert.",
    )
    policy: dict[str, Any] = Field(
        default_factory=lambda: deepcopy(DEFAULT_POLICY),
        title="Policy",
        description=(
            "As `o2c ladder policy` prints it. Try a change with `o2c ladder simulate --policy` before it is saved "
            "here; ladders that are opened afterwards go by it."
        ),
    )

    @classmethod
    def from_settings(cls, settings: Settings) -> DunningPolicyBlock:
        """What is saved first. Later settings change nothing here."""
        return cls(enabled=settings.dunning)

    def chosen(self) -> DunningPolicy | None:
        """The policy, None where ladders are off. Raises ConfigurationError naming the step and field that is wrong."""
        return read_policy(self.policy) if self.enabled else None
