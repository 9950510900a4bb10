"""One company's two books and what stands between them: gateways, policy and ledger, opened from its blocks."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakSet

from prefect.blocks.core import Block

from order_to_cash.domain.clock import Clock
from order_to_cash.domain.dunning.policy import DunningPolicy
from order_to_cash.domain.errors import ConfigurationError
from order_to_cash.domain.policy import BillingRules
from order_to_cash.domain.records import Environment
from order_to_cash.settings import load_settings

if TYPE_CHECKING:
    from order_to_cash.gateways.mail_gateway import Mailer
    from order_to_cash.gateways.salesforce_gateway import SalesforceGateway
    from order_to_cash.gateways.slack_gateway import SlackGateway
    from order_to_cash.gateways.stripe_gateway import StripeGateway
    from order_to_cash.ledger.ledger import Ledger

SomeBlock = TypeVar("SomeBlock", bound=Block)


@dataclass(frozen=True)
class Slack:
    """A gateway and the channel that the company's messages go to."""

    gateway: SlackGateway
    channel: str


class Company:
    """Everything a recipe needs, passed from step to step. Lives on one event loop; `aclose` it there."""

    def __init__(  # noqa: PLR0913 - the parts of a company, all by keyword
        self,
        *,
        name: str,
        environment: Environment,
        rules: BillingRules,
        stripe: StripeGateway,
        salesforce: SalesforceGateway,
        slack: Slack | None,
        ledger: Ledger,
        clock: Clock,
        record_url: str,
        may_create_accounts: bool = True,
        dunning: DunningPolicy | None = None,
        mail: Mailer | None = None,
        mail_templates: Path | None = None,
    ) -> None:
        self.name = name
        self.environment = environment
        self.rules = rules
        self.stripe = stripe
        self.salesforce = salesforce
        self.slack = slack
        self.ledger = ledger
        self.clock = clock
        self.record_url = record_url  # ends before a Salesforce record's id
        self.may_create_accounts = may_create_accounts  # for Stripe customers that Salesforce does not know
        self.dunning = dunning  # None: ladders are off
        self.mail = mail  # None: what would be mailed is drafted in Tasks
        self.mail_templates = mail_templates  # a folder of the company's own
        self._bound = False
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def lock(self, name: str) -> asyncio.Lock:
        """The lock `name` of this process, for what must not happen twice at once within it."""
        return self._locks[name]

    async def bind(self) -> None:
        """Make sure, once, that the ledger belongs to these very accounts (R87). Raises ConfigurationError."""
        if self._bound:
            return
        account_id, org_id = await asyncio.gather(
            self.stripe.account_id(), asyncio.to_thread(self.salesforce.org_id)
        )
        await asyncio.to_thread(self.ledger.bind, self.environment, account_id, org_id)
        self._bound = True

    async def aclose(self) -> None:
        await self.stripe.aclose()
        await asyncio.to_thread(self.salesforce.close)
        await asyncio.to_thread(self.ledger.close)


_kept: dict[str, Company] = {}


@asynccontextmanager
async def kept_open(name: str) -> AsyncIterator[Company]:
    """The company, open and warm for all runs of this process as long as the block runs."""
    company = await open_company(name)
    _kept[name] = company
    try:
        yield company
    finally:
        del _kept[name]
        await company.aclose()


@asynccontextmanager
async def company_named(name: str, run_id: str) -> AsyncIterator[Company]:
    """The company for one run: the one that is kept open, or one opened now. Calls are audited as `run_id`'s.

    `bind` it before anything else: it is not done here, so that a run can tell Slack when it fails at that.
    """
    from order_to_cash.gateways.calls import acting_as

    with acting_as(run_id):
        if name in _kept:
            yield _kept[name]
            return
        company = await _opened(name)
        try:
            yield company
        finally:
            await company.aclose()


async def open_company(name: str) -> Company:
    """The company whose blocks are called `name`; `o2c init` makes them.

    Raises ConfigurationError when a block is missing, or when blocks, settings and ledger are of different
    environments or accounts.
    """
    company = await _opened(name)
    try:
        await company.bind()
    except BaseException:
        await company.aclose()
        raise
    return company


async def _opened(name: str) -> Company:
    """The company, its ledger up to date and not yet bound to the accounts."""
    _widen_thread_pool()
    from blocks.billing_policy import BillingPolicy
    from blocks.dunning_policy import DunningPolicyBlock
    from blocks.salesforce_org import SalesforceOrg
    from blocks.slack_channel import SlackChannel
    from blocks.smtp_server import SmtpServer
    from blocks.stripe_account import StripeAccount
    from order_to_cash.gateways.clock import clock_for
    from order_to_cash.ledger.ledger import Ledger

    settings = load_settings()
    account, org, policy, ladders = await asyncio.gather(
        _load(StripeAccount, name),
        _load(SalesforceOrg, name),
        _load(BillingPolicy, name),
        _load(DunningPolicyBlock, name),
    )
    dunning = ladders.chosen()
    channel, server = await asyncio.gather(_load(SlackChannel, name), _load(SmtpServer, name))
    _same_environment(
        {
            "settings": settings.environment,
            "Stripe": account.environment,
            "Salesforce": org.environment,
            "mail": server.environment,
        }
    )
    clock = clock_for(settings.environment, account.api_base)
    ledger = await asyncio.to_thread(
        Ledger.open, settings.ledger_address, clock=clock, environment=account.environment
    )
    company = Company(
        name=name,
        environment=account.environment,
        rules=policy.rules(),
        stripe=account.get_client(audit=ledger.audit),
        salesforce=org.get_client(audit=ledger.audit, clock=clock),
        slack=Slack(channel.get_client(audit=ledger.audit), channel.channel) if channel.enabled else None,
        ledger=ledger,
        clock=clock,
        record_url=f"{org.login_url.rstrip('/')}/",
        may_create_accounts=settings.unknown_customers == "create",
        dunning=dunning,
        mail=server.get_client(audit=ledger.audit) if server.enabled else None,
        mail_templates=settings.mail_templates,
    )
    try:
        await asyncio.to_thread(ledger.migrate)
    except BaseException:
        await company.aclose()
        raise
    return company


# Salesforce and Slack calls wait in threads, up to a minute each. asyncio's own pool has 6 on 2 cores: enough slow
# calls would keep the ledger from renewing leases.
_THREADS = 48
_widened: WeakSet[asyncio.AbstractEventLoop] = WeakSet()


def _widen_thread_pool() -> None:
    loop = asyncio.get_running_loop()
    if loop not in _widened:
        loop.set_default_executor(ThreadPoolExecutor(_THREADS, thread_name_prefix="o2c"))
        _widened.add(loop)


async def _load(block: type[SomeBlock], name: str) -> SomeBlock:
    try:
        loaded: SomeBlock = await block.aload(name)
    except ValueError:
        raise ConfigurationError(
            f"Prefect has no {block._block_type_name} block named {name!r}.",
            code="block_missing",
            remedy="Run `o2c init` with this Prefect server's address in O2C_PREFECT_API_URL.",
        ) from None
    return loaded


def _same_environment(parts: dict[str, Environment]) -> None:
    if len(set(parts.values())) > 1:
        listed = ", ".join(f"{name}: {environment}" for name, environment in parts.items())
        raise ConfigurationError(
            f"Settings and blocks are of different environments ({listed}).",
            code="environment_mixed",
            remedy="Run `o2c init` to derive the blocks from the settings again.",
        )
