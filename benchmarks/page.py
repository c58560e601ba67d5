"""Turns a result file into one HTML page and a table for the terminal; measures nothing."""

from __future__ import annotations

import sys
from html import escape
from pathlib import Path

from oocarray.units import format_bytes

from . import page_tables as tables
from .page_figures import bar_figure, memory_figure, size_figure, workers_figure
from .page_plots import colours, style
from .page_text import dagger, facts, glance, lead, repeat, score
from .results import OURS, Results, read, say

__all__ = ["main", "table", "write"]

_STYLE = """
:root{color-scheme:light dark;--page:#fff;--ink:#1c1f23;--soft:#5b636d;--line:#d5dae0;
--band:#f3f5f8;--mine:#e8f1fa;LIGHT}
@media(prefers-color-scheme:dark){:root{--page:#14171b;--ink:#e6e9ed;--soft:#9aa4b0;
--line:#363d46;--band:#1d2228;--mine:#182a3b;DARK}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1.5rem 1rem 4rem;max-width:1180px;background:var(--page);
color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
h1{font-size:1.7rem;line-height:1.2;margin:.2rem 0 .8rem}
h2{font-size:1.25rem;margin:2.6rem 0 .5rem;border-top:1px solid var(--line);padding-top:1rem}
h4{font-size:.88rem;margin:0 0 .3rem;font-weight:600}
p,figcaption,dl{max-width:50rem}
nav{font-size:.9rem;margin:1rem 0}nav a{margin-right:1rem;white-space:nowrap}
a{color:var(--r0)}
figure{margin:0}figcaption{color:var(--soft);font-size:.92rem;margin:.8rem 0}
.panels{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,330px),1fr));
gap:1.4rem 1.6rem}
.panel svg{width:100%;height:auto;display:block;max-width:480px}
svg text{font-size:12px;fill:var(--ink)}svg text.ours{font-weight:700}
svg text.none,svg text.name{fill:var(--soft)}svg text.none{font-style:italic}
.axis{stroke:var(--soft)}.grid{stroke:var(--line)}
.ideal{stroke:var(--soft);stroke-dasharray:5 4}
.halo{stroke:var(--page);stroke-width:3.4;fill:none;opacity:.75}
.whisker{stroke:var(--ink);stroke-width:1.2;fill:none}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;font-size:.9rem;margin:.4rem 0 .8rem}
.legend span{display:inline-flex;align-items:center;gap:.4rem}
.scroll{overflow-x:auto;margin:.6rem 0}
table{border-collapse:collapse;font-size:.85rem;font-variant-numeric:tabular-nums}
th,td{padding:.22rem .55rem;text-align:right;border-bottom:1px solid var(--line);
vertical-align:top}
thead th{vertical-align:bottom;border-bottom:2px solid var(--soft);background:var(--page)}
tbody th,.words,thead .words,thead th:first-child{text-align:left;font-weight:400}
td{white-space:nowrap}td.words{white-space:normal;min-width:9rem}
h4 small{font-size:.92em}
td.none{color:var(--soft);font-style:italic;white-space:normal}
td.ours,th.ours,tr.ours td,tr.ours th{background:var(--mine)}
td.odd small{color:var(--ink);font-weight:700}
small{display:block;color:var(--soft);font-weight:400;line-height:1.25}
.wide{font-size:.8rem}.wide .case{font-weight:600;min-width:7.5rem;max-width:10rem}
.wide td,.wide th{padding:.18rem .4rem}.wide .row{color:var(--soft);white-space:nowrap}
.wide tbody{border-bottom:2px solid var(--line)}
dl{display:grid;grid-template-columns:fit-content(34rem) 1fr;gap:.15rem 1rem;font-size:.92rem}
dt{font-weight:600}dd{margin:0}
.note{border-left:4px solid #d55e00;padding:.4rem .8rem;background:var(--band)}
pre{background:var(--band);padding:.7rem .9rem;white-space:pre-wrap;font-size:.88rem}
@media(max-width:600px){dl{grid-template-columns:1fr}dd{margin:0 0 .4rem}
.wide .case{min-width:6rem;position:sticky;left:0;background:var(--page);z-index:1}}
"""
_FIGURES = (
    "Medians of the rounds; the best times of each row are bold. Point at a figure for the least "
    "and most of its rounds. Memory held is what the processes held beyond what they held before. "
    "Pages of a memory-mapped file count as held, although the kernel may take them back; pages of "
    "a file that is read are in the page cache and do not. Charged is the most that counts towards "
    "the limit, page cache included: many have all of it, as what is free serves as cache. So "
    "neither tells how little memory would do, and neither is ranked."
)
_BARS = (
    "Shorter is better; a bar is the median of the rounds and the line at its end their least and "
    "most. A bar with a gap is cut off: its length is not to scale, the figure beside it is. "
)
_MOVED = (
    "What the disk moved in a cold run, and how many times that is what the work needs: 1.00 is a "
    "run that reads and writes everything once; less means that part of it was still in memory, "
    "or not yet written back at the end; more means that part was read or written again. Beyond a "
    "fifth it is marked with !."
)
_TUNED = (
    "Rivals that work in chunks were given the size of chunk that was fastest for each kind of "
    "work: found on small files, and where two sizes were close there, once more on the full ones. "
    "Where there was time for one cold run alone, the faster of those two is that run. The seconds "
    "are those of trial runs, the fastest is bold. oocarray was not tuned."
)


def write(results: str | Path, html: str | Path | None = None) -> Path:
    """Write the page of a result file, beside it unless told otherwise.

    Returns
    -------
    Path
        Where the page is.

    Raises
    ------
    ValueError
        It is not a result file.
    """
    found = read(results)
    path = Path(html) if html is not None else found.path.with_suffix(".html")
    path.write_text(_page(found), encoding="utf-8")
    return path


def _page(results: Results) -> str:
    numbers = colours(results.rivals())
    light, dark = style(numbers)
    css = _STYLE.replace("LIGHT", light).replace("DARK", dark)
    size = format_bytes(results.machine["size"])
    title = f"oocarray beside other libraries on a file of {size}"
    sections = [(name, head, body) for name, head, body in _sections(results, numbers) if body]
    links = " ".join(f'<a href="#{name}">{escape(head)}</a>' for name, head, _ in sections)
    body = "".join(
        f'<section id="{name}"><h2>{escape(head)}</h2>{body}</section>'
        for name, head, body in sections
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{css}</style></head><body>"
        f"<h1>{escape(title)}</h1><p>{escape(' '.join(lead(results)))}</p>"
        f"{_notes(results)}<p><b>{escape(score(results))}</b></p><nav>{links}</nav>"
        f"{body}</body></html>\n"
    )


def _notes(results: Results) -> str:
    notes = []
    if results.stopped:
        notes.append("This run was stopped before its end: what is not here was not reached.")
    if results.machine.get("quick"):
        notes.append(
            "This was a quick run, on little data: its figures show that all works, not "
            "which library is fast."
        )
    return "".join(f'<p class="note">{escape(note)}</p>' for note in notes)


def _sections(results: Results, numbers: dict[str, int]) -> list[tuple[str, str, str]]:
    short = "".join(
        f"<dt>{escape(case)}</dt><dd>{escape(title)}<br>{escape(text)}</dd>"
        for case, title, text in glance(results)
    )
    cold = _BARS + "The file was not in the page cache, so the disk takes part."
    spent = _BARS + "CPU time is that of all threads and processes together, so it can be more "
    spent += "than the time that passed; what it needs less of is left for other programs."
    moved = tables.bytes_table(results)
    if moved:
        moved = f"<p>{escape(_MOVED)}</p>{moved}"
    tuned = tables.tuning_table(results)
    if tuned:
        tuned = f"<p>{escape(_TUNED)}</p><details><summary>Sizes that were tried</summary>{tuned}"
        tuned += "</details>"
    figures = f"<p>{escape(_FIGURES)}</p>"
    figures += tables.summary(results) + tables.outcome_legend(results)
    again = "<p>In a clone of the repository, with its <code>test</code> and <code>rivals</code> "
    again += f"extras installed:</p><pre>{escape(repeat(results))}\n"
    again += "python -m benchmarks.page bench-results/results.jsonl</pre>"
    again += "<p>To see whether a change made something slower, compare two result files with "
    again += "<code>python -m benchmarks.compare_results OLD.jsonl NEW.jsonl</code>.</p>"
    return [
        ("glance", "At a glance", f"<dl>{short}</dl>" if short else ""),
        ("summary", "All figures", figures),
        ("time", "Time", bar_figure(results, numbers, "wall", "cold", cold)),
        ("cpu", "CPU time", bar_figure(results, numbers, "cpu", "cold", spent)),
        ("memory", "Throughput by memory limit", memory_figure(results, numbers)),
        ("size", "Cost by size", size_figure(results, numbers)),
        ("workers", "Speed by workers", workers_figure(results, numbers)),
        ("bytes", "Bytes read and written", moved),
        ("how", "How each rival was run", tables.how_table(results) + tuned),
        ("left-out", "What was left out", tables.left_out_list(results)),
        ("machine", "The machine", tables.facts_table(facts(results))),
        ("repeat", "How to repeat it", again),
    ]


def table(results: Results | str | Path, width: int = 160) -> str:
    """Times of all cases and rivals for the terminal, the best of each row marked with a star."""
    from rich.console import Console
    from rich.table import Table

    found = results if isinstance(results, Results) else read(results)
    rivals, cells = found.rivals("main"), found.cells("main")
    drawn = Table(title=f"Seconds, medians; {' '.join(lead(found)[:1])}", title_justify="left")
    drawn.add_column("work")
    drawn.add_column("")
    for name in rivals:
        drawn.add_column(name, justify="right", style="bold" if name == OURS else "")
    for case in found.cases():
        for state in ("cold", "warm"):
            row = [cells.get((case, name, state)) for name in rivals]
            if not any(row):
                continue
            walls = [cell.median("wall") if cell else None for cell in row]
            best = min((wall for wall in walls if wall is not None), default=None)
            texts = [
                ("* " if wall is not None and wall == best else "")
                + ("" if c is None else say(c, "wall") + dagger(c))
                for c, wall in zip(row, walls, strict=True)
            ]
            drawn.add_row(case, state, *texts, end_section=state == "warm")
    console = Console(width=width, force_terminal=False, color_system=None)
    with console.capture() as shown:
        console.print(drawn)
        console.print(score(found))
        if found.stopped:
            console.print("This run was stopped before its end.")
    return shown.get()


def main(arguments: list[str] | None = None) -> int:
    """Write pages of the result files that are named."""
    names = sys.argv[1:] if arguments is None else arguments
    if not names or any(name.startswith("-") for name in names):
        print("usage: python -m benchmarks.page RESULTS.jsonl ...")
        return 2
    for name in names:
        try:
            path = write(name)
        except (OSError, ValueError) as error:
            print(error, file=sys.stderr)
            return 2
        print(table(name))
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
