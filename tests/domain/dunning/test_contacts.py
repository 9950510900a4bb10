"""Several open invoices of one customer make one contact a day."""

from __future__ import annotations

from datetime import datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from order_to_cash.domain.dunning.calendar import ContactHours
from order_to_cash.domain.dunning.contacts import DueContact, group_contacts
from order_to_cash.domain.dunning.default_policy import default_policy
from order_to_cash.domain.dunning.steps import ActionKind
from tests.domain.dunning.ladders import DAY, HOUR, START, ZONES, spans

FAILED, MAIL, OUTREACH, EXECUTIVE = default_policy().charged.steps
HOURS = ContactHours()


def test_three_invoices_are_one_mail() -> None:
    due = [DueContact("cus_1", f"in_{number}", MAIL, START + number * HOUR) for number in (3, 1, 2)]
    (contact,) = group_contacts(due, HOURS)
    assert contact.kind is ActionKind.EMAIL
    assert contact.about == (("in_1", MAIL.key), ("in_2", MAIL.key), ("in_3", MAIL.key))
    assert contact.key == "o2c:contact:email:cus_1:2026-03-03"


def test_customers_days_and_kinds_are_apart() -> None:
    due = [
        DueContact("cus_1", "in_1", MAIL, START),
        DueContact("cus_2", "in_2", MAIL, START),
        DueContact("cus_1", "in_3", MAIL, START + DAY),
        DueContact("cus_1", "in_4", OUTREACH, START),
        DueContact("cus_1", "in_5", EXECUTIVE, START),  # reaches our own people only
        DueContact("cus_1", "in_6", FAILED, START),
    ]
    assert [(one.customer_id, one.kind.value, len(one.about)) for one in group_contacts(due, HOURS)] == [
        ("cus_1", "email", 1),
        ("cus_1", "outreach_task", 1),
        ("cus_1", "email", 1),
        ("cus_2", "email", 1),
    ]


def test_the_day_is_the_customers() -> None:
    late = datetime.fromisoformat("2026-03-03T23:30Z")
    due = [DueContact("cus_1", f"in_{n}", MAIL, late + n * HOUR, "Asia/Tokyo") for n in range(2)]
    assert len(group_contacts(due, HOURS)) == 1
    elsewhere = [DueContact("cus_1", f"in_{n}", MAIL, late + n * HOUR) for n in range(2)]
    assert len(group_contacts(elsewhere, HOURS)) == 2


DUE = st.builds(
    DueContact,
    st.sampled_from(["cus_1", "cus_2"]),
    st.sampled_from(["in_1", "in_2", "in_3", "in_4"]),
    st.sampled_from([FAILED, MAIL, OUTREACH, EXECUTIVE]),
    spans(72).map(lambda after: START + after),
    st.sampled_from([None, *ZONES]),
)


@given(st.lists(DUE, max_size=12))
@settings(max_examples=60)
def test_every_contact_is_in_one_group_whatever_the_order(due: list[DueContact]) -> None:
    groups = group_contacts(due, HOURS)
    assert group_contacts([*due, *due], HOURS) == groups
    assert group_contacts(due[::-1], HOURS) == groups
    assert len({group.key for group in groups}) == len(groups)
    grouped = {(group.customer_id, group.kind, *each) for group in groups for each in group.about}
    wanted = {
        (one.customer_id, kind, one.invoice_id, one.step.key)
        for one in due
        for kind in one.step.kinds & {ActionKind.EMAIL, ActionKind.OUTREACH_TASK}
    }
    assert grouped == wanted
