"""The policies that ladders began with."""

from __future__ import annotations

from collections.abc import Collection

from order_to_cash.domain.dunning.policy import DunningPolicy
from order_to_cash.domain.dunning.reading import read_policy
from order_to_cash.domain.errors import ConfigurationError
from tasks.company import Company


def kept_policies(
    company: Company, versions: Collection[str]
) -> dict[str, DunningPolicy | ConfigurationError]:
    """Version → the policy as it was kept when its first ladder began."""
    current = company.dunning
    found: dict[str, DunningPolicy | ConfigurationError] = {}
    for version in versions:
        if current is not None and current.version == version:
            found[version] = current
            continue
        kept = company.ledger.ladders.policy(version)
        try:
            found[version] = _not_kept(version) if kept is None else read_policy(kept)
        except ConfigurationError as error:
            found[version] = error
    return found


def _not_kept(version: str) -> ConfigurationError:
    return ConfigurationError(
        "The dunning policy that this ladder began with is not in the ledger.",
        code="policy_not_kept",
        remedy="Restore the ledger's database, or save that policy in the Dunning Policy block again.",
        ids={"policy_version": version},
    )
