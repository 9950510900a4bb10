"""Mail at the command line: previews, and what the doctor says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from order_to_cash.cli.ladder_preview import check_templates
from order_to_cash.domain.errors import ConfigurationError
from order_to_cash.settings import load_settings

Command = Callable[..., Result]


def test_an_example_is_shown_and_its_html_written(o2c: Command, tmp_path: Path) -> None:
    done = o2c("ladder", "preview", "--html", "mail.html")
    assert done.exit_code == 0, done.output
    for words in (
        "Subject: Acme: your payments for 2 invoices",
        "UMB-0007: $1,200.00 USD. The card has expired.",
    ):
        assert words in done.output
    assert "HTML written to mail.html" in done.output
    assert "Update your payment method" in (tmp_path / "mail.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["payment_failed", "invoice_overdue", "executive"])
def test_every_template_has_its_example(o2c: Command, name: str) -> None:
    done = o2c("ladder", "preview", "--template", name)
    assert done.exit_code == 0, done.output
    assert "UMB-0009" in done.output
    assert f"To:      {'VP Customers' if name == 'executive' else 'Accounts Payable'} <" in done.output


def test_a_template_of_ones_own_is_tried_with_its_mistakes(
    o2c: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("O2C_MAIL_TEMPLATES", str(tmp_path))
    (tmp_path / "payment_failed.txt.j2").write_text(
        "Subject: Ours\n\nPay {{ letter.total }}.\n", encoding="utf-8"
    )
    done = o2c("ladder", "preview")
    assert done.exit_code == 0, done.output
    assert "Subject: Ours" in done.output
    (tmp_path / "payment_failed.txt.j2").write_text("Subject: Ours\n{{ letter.totl }}\n", encoding="utf-8")
    failed = o2c("ladder", "preview")
    assert failed.exit_code == 1
    assert "payment_failed.txt.j2" in failed.output
    assert "totl" in failed.output


def test_a_template_that_is_not_there_is_told_with_those_that_are(o2c: Command) -> None:
    failed = o2c("ladder", "preview", "--template", "last_call")
    assert failed.exit_code == 1
    assert "executive, invoice_overdue, payment_failed" in failed.output


def test_the_doctor_names_broken_templates(clean_place: object, tmp_path: Path) -> None:
    assert list(check_templates(load_settings())) == []
    (good,) = check_templates(load_settings(mail_templates=tmp_path))
    assert good.ok
    (tmp_path / "executive.html.j2").write_text("{% if %}", encoding="utf-8")
    (broken,) = check_templates(load_settings(mail_templates=tmp_path))
    assert not broken.ok
    assert "executive.html.j2, line 1" in broken.message
    (away,) = check_templates(load_settings(mail_templates=tmp_path / "nowhere"))
    assert "O2C_MAIL_TEMPLATES" in away.remedy


LIVE = {
    "environment": "live",
    "stripe_api_key": "rk_live_o2c",
    "salesforce_domain": "acme.my.salesforce.com",
    "salesforce_client_id": "client",
    "salesforce_client_secret": "secret",
    "bill_deals_closed_on_or_after": "2026-01-01",
    "smtp_host": "smtp.acme.com",
    "smtp_from": "Acme <billing@acme.com>",
}
TEST = LIVE | {
    "environment": "test",
    "stripe_api_key": "rk_test_o2c",
    "salesforce_domain": "acme--uat.sandbox.my.salesforce.com",
    "smtp_redirect_to": "qa@acme.com",
}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (LIVE | {"smtp_from": ""}, "O2C_SMTP_HOST and O2C_SMTP_FROM belong together"),
        (LIVE | {"smtp_security": "none"}, "O2C_SMTP_SECURITY=none is for a relay on this machine"),
        (LIVE | {"smtp_username": "o2c"}, "O2C_SMTP_USERNAME and O2C_SMTP_PASSWORD belong together"),
        (
            LIVE | {"smtp_redirect_to": "qa@acme.com"},
            "O2C_SMTP_REDIRECT_TO is set: in live mail goes to the customers",
        ),
        (TEST | {"smtp_redirect_to": ""}, "in test every mail goes there, and none to a customer"),
        ({"smtp_host": "smtp.acme.com"}, "O2C_SMTP_HOST is not on this machine"),
    ],
)
def test_settings_that_would_write_to_the_wrong_people_are_refused(
    clean_place: object, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(env_file=None, **given)
    assert said in caught.value.message


@pytest.mark.parametrize(
    "given", [LIVE, TEST, LIVE | {"smtp_host": "localhost", "smtp_security": "none"}], ids=str
)
def test_settings_that_fit_are_taken(clean_place: object, given: dict[str, Any]) -> None:
    assert load_settings(env_file=None, **given).smtp_enabled
