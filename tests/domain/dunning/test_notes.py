"""The notes of a ladder's journal in words."""

from __future__ import annotations

import pytest

from order_to_cash.domain.dunning.notes import note_in_words
from tasks import dunning_outreach, dunning_owners, dunning_sending


@pytest.mark.parametrize(
    ("note", "said"),
    [
        ("", ""),
        ("by_hand", "it could not be mailed: a Task with the text is left to a person"),
        ("slack: channel_not_found", "Slack did not take it [channel_not_found]"),
        (
            "owner_not_found; mail: template_broken; owner_not_found",
            "whom the policy names is not there: it went to who looks after the Account; "
            "the mail could not be written [template_broken]",
        ),
        ("only $1.00 USD are owed", "only $1.00 USD are owed"),
        ("why: because", "why: because"),
    ],
)
def test_codes_become_words_and_words_stay(note: str, said: str) -> None:
    assert note_in_words(note) == said


def test_the_codes_that_steps_leave_are_known() -> None:
    for code in (dunning_outreach.SETTLED, dunning_sending.SETTLED, dunning_owners.OWNER_NOT_FOUND):
        assert note_in_words(code) != code
