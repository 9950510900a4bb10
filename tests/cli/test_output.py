from __future__ import annotations

import pytest

from order_to_cash.cli.output import Finding, show_findings


def test_what_is_fine_with_advice_is_not_marked_as_fine(capsys: pytest.CaptureFixture[str]) -> None:
    fine, advised = Finding(True, "a", "fine"), Finding(True, "b", "works", "Better: so.")
    assert show_findings([fine, advised]) == 0
    assert capsys.readouterr().out.splitlines() == [
        " ok   a           fine",
        "note  b           works",
        "                  advice: Better: so.",
    ]
    assert show_findings([advised, Finding(False, "c", "broken", "Mend it.")]) == 1
    told = capsys.readouterr().out.splitlines()
    assert told[2:] == ["FAIL  c           broken", "                  to do: Mend it."]
