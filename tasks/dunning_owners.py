"""Who a Task, Case or alert of a ladder is for (R46): whom the policy names, else who looks after the Account."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from order_to_cash.domain.dunning.account_rows import Colleague
from order_to_cash.domain.dunning.steps import ActionKind, Owner, OwnerKind
from order_to_cash.domain.sync.shapes import Person
from tasks.company import Company
from tasks.dunning_facts import named_owners
from tasks.dunning_work import Work

OWNER_NOT_FOUND = "owner_not_found"
_NAMED = frozenset({OwnerKind.USER, OwnerKind.QUEUE})


class Owners:
    """The people of this run. Salesforce is asked only where a policy names users or queues."""

    def __init__(self, named: Mapping[Owner, Colleague]) -> None:
        self._named = named

    @classmethod
    async def of(cls, company: Company, works: Iterable[Work]) -> Owners:
        """Raises what Salesforce raises."""
        owners = {work.action.owner for work in works if work.action.owner is not None}
        asked = {owner for owner in owners if owner.kind in _NAMED}
        return cls(await named_owners(company, asked) if asked else {})

    def owner(self, work: Work) -> tuple[Person, str]:
        """The person, and a note where the one whom the policy names is not there or not active."""
        account, wanted = work.item.account, work.action.owner
        if wanted is None:
            executive = work.kind is ActionKind.EXECUTIVE_ALERT
            return (account.executive if executive else account.owner), ""
        if wanted.kind in _NAMED:
            found = self._named.get(wanted)
            return (found.person, "") if found is not None else (account.owner, OWNER_NOT_FOUND)
        person = {
            OwnerKind.EXECUTIVE_SPONSOR: account.executive,
            OwnerKind.ACCOUNT_OWNER: account.account_owner,
        }.get(wanted.kind, account.owner)
        return (person if person.user_id else account.owner), ""
