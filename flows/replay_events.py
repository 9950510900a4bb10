"""Stripe events are applied once more.

Runs: when someone fills in its form, after what parked them is corrected or to bring Salesforce in line again. The
    same from a terminal: `o2c events replay`.
Reads: events of the ledger's inbox; from Stripe those that were named and never came.
Writes: the state of events in the ledger's inbox. What follows in Salesforce and Slack is the drain's.
Safe to re-run because: an event that waits or is being applied is left alone, so that nothing is opened twice; and
    applying what Salesforce shows already changes nothing: states are compared by version, and what an event made
    happen has a key of its own.
"""

from __future__ import annotations

from typing import Annotated, Any

from prefect import flow, runtime
from prefect.states import Completed, Failed
from pydantic import Field

from tasks.company import company_named
from tasks.replay import CAP, Wanted
from tasks.replay_steps import open_again, show_replayed


def _run_name() -> str:
    parameters = runtime.flow_run.parameters
    named = parameters.get("event_ids") or []
    what = f"{len(named)} named" if named else "parked" if parameters.get("parked_only") else "selected"
    return f"{'dry run' if parameters.get('dry_run', True) else 'replay'} · {what}"


@flow(name="replay-events", flow_run_name=_run_name, persist_result=False)
async def replay_events(  # noqa: PLR0913, PLR0917 - the fields of a form
    event_ids: list[str] = [],  # noqa: B006 - never mutated; an empty list renders as an empty form field
    types: list[str] = [],  # noqa: B006 - as above
    since: str = "",
    until: str = "",
    object_id: str = "",
    parked_only: bool = False,
    dry_run: bool = True,
    cap: Annotated[int, Field(ge=1, le=100_000)] = CAP,
    company: str = "o2c",
) -> Any:
    """Apply Stripe events once more: named ones, or all that match the rest of the form.

    Args:
        event_ids: Stripe's ids (evt_…). One that never came is fetched from Stripe. Leave the selection empty then.
        types: Types of events, such as invoice.paid, or invoice.* for all of a kind. Empty: every type.
        since: Events created from then on: 2026-03-01, 2026-03-01T14:30 (UTC), or how long ago (30m, 12h, 7d).
        until: Events created before then, written alike.
        object_id: Events about this Stripe object, such as an invoice's id.
        parked_only: Only events that are parked.
        dry_run: Only list what would be opened again, and change nothing.
        cap: How many events at most, the oldest first.
        company: Name of the blocks with the accounts and the policy.
    """
    async with company_named(company, str(runtime.flow_run.id)) as books:
        await books.bind()
        asked = Wanted(event_ids, types, since, until, object_id, parked_only)
        replayed = await open_again(books, asked.to_replay(books.clock.now()), cap, dry_run)
        await show_replayed(replayed)
    state = Failed if replayed.missing else Completed
    return state(message=replayed.in_words, data=replayed)
