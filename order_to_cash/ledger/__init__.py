"""What the product remembers: what is owed, what was done about it, and every outside call.

`Ledger` is the way in. The modules import SQLModel and SQLAlchemy, so the command line loads them where it
needs them. No secret is kept; where personal data is, `tables` says.
"""
