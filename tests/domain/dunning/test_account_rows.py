"""What Salesforce's rows mean for a ladder: whose it is, who looks after it, until when it is left alone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_to_cash.domain.dunning import account_rows
from order_to_cash.domain.dunning.calendar import ContactHours
from order_to_cash.domain.dunning.facts import Hold
from order_to_cash.domain.dunning.steps import Owner
from order_to_cash.domain.policy import FieldNames
from order_to_cash.domain.queries import LONGEST_QUERY

FIELDS = FieldNames()
HOURS = ContactHours(time_zone="Europe/Berlin")
NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
MOMENTS = st.integers(0, 9000).map(lambda hours: NOW + timedelta(hours=hours))
HOLDS = st.none() | st.builds(Hold, until=st.none() | MOMENTS, reason=st.text(max_size=3))


def account(number: int, customer: str = "", **fields: Any) -> dict[str, Any]:
    return {"Id": f"00100000000000{number}AAA", FIELDS.account_customer_id: customer or None, **fields}


@given(HOLDS, HOLDS, MOMENTS)
def test_the_longer_of_two_holds_holds_as_long_as_either(
    one: Hold | None, other: Hold | None, at: datetime
) -> None:
    def held(hold: Hold | None) -> bool:
        return hold is not None and (hold.until is None or at < hold.until)

    chosen = account_rows.longer(one, other)
    assert chosen in (one, other)
    assert held(chosen) == (held(one) or held(other))


@given(st.dates(date(2026, 1, 1), date(2027, 12, 31)), st.sampled_from([None, "Asia/Tokyo", "America/Lima"]))
def test_a_hold_ends_when_its_day_begins_where_the_customer_is(day: date, zone: str | None) -> None:
    row = {"Dunning_Hold__c": False, "Dunning_Hold_Until__c": day.isoformat()}
    hold = account_rows.account_hold(row, HOURS, zone, datetime(2025, 1, 1, tzinfo=UTC))
    assert hold is not None
    assert hold.until is not None
    local = hold.until.astimezone(HOURS.zone(zone))
    assert (local.date(), local.hour) == (day, 0)
    assert (hold.until - timedelta(seconds=1)).astimezone(HOURS.zone(zone)).date() == day - timedelta(days=1)
    assert account_rows.account_hold(row, HOURS, zone, hold.until) is None


def test_an_account_is_taken_by_name_else_by_its_customer_and_never_guessed() -> None:
    rows = [account(1, "cus_1"), account(2, "cus_2"), account(3, "cus_2"), account(4)]
    found = account_rows.rows_from(rows, FIELDS)
    assert found.account("cus_1")["Id"] == rows[0]["Id"]
    assert found.account("cus_2") == {}, "two Accounts carry it"
    assert found.account("cus_1", "", "001000000000009AAA", rows[3]["Id"])["Id"] == rows[3]["Id"]
    assert found.account("") == {}
    assert found.account("cus_9") == {}
    twice = account_rows.rows_from([*rows, rows[0]], FIELDS)  # by its id, and by its customer
    assert twice.account("cus_1")["Id"] == rows[0]["Id"]


def test_who_is_gone_or_inactive_is_passed_over() -> None:
    row = {
        "CSM__r": {"Id": "005A", "Name": "Left", "IsActive": False, "Email": "left@us.example"},
        "Executive_Sponsor__r": None,
        "Owner": {"Id": "005B", "Name": "Here", "IsActive": True, "Email": "here@us.example"},
    }
    chosen = account_rows.colleague(row, "CSM__r", "Owner")
    assert chosen is not None
    assert (chosen.person.user_id, chosen.person.name, chosen.email) == ("005B", "Here", "here@us.example")
    assert account_rows.colleague(row, "Executive_Sponsor__r", "CSM__r") is None
    assert account_rows.colleague({}, "Owner") is None


@pytest.mark.parametrize(
    ("ours", "theirs", "told"),
    [
        ("Bills@Acme.example", "pay@acme.example", "bills@acme.example"),
        ("not an address", "pay@acme.example", "pay@acme.example"),
        ("", "pay@acme.example", "pay@acme.example"),
        (None, None, ""),
        ("not an address", "neither", ""),
    ],
)
def test_where_the_bills_go(ours: str | None, theirs: str | None, told: str) -> None:
    row = {FIELDS.account_billing_email: ours}
    assert account_rows.billing_email(row, {"email": theirs}, FIELDS) == told


def test_a_namesake_is_nobody_and_a_user_name_is_one_person() -> None:
    users = [
        {"Id": "005A", "Name": "Kim", "Username": "kim@a.example", "Email": "kim@us.example"},
        {"Id": "005B", "Name": "Kim", "Username": "kim@b.example", "Email": "kim@us.example"},
    ]
    queue = {"Id": "00GA", "Name": "Kim", "DeveloperName": "Kim_Queue", "Email": None}
    asked = {
        name: Owner.model_validate(name)
        for name in ("user:Kim", "user:kim@B.example", "queue:Kim", "queue:kim_queue", "queue:kim@a.example")
    }
    found = account_rows.owners_from(asked.values(), [*users, users[0], queue])
    told = {name: found[owner].person.user_id for name, owner in asked.items() if owner in found}
    assert told == {"user:kim@B.example": "005B", "queue:Kim": "00GA", "queue:kim_queue": "00GA"}
    assert found[asked["queue:Kim"]].email == ""


def test_the_organisations_own_field_names_are_asked_for_in_queries_that_travel() -> None:
    own = FieldNames(account_segment="Type", account_time_zone="Zone__c", account_customer_id="Cus__c")
    ids = [f"00100000000{number:04}AAA" for number in range(1000)]
    customers = [f"cus_{number:014}" for number in range(1000)]
    queries = account_rows.row_queries(ids, customers, ["in_1"], own)
    assert all(len(query) < LONGEST_QUERY for query in queries)
    accounts = [query for query in queries if "FROM Account" in query]
    assert all("Type, Zone__c" in query and "Dunning_Segment__c" not in query for query in accounts)
    told = " ".join(queries)
    assert all(f"'{one}'" in told for one in (*ids, *customers, "in_1"))
    assert account_rows.row_queries([], [], [], own) == ()
