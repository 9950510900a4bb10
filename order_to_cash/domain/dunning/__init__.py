"""The dunning ladder: which step follows on an unpaid invoice, and when. Pure."""
