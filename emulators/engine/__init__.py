"""What the emulated services share: clock, journal, faults, settings, control API and the HTTP server."""

from emulators.engine.clock import Clock
from emulators.engine.faults import Fault, Faults
from emulators.engine.journal import Effect, Journal, JournalEntry
from emulators.engine.service import Service
from emulators.engine.settings import Settings
from emulators.engine.wire import Answer, Call

__all__ = [
    "Answer",
    "Call",
    "Clock",
    "Effect",
    "Fault",
    "Faults",
    "Journal",
    "JournalEntry",
    "Service",
    "Settings",
]
