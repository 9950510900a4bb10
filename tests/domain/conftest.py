"""Settings for the property tests of the domain."""

from __future__ import annotations

from hypothesis import settings

# The first example of a run may import the Stripe SDK or build the table of country names: no deadline an example.
settings.register_profile("domain", deadline=None)
settings.load_profile("domain")
