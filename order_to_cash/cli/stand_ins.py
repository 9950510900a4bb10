"""`o2c emulators`: the local Stripe, Salesforce, Slack and mail, until Ctrl-C."""

from __future__ import annotations

from collections.abc import Mapping

EMULATOR_PORTS: Mapping[str, int] = {
    "stripe": 12111,
    "salesforce": 12112,
    "slack": 12113,
    "mail": 12114,
    "smtp": 12115,
}
"""Where they listen unless told otherwise. `mail` is the mailbox, over HTTP."""


def run(ports: Mapping[str, int]) -> None:
    """`ports`: as `EMULATOR_PORTS` names them; 0 picks a free one."""
    from emulators.run import main

    main([f"--{name}-port={port}" for name, port in ports.items()])
