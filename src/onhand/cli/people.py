"""The commands about accounts and their keys."""

from __future__ import annotations

from typing import Annotated

import typer

from onhand.cli import frame
from onhand.cli.frame import AccountName, AsJson, Db
from onhand.faces import face
from onhand.office import door, people
from onhand.office.people import BadWords

accounts_app = typer.Typer(help="Create and list accounts.", no_args_is_help=True)
keys_app = typer.Typer(help="Create, list and revoke credentials.", no_args_is_help=True)


@accounts_app.command("list")
@frame.command
async def list_accounts(db: Db = None, as_json: AsJson = False) -> None:
    """List the accounts."""
    async with door.reading(frame.load(db)) as inventory:
        found = await people.list_accounts(inventory)
    if as_json:
        frame.print_json(found)
    else:
        frame.print_table(
            ["id", "name", "movements"], [(one["id"], one["name"], one["seq"]) for one in found]
        )


@accounts_app.command("create")
@frame.command
async def create_account(
    name: Annotated[str, typer.Argument(help="What to call it.")], db: Db = None, as_json: AsJson = False
) -> None:
    """Create an account with its own seller and a location named main."""
    async with door.writing(frame.load(db), create=True) as way:
        made = await way.ask("add_account", name=name)
    if as_json:
        frame.print_json(made)
    else:
        frame.say(f"created account {made['name']} (id {made['id']})")


@keys_app.command("list")
@frame.command
async def list_keys(db: Db = None, account: AccountName = None, as_json: AsJson = False) -> None:
    """List the account's credentials; secrets are not kept and cannot be shown."""
    async with door.reading(frame.load(db)) as inventory:
        number = await people.account_id(inventory, account)
        found = await people.list_keys(inventory, account=number)
    if as_json:
        frame.print_json(found)
        return
    columns = ["dialect", "principal", "scopes", "seller", "label", "expires_at", "revoked_at"]
    frame.print_table(columns, [[one[name] for name in columns] for one in found])


@keys_app.command("create")
@frame.command
async def create_key(
    dialect: Annotated[
        str, typer.Argument(help="native, treet, flipkart, trackstar, marketplacer or sellbrite.")
    ],
    db: Db = None,
    account: AccountName = None,
    scopes: Annotated[str, typer.Option(help="native: read, write or admin.")] = "write",
    seller: Annotated[int | None, typer.Option(help="Bind the key to this seller's id.")] = None,
    integration: Annotated[
        str | None, typer.Option(help="trackstar: the cart behind the connection.")
    ] = None,
    location: Annotated[
        list[str] | None,
        typer.Option(help="trackstar: a warehouse of the connection, by name; may be given again."),
    ] = None,
    label: Annotated[str, typer.Option(help="What it is for.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="They are JSON, with or without it.")] = False,
) -> None:
    """Create credentials and print them as JSON, this once."""
    try:
        face(dialect)
    except ValueError as error:
        raise BadWords(str(error)) from error
    async with door.writing(frame.load(db)) as way:
        number = await way.ask("account_id", name=account)
        made = await way.ask(
            "add_key",
            account=number,
            dialect=dialect,
            scopes=scopes,
            seller=seller,
            integration=integration,
            label=label,
            locations=location or [],
        )
    frame.print_json(made)


@keys_app.command("revoke")
@frame.command
async def revoke_key(
    principal: Annotated[str, typer.Argument(help="Whose, as 'onhand keys list' shows it.")],
    db: Db = None,
    account: AccountName = None,
    as_json: AsJson = False,
) -> None:
    """End a principal's credentials at once."""
    async with door.writing(frame.load(db)) as way:
        number = await way.ask("account_id", name=account)
        ended = await way.ask("revoke_key", account=number, principal=principal)
    if as_json:
        frame.print_json({"principal": principal, "revoked": ended})
        return
    frame.say(f"revoked {ended} {'key' if ended == 1 else 'keys'} of {principal}")
