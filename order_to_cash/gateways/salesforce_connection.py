"""The connection to one org: session, login, the check of its kind, and the library behind one `call`."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from http.cookiejar import DefaultCookiePolicy
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import requests
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import SalesforceError

from order_to_cash.domain.errors import ConfigurationError, O2CError, Unavailable
from order_to_cash.domain.linger import Lane
from order_to_cash.domain.records import Environment
from order_to_cash.gateways.calls import CallRecorder
from order_to_cash.gateways.pacing import Pacer
from order_to_cash.gateways.places import require_salesforce_place, salesforce_audience
from order_to_cash.gateways.retry import RetryPolicy
from order_to_cash.gateways.salesforce_budget import DailyBudget
from order_to_cash.gateways.salesforce_errors import translate_answer
from order_to_cash.gateways.salesforce_login import Login, TokenSource
from order_to_cash.gateways.salesforce_wire import SalesforceWire, current_lane, parsed

T = TypeVar("T")

# The wire puts the real token on; the library, and what prints it, never holds it.
_PLACEHOLDER_TOKEN = "set-by-the-wire"  # noqa: S105 - not a token


class SalesforceConnection:
    """Logs in on first use. Safe to share between threads."""

    def __init__(  # noqa: PLR0913 - what the gateway was given, all by keyword
        self,
        *,
        environment: Environment,
        login: Login,
        login_url: str,
        recorder: CallRecorder,
        api_version: str,
        pacer: Pacer,
        budget: DailyBudget,
        retry: RetryPolicy,
        timeout_seconds: float,
        rng: random.Random,
    ) -> None:
        require_salesforce_place(environment, login_url)
        emulated = environment is Environment.EMULATOR
        self._environment = environment
        self.api_version = api_version
        self._wire = SalesforceWire(
            emulator_url=login_url if emulated else "",
            recorder=recorder,
            pacer=pacer,
            budget=budget,
            retry=retry,
            timeout_seconds=timeout_seconds,
            rng=rng,
        )
        self._http = _session(self._wire)
        self._tokens = TokenSource(
            login,
            login_url,
            self._fetch_token,
            _anywhere if emulated else partial(require_salesforce_place, environment),
            audience=salesforce_audience(login_url),
        )
        self._wire.tokens = self._tokens
        self._lock = threading.Lock()
        self._library: Salesforce | None = None
        self._verified = emulated
        self.wait = self._wire.wait

    def close(self) -> None:
        """Wake and fail calls that wait, close connections."""
        self._wire.stop()
        self._http.close()

    def call(self, where: str, lane: Lane, do: Callable[[Salesforce], T]) -> T:
        """Call the library. Errors leave without its frames: their locals hold headers and bodies."""
        token = current_lane.set(lane)
        try:
            return do(self._client())
        except SalesforceError as error:
            problem: Exception = translate_answer(error.status, error.content, where)
        except O2CError as error:
            problem = error
        except requests.RequestException as error:
            problem = Unavailable(
                f"Salesforce's answer to {where} could not be read ({type(error).__name__})."
            )
        finally:
            current_lane.reset(token)
        raise problem.with_traceback(None)

    def _client(self) -> Salesforce:
        with self._lock:
            if self._library is None:
                self._library = Salesforce(
                    session_id=_PLACEHOLDER_TOKEN,
                    instance_url=self._tokens.current().instance_url,
                    version=self.api_version,
                    session=self._http,
                    parse_float=Decimal,
                    object_pairs_hook=dict,
                )
            if not self._verified:
                self._verify(self._library)
                self._verified = True
            return self._library

    def _verify(self, client: Salesforce) -> None:
        """TEST needs an org without production data, LIVE one with it (R87)."""
        records = client.query("SELECT Id, IsSandbox, OrganizationType FROM Organization LIMIT 1")["records"]
        facts = records[0]
        # Developer Edition orgs are no sandboxes, and hold no production data.
        is_test = facts["IsSandbox"] is True or facts.get("OrganizationType") == "Developer Edition"
        if is_test != (self._environment is Environment.TEST):
            raise ConfigurationError(
                f"The org is {'a sandbox' if is_test else 'a production org'}, "
                f"the environment is {self._environment}.",
                code="wrong_environment",
                remedy="Set O2C_SALESFORCE_DOMAIN to an org of this environment.",
                ids={"org_id": str(facts["Id"])},
            )

    def _fetch_token(self, url: str, form: Mapping[str, str]) -> tuple[int, Mapping[str, Any]]:
        parts = urlsplit(url)
        answer = self._http.post(urlunsplit(("https", *parts[1:])), data=dict(form))
        content = parsed(answer)
        return answer.status_code, content if isinstance(content, Mapping) else {}


def _anywhere(instance_url: str) -> None:
    """An emulator names an org of its own; the wire brings every request to the emulator."""


def _session(wire: SalesforceWire) -> requests.Session:
    """A session whose every request passes `wire`: no plain HTTP, no cookies, no credentials of ~/.netrc."""
    session = requests.Session()
    session.adapters.clear()
    session.mount("https://", wire)
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.auth = _keep_headers
    return session


def _keep_headers(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
