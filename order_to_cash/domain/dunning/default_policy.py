"""The policy to start from (R40–R43), as data: `o2c ladder policy` prints it."""

from __future__ import annotations

from functools import cache
from typing import Any

from order_to_cash.domain.dunning.policy import DunningPolicy

DEFAULT_POLICY: dict[str, Any] = {
    "name": "default",
    "charged": {
        "days_to_final_action": 14,  # Stripe's recommended setting: 8 attempts within two weeks
        "final_action": "cancel",
        "lead": "48h",
        "steps": [
            {
                "key": "first-failure",
                "title": "Payment failed",
                "anchor": "first_failure",
                "actions": [
                    "payment_health",
                    "account_status",
                    {"kind": "task", "owner": "csm", "priority": "High"},
                    "slack",
                ],
            },
            {
                "key": "customer-mail",
                "title": "Ask for another payment method",
                "anchor": "first_failure",
                "delay": "24h",
                "actions": [
                    {"kind": "email", "template": "payment_failed"},
                    {"kind": "case", "owner": "csm"},
                ],
            },
            {
                "key": "csm-outreach",
                "title": "Talk to the customer",
                "anchor": "first_failure",
                "delay": "72h",
                "actions": [{"kind": "outreach_task", "owner": "csm", "priority": "High"}],
            },
            {
                "key": "executive",
                "title": "Before Stripe cancels",
                "anchor": "stripes_end",
                "actions": [{"kind": "executive_alert", "owner": "executive_sponsor"}, "account_flag"],
            },
        ],
    },
    "sent": {
        "days_to_final_action": 30,
        "final_action": "leave_past_due",
        "lead": "7d",
        "steps": [
            {
                "key": "due",
                "title": "Invoice is overdue",
                "anchor": "due_date",
                "actions": ["account_status", {"kind": "task", "owner": "csm", "priority": "High"}, "slack"],
            },
            {
                "key": "due-mail",
                "title": "Remind of the invoice",
                "anchor": "due_date",
                "delay": "24h",
                "actions": [
                    {"kind": "email", "template": "invoice_overdue"},
                    {"kind": "case", "owner": "csm"},
                ],
            },
            {
                "key": "due-outreach",
                "title": "Talk to the customer",
                "anchor": "due_date",
                "delay": "72h",
                "actions": [{"kind": "outreach_task", "owner": "csm", "priority": "High"}],
            },
            {
                "key": "due-executive",
                "title": "Long overdue",
                "anchor": "stripes_end",
                "actions": [{"kind": "executive_alert", "owner": "executive_sponsor"}, "account_flag"],
            },
        ],
    },
    "contact_hours": {
        "time_zone": "UTC",
        "days": ["mon", "tue", "wed", "thu", "fri"],
        "opens": "09:00",
        "closes": "17:00",
        "holidays": [],
    },
    "quiet_period": "20h",
    "retry_margin": "1h",
}


@cache
def default_policy() -> DunningPolicy:
    """`DEFAULT_POLICY`, validated."""
    return DunningPolicy.model_validate(DEFAULT_POLICY)
