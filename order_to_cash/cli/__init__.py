"""The command line: `main` is the entry point of `o2c`. A command imports what it needs when it runs."""


def main() -> None:
    from order_to_cash.cli.app import app

    app(prog_name="o2c")
