"""The command line: onhand serve, demo, init, accounts, keys, verify, replay, import, export and more."""

from __future__ import annotations

import typer

from onhand import __version__
from onhand.cli import (
    channels,
    checking,
    connecting,
    copying,
    files,
    frame,
    incidents,
    orders,
    people,
    preparing,
    running,
    sandbox,
    secrets,
    simulating,
    stock,
)

app = typer.Typer(
    name="onhand",
    help="A self-hosted inventory hub: one stock ledger, five published inventory APIs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(running.app)
app.add_typer(preparing.app)
app.add_typer(copying.app)
app.add_typer(orders.app)
app.add_typer(simulating.app)
app.add_typer(files.app)
app.add_typer(stock.app)
app.add_typer(checking.app)
app.add_typer(channels.app)
app.add_typer(connecting.app)
app.add_typer(incidents.app, name="incidents")
app.add_typer(sandbox.app, name="sandbox")
app.add_typer(people.accounts_app, name="accounts")
app.add_typer(people.keys_app, name="keys")
app.add_typer(secrets.app, name="secrets")


def _version(wanted: bool) -> None:
    if wanted:
        frame.say(f"onhand {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version."
    ),
) -> None:
    """Options before the command."""


def main() -> None:
    """Run the command line."""
    app()
