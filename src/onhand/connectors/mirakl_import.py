"""Mirakl's stock import: a CSV of absolute quantities is sent, awaited, and its error report read back.

Operations STO01 to STO03 of the Marketplace seller API.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from onhand.connectors.auth import fingerprint
from onhand.connectors.flow import (
    Accepted,
    Flow,
    Later,
    Pairs,
    Rejected,
    Request,
    Response,
    Target,
    Unsure,
    Verdict,
    Wait,
    Whole,
    for_all,
    retry_after,
)
from onhand.connectors.reading import ask, text, whole
from onhand.connectors.skus import sendable, sku_of

PATH = "/api/offers/stock/imports"
COLUMNS = ("offer-sku", "quantity", "warehouse-code", "update-delete")
LOOK_SECONDS = 15
"""Mirakl lets the status of an import be asked for every 15 seconds."""
LOOKS = 60
LARGEST = 2_147_483_647
"""Mirakl keeps quantities in 32 bits."""
MISSING = (
    "this marketplace has no stock import (STO01); the import of whole offers would reset every field "
    "that is not sent, so it is not used"
)


class Row(NamedTuple):
    """A line of the file: which target it speaks for."""

    target: int
    sku: str
    quantity: int
    warehouse: str


class Report(NamedTuple):
    """A line of the error report: the line number that it names, and why."""

    line: int
    reason: str


def push_stock(shop: Pairs, targets: Sequence[Target]) -> Flow[list[Verdict]]:
    """Import the quantities of all targets in one file and wait for what became of it. ``shop`` is the
    query that picks the shop."""
    verdicts: dict[int, Verdict] = {}
    rows: list[Row] = []
    for place, target in enumerate(targets):
        lines = _rows(place, target)
        if isinstance(lines, str):
            verdicts[place] = Rejected(target, lines)
        else:
            rows.extend(lines)
    if rows:
        asked = {row.target: targets[row.target] for row in rows}
        verdicts |= yield from _import(shop, asked, _together(rows))
    return [verdicts[place] for place in range(len(targets))]


def _rows(place: int, target: Target) -> list[Row] | str:
    """The lines of a target, or why it has none."""
    sku = sku_of(target)
    if sku is None:
        return "it has no SKU that can be written into Mirakl's file"
    if not target.slots:
        return "it has no quantity to tell"
    if not all(sendable(slot.location or "") for slot in target.slots):
        return "the code of its warehouse cannot be written into Mirakl's file"
    return [Row(place, sku, max(0, min(slot.offer, LARGEST)), slot.location or "") for slot in target.slots]


def _together(rows: Sequence[Row]) -> list[Row]:
    """In an order that keeps the lines of one offer next to one another, as Mirakl asks."""
    first: dict[str, int] = {}
    for row in rows:
        first.setdefault(row.sku, len(first))
    return sorted(rows, key=lambda row: first[row.sku])


def csv_of(rows: Sequence[Row]) -> str:
    """The file: semicolons, every field quoted. An empty flag in the last column means update."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=";", quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((row.sku, str(row.quantity), row.warehouse, "") for row in rows)
    return out.getvalue()


def upload(shop: Pairs, file: str) -> Request:
    """The file as one part of a form. The boundary is drawn from the file, so that no line of the file is
    the boundary and the same file is the same request."""
    boundary = f"onhand-{fingerprint(file)}"
    body = (
        f"--{boundary}\r\n"
        'Content-Disposition: form-data; name="file"; filename="stock.csv"\r\n'
        "Content-Type: text/csv; charset=utf-8\r\n\r\n"
        f"{file}\r\n--{boundary}--\r\n"
    ).encode()
    kind = ("Content-Type", f"multipart/form-data; boundary={boundary}")
    return Request("POST", PATH, query=shop, body=body, headers=(kind,), limit="imports")


def _import(shop: Pairs, asked: Mapping[int, Target], rows: Sequence[Row]) -> Flow[dict[int, Verdict]]:
    answer = yield from ask(upload(shop, csv_of(rows)))
    places, targets = list(asked), list(asked.values())
    if answer.status == 404 and (not answer.body or isinstance(answer.json(), Mapping)):
        return {place: Rejected(target, MISSING, "404") for place, target in asked.items()}
    if answer.status == 404:
        # A gateway's page and not Mirakl's word: it must not park a whole catalogue.
        return {place: Later(target, answer.words, retry_after(answer)) for place, target in asked.items()}
    if not answer.ok:
        return dict(zip(places, for_all(targets, answer), strict=True))
    name = text(answer.json(), "import_id")
    if name is None:
        return _all_unsure(asked, f"Mirakl did not name its import: {answer.words}")
    status = yield from _outcome(shop, name)
    if isinstance(status, str):
        return _all_unsure(asked, f"import {name}: {status}")
    return (yield from _judge(shop, name, status, asked, rows))


def _all_unsure(asked: Mapping[int, Target], words: str) -> dict[int, Verdict]:
    return {place: Unsure(target, words) for place, target in asked.items()}


def _outcome(shop: Pairs, name: str) -> Flow[Response | str]:
    """The answer that says COMPLETE or FAILED; else in words what was seen last."""
    seen = "no status yet"
    for _ in range(LOOKS):
        yield Wait(LOOK_SECONDS)
        call = Request("GET", f"{PATH}/{name}/status", query=shop, limit="status", repeatable=True)
        answer = yield from ask(call)
        if answer.status in (401, 403, 404):
            return answer.words
        seen = text(answer.json(), "status") or answer.words if answer.ok else answer.words
        if answer.ok and seen in ("COMPLETE", "FAILED"):
            return answer
        if pause := retry_after(answer):
            yield Wait(pause)
    return f"still {seen} after {LOOKS * LOOK_SECONDS // 60} minutes"


def _judge(
    shop: Pairs, name: str, status: Response, asked: Mapping[int, Target], rows: Sequence[Row]
) -> Flow[dict[int, Verdict]]:
    found = status.json()
    if text(found, "status") == "FAILED":
        return _all_whole(asked, f"import {name} failed: {text(found, 'reason_status') or status.words}")
    wrong = whole(found, "lines_in_error")
    if wrong is None:
        return _all_unsure(asked, f"import {name} is complete, but not how many lines are wrong")
    verdicts: dict[int, Verdict] = {place: Accepted(target) for place, target in asked.items()}
    if not wrong:
        return verdicts
    call = Request("GET", f"{PATH}/{name}/error_report", query=shop, limit="reports", repeatable=True)
    answer = yield from ask(call)
    reports = report_of(answer) if answer.ok else []
    blamed = blame(reports, rows)
    if not blamed:
        return _all_whole(asked, f"import {name}: {wrong} lines are wrong, and its report names none")
    for place, (words, sure) in blamed.items():
        target = asked[place]
        verdicts[place] = Rejected(target, words) if sure or len(asked) == 1 else Whole(target, words)
    if wrong > len({report.line for report in reports}):
        words = f"import {name}: {wrong} lines are wrong, and its report names fewer"
        verdicts |= _all_doubtful({place: asked[place] for place in asked if place not in blamed}, words)
    return verdicts


def _all_doubtful(left: Mapping[int, Target], words: str) -> dict[int, Verdict]:
    """Of targets that a report does not name although it names too few: any may be wrong. One that is left
    alone is said again and not refused: the line that is missing may be another one of a named target."""
    return {place: Whole(one, words) if len(left) > 1 else Unsure(one, words) for place, one in left.items()}


def _all_whole(asked: Mapping[int, Target], words: str) -> dict[int, Verdict]:
    if len(asked) == 1:
        return {place: Rejected(target, words) for place, target in asked.items()}
    return {place: Whole(target, words) for place, target in asked.items()}


# --- the error report -----------------------------------------------------------------------------------


def report_of(answer: Response) -> list[Report]:
    """The lines of an error report: a number, then a reason. What has no number (its head) is left out."""
    found = []
    try:
        for cells in csv.reader(io.StringIO(answer.body.decode("utf-8-sig", "replace"), ""), delimiter=";"):
            if len(cells) >= 2 and cells[0].strip().isascii() and cells[0].strip().isdigit():
                found.append(Report(int(cells[0].strip()[:9]), ";".join(cells[1:]).strip()))
    except csv.Error:
        return []
    return found


def blame(reports: Sequence[Report], rows: Sequence[Row]) -> dict[int, tuple[str, bool]]:
    """Which targets are meant, in what words, and whether that is certain.

    It is nowhere written whether line 1 is the head of our file or its first row. A reason that names one
    SKU of ours settles it; so does a number that only one way of counting allows. Else both rows are
    suspects: the courier says them again, each alone.
    """
    fitting = [head for head in (1, 0) if all(0 < report.line - head <= len(rows) for report in reports)]
    blamed: dict[int, tuple[str, bool]] = {}
    for report in reports:
        suspects = {rows[report.line - head - 1].target for head in fitting}
        named = {row.target for row in rows if _names(report.reason, row.sku)}
        if len(named) == 1 and named <= suspects:
            suspects = named
        for place in suspects:
            words = blamed[place][0] + "; " if place in blamed else ""
            sure = len(suspects) == 1 or blamed.get(place, ("", False))[1]
            blamed[place] = (words + report.reason, sure)
    return blamed


def _names(reason: str, sku: str) -> bool:
    return f"'{sku}'" in reason or f'"{sku}"' in reason or sku in reason.split()
