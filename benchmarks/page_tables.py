"""Lays the results out as HTML tables; computes nothing beyond medians and the best of a row."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from oocarray.units import format_bytes

from .page_text import DAGGER, OUTCOMES, dagger, how, tip, title_of
from .results import OURS, Cell, Results, amount, odd, say

__all__ = [
    "bytes_table",
    "facts_table",
    "how_table",
    "left_out_list",
    "outcome_legend",
    "summary",
    "tuning_table",
]

_ROWS = (
    ("cold", "wall", "time, cold"),
    ("warm", "wall", "time, warm"),
    ("cold", "cpu", "CPU time, cold"),
    ("cold", "peak", "memory held, cold"),
    ("cold", "peak_cache", "charged, cold"),
)
_RANKED = ("wall", "cpu")
"""Of these less is better. Pages of a file count as held by who maps it and not by who reads it,
and what is charged is as much as there is, for whoever has use for a cache."""


def summary(results: Results) -> str:
    """The headline: a few rows a case, a column for each rival, the best times bold."""
    rivals, cells = results.rivals("main"), results.cells("main")
    parts = []
    for case in results.cases():
        rows = [row for row in _ROWS if any(_shown(cells, case, name, *row) for name in rivals)]
        over = {name for name in rivals if not any(_ended(cells, case, name, *row) for row in rows)}
        for index, (state, key, label) in enumerate(rows):
            found = [cells.get((case, name, state)) for name in rivals]
            best = min(
                (value for cell in found if cell and (value := cell.median(key)) is not None),
                default=None,
            )
            best = best if key in _RANKED else None
            entries = []
            for name, cell in zip(rivals, found, strict=True):
                if name not in over:
                    entries.append(_entry(cell, key, name, best))
                elif index == 0:
                    # Why there is nothing is told once for the case, not in each of its rows.
                    cell = cell or cells.get((case, name, "warm"))
                    entries.append(_entry(cell, key, name, best, len(rows)))
            head = ""
            if index == 0:
                words = f"{escape(case)}<small>{escape(title_of(case))}</small>"
                head = f'<th scope="rowgroup" rowspan="{len(rows)}" class="case">{words}</th>'
            parts.append(
                f'<tr>{head}<th scope="row" class="row">{label}</th>{"".join(entries)}</tr>'
            )
        parts.append("</tbody><tbody>")
    heads = [f'<th scope="col"{_ours(name)}>{escape(name)}</th>' for name in rivals]
    body = "".join(parts).removesuffix("</tbody><tbody>")
    return _table(f"<th>work</th><th></th>{''.join(heads)}", body, "wide")


def _shown(cells: dict[Any, Cell], case: str, name: str, state: str, key: str, _: str) -> bool:
    """Whether a rival has something in a row: why it has no time, or a figure."""
    return (case, name, state) in cells and (key == "wall" or _ended(cells, case, name, state, key))


def _ended(cells: dict[Any, Cell], case: str, name: str, state: str, key: str, _: str = "") -> bool:
    cell = cells.get((case, name, state))
    return cell is not None and cell.median(key) is not None


def _entry(cell: Cell | None, key: str, name: str, best: float | None, rows: int = 1) -> str:
    value = cell.median(key) if cell else None
    if cell is None or value is None:
        text = say(cell, key)
        reason = cell.runs[-1].message if cell else ""
        text = "&ndash;" if cell is None else escape(text)
        return _cell(text, name, "none", reason, raw=True, rows=rows)
    text = say(cell, key)
    if best is not None and text == say_value(best, key):
        text = f"<b>{text}</b>"
    if key == "wall":
        text += dagger(cell)
    if cell.bad:
        text += f"<small>{len(cell.values(key))} of {len(cell.runs)} rounds</small>"
    return _cell(text, name, "", tip(cell, key), raw=True)


def say_value(value: float, key: str) -> str:
    """A figure as `say` writes it: what is written alike is bold alike."""
    return f"{amount(value)} s" if key in ("wall", "cpu") else format_bytes(value)


def _cell(
    text: str, name: str, kind: str, title: str = "", *, raw: bool = False, rows: int = 1
) -> str:
    names = " ".join(part for part in (kind, "ours" if name == OURS else "") if part)
    shown = f' class="{names}"' if names else ""
    shown += f' rowspan="{rows}"' if rows > 1 else ""
    shown += f' title="{escape(title, quote=True)}"' if title else ""
    return f"<td{shown}>{text if raw else escape(text)}</td>"


def _ours(name: str) -> str:
    return ' class="ours"' if name == OURS else ""


def outcome_legend(results: Results) -> str:
    """What the words in place of figures mean, of those that occur."""
    seen = {run.outcome for run in results.runs} & OUTCOMES.keys()
    words = [(name, text) for name, text in OUTCOMES.items() if name in seen]
    names = {"wrong": "wrong answer", "timeout": "too slow, stopped", "over": "went over"}
    items = [f"<dt>{names.get(name, name)}</dt><dd>{escape(text)}</dd>" for name, text in words]
    items.append("<dt>&ndash;</dt><dd>not run or not measured</dd>")
    remarks = Cell(tuple(results.runs)).remarks
    if remarks:
        text = f"the result was right, but: {'; '.join(remarks)}"
        items.append(f"<dt>{DAGGER}</dt><dd>{escape(text)}</dd>")
    return f'<dl class="legend-list">{"".join(items)}</dl>'


def how_table(results: Results) -> str:
    """How each rival does its work."""
    versions = results.machine.get("versions") or {}
    aliases = {"numpy-naive": "numpy", "numpy-careful": "numpy", "dask-distributed": "distributed"}
    rows = "".join(
        f"<tr><th scope='row'>{escape(name)}</th><td class='words'>{escape(how(name))}</td>"
        f"<td>{escape(versions.get(aliases.get(name, name), ''))}</td></tr>"
        for name in results.rivals()
    )
    return _table("<th>rival</th><th class='words'>how it was run</th><th>version</th>", rows)


def tuning_table(results: Results) -> str:
    """Sizes of chunks that were tried; the chosen one is bold."""
    if not results.tunings:
        return ""
    sizes = sorted({int(size) for each in results.tunings for size in each.get("tried") or {}})
    rows = []
    for each in results.tunings:
        tried = {int(size): value for size, value in (each.get("tried") or {}).items()}
        cells = []
        for size in sizes:
            value, best = tried.get(size), size == each.get("chunk_bytes")
            if value is None:
                text = "did not end well" if size in tried else "&ndash;"
                cells.append(f'<td class="none">{text}</td>')
            else:
                text = f"{amount(value)} s"
                cells.append(f"<td>{f'<b>{text}</b>' if best else text}</td>")
        chosen = format_bytes(each["chunk_bytes"]) if each.get("chunk_bytes") else "&ndash;"
        data = format_bytes(each["size"]) if each.get("size") else "&ndash;"
        rows.append(
            f"<tr><th scope='row'>{escape(each['case'])}</th><td class='words'>"
            f"{escape(each['rival'])}</td><td>{data}</td>{''.join(cells)}<td>{chosen}</td></tr>"
        )
    heads = "".join(f"<th>{format_bytes(size)}</th>" for size in sizes)
    words = "<th>work</th><th class='words'>rival</th><th>on files of</th>"
    return _table(f"{words}{heads}<th>chosen</th>", "".join(rows))


def bytes_table(results: Results) -> str:
    """Bytes that the disk moved in cold runs, and how many times those that the work needs."""
    rivals, cells = results.rivals("main"), results.cells("main")
    rows = []
    for case in results.cases():
        found = [cells.get((case, name, "cold")) for name in rivals]
        for key in ("read", "written"):
            if not any(cell.values(key) for cell in found if cell):
                continue
            needed = max((cell.median(f"planned_{key}") or 0 for cell in found if cell), default=0)
            if not needed and not any(cell.median(key) for cell in found if cell):
                continue
            head = f"<th scope='row' class='case'>{escape(case)}</th><th class='row'>{key}</th>"
            moved = [_moved(cell, key, name) for name, cell in zip(rivals, found, strict=True)]
            rows.append(f"<tr>{head}<td>{format_bytes(needed)}</td>{''.join(moved)}</tr>")
    if not rows:
        return ""
    heads = [f'<th scope="col"{_ours(name)}>{escape(name)}</th>' for name in rivals]
    return _table(f"<th>work</th><th></th><th>needed</th>{''.join(heads)}", "".join(rows), "wide")


def _moved(cell: Cell | None, key: str, name: str) -> str:
    value = cell.median(key) if cell else None
    if cell is None or value is None:
        return _cell("&ndash;", name, "none", raw=True)
    planned = cell.median(f"planned_{key}")
    kind, ratio = "", ""
    if planned:
        kind = "odd" if odd(value, planned) else ""
        ratio = f"<small>{value / planned:.2f} &times;{' !' if kind else ''}</small>"
    return _cell(format_bytes(value) + ratio, name, kind, tip(cell, key), raw=True)


def left_out_list(results: Results) -> str:
    """What was not measured, and why."""
    if not results.left_out:
        return "<p>Nothing was left out.</p>"
    items = [
        f"<dt>{escape(str(each.get('what', '')))}</dt><dd>{escape(str(each.get('why', '')))}</dd>"
        for each in results.left_out
    ]
    return f"<dl>{''.join(items)}</dl>"


def _table(head: str, body: str, kind: str = "") -> str:
    return (
        f'<div class="scroll"><table class="{kind}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def facts_table(rows: Sequence[tuple[str, str]]) -> str:
    """Names and values of the machine."""
    body = "".join(
        f"<tr><th scope='row'>{escape(name)}</th><td class='words'>{escape(value)}</td></tr>"
        for name, value in rows
    )
    return f'<div class="scroll"><table class="facts"><tbody>{body}</tbody></table></div>'
