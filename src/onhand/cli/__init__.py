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
HUB, STOCK, CHANNELS, PEOPLE = "The hub and its database", "Stock", "Channels", "Accounts and keys"
"""The headings under which the commands are listed."""


def _listed(heading: str, *parts: typer.Typer) -> None:
    for part in parts:
        for one in part.registered_commands:
            one.rich_help_panel = heading
        app.add_typer(part)


_listed(HUB, running.app, preparing.app, copying.app)
_listed(STOCK, orders.app, simulating.app, files.app, stock.app, checking.app)
app.add_typer(incidents.app, name="incidents", rich_help_panel=STOCK)
_listed(CHANNELS, channels.app, connecting.app)
app.add_typer(sandbox.app, name="sandbox", rich_help_panel=CHANNELS)
app.add_typer(people.accounts_app, name="accounts", rich_help_panel=PEOPLE)
app.add_typer(people.keys_app, name="keys", rich_help_panel=PEOPLE)
app.add_typer(secrets.app, name="secrets", rich_help_panel=PEOPLE)


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
