"""The command line: onhand serve, demo, init, accounts, keys, verify, replay, import, export and more."""

from __future__ import annotations

import sys

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
    steering,
    stock,
)

app = typer.Typer(
    name="onhand",
    help="A self-hosted inventory hub: one stock ledger, five published inventory APIs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_TABLES = "'onhand init' brings a database's tables to this version, and so does 'onhand serve'"
_RUNS = "'onhand serve' runs the hub"
ELSEWHERE = {
    "help": "'onhand -h' lists the commands, and 'onhand COMMAND -h' explains one",
    "migrate": _TABLES,
    "restore": "put the copy in the database's place while no hub serves: docs/how-to/back-up-and-restore.md",
    "run": _RUNS,
    "start": _RUNS,
    "status": "'onhand doctor' looks at the database and who serves it, 'onhand connections' at the channels,"
    " 'onhand incidents' at what went wrong",
    "stop": "Ctrl-C or SIGTERM stops a hub; 'onhand doctor' says which process serves a SQLite file",
    "upgrade": _TABLES,
}
"""Words that people try, and what there is instead: what is spelt alike may do harm (retire)."""

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
_listed(CHANNELS, channels.app, connecting.app, steering.app)
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
    if words := ELSEWHERE.get("".join(sys.argv[1:2])):
        frame.complain(f"there is no command {sys.argv[1]!r}: {words}")
        sys.exit(frame.USAGE)
    app()
