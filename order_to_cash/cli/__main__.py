"""`python -m order_to_cash.cli`: what `o2c` runs, for child processes that must use this interpreter."""

from order_to_cash.cli import main

main()
