"""The commands about the key that secrets of connections are sealed with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onhand import seals
from onhand.cli import frame
from onhand.cli.frame import AsJson, Db
from onhand.office import door

app = typer.Typer(help="Make and change the key that seals secrets.", no_args_is_help=True)


@app.command("rotate")
@frame.command
async def rotate(db: Db = None, as_json: AsJson = False) -> None:
    """Seal all secrets with a new key; a running hub goes on.

    A key in a file is replaced there. With ONHAND_SECRET_KEY, put the new key before the old one
    (ONHAND_SECRET_KEY=NEW,OLD), restart, rotate, and then leave the old one out.
    """
    async with door.writing(frame.load(db)) as way:
        done = await way.ask("rotate_secrets")
    if as_json:
        frame.print_json(done)
        return
    frame.say(f"{done['resealed']} sealed anew; the key {done['key']} seals now")
    if done["still_needed"]:
        frame.complain(
            f"still needed: {', '.join(done['still_needed'])}; rotate again before they are removed"
        )


@app.command("new-key")
@frame.command
async def new_key(
    file: Annotated[Path | None, typer.Option(help="Write it there; else to the screen.")] = None,
) -> None:
    """Make a key for ONHAND_SECRET_KEY or ONHAND_SECRET_KEY_FILE."""
    made = seals.fresh()
    if file is None:
        frame.say(made.words())
    elif file.exists():
        frame.complain(f"{file} is there already: nothing was written")
        raise typer.Exit(frame.FAILED)
    else:
        seals.write_file(file, [made], new=True)
        frame.say(f"wrote {file}")
