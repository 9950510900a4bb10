"""`o2c emulators`: the local Stripe, Salesforce and Slack, until Ctrl-C."""

from __future__ import annotations


def run(stripe_port: int, salesforce_port: int, slack_port: int) -> None:
    from emulators.run import main

    main(
        [
            f"--stripe-port={stripe_port}",
            f"--salesforce-port={salesforce_port}",
            f"--slack-port={slack_port}",
        ]
    )
