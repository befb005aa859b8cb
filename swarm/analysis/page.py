"""Reports as one HTML file that opens offline: no script, nothing from elsewhere, light and dark as the system is.

Pictures are SVG with their words beside them; what only a colour says is said in a number too. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from swarm.analysis.changes import Change
from swarm.analysis.difference import Difference
from swarm.analysis.findings import Finding
from swarm.analysis.report import UNSOUGHT, Analysis, Counts, FetchTold, weight_of
from swarm.units import counted, size

CHANGES_SHOWN: Final = 500

STYLE: Final = """
:root { color-scheme: light dark; --ink: #1b2430; --soft: #5a6675; --paper: #fff; --line: #d9dfe6; --wash: #f3f6f9;
  --hot: #b4470b; --cold: #dfe5ec; --good: #1d6f42 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6ebf1; --soft: #9aa7b6; --paper: #12171d; --line: #2c3540;
  --wash: #1a2129; --hot: #f08a4b; --cold: #2a333d; --good: #6fcf97 } }
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem; color: var(--ink); background: var(--paper);
  font: 1rem/1.5 system-ui, sans-serif }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; overflow-wrap: anywhere } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem }
p { margin: .25rem 0 } .soft { color: var(--soft) } code { font-size: .9em; overflow-wrap: anywhere }
.tiles { display: flex; flex-wrap: wrap; gap: .75rem; padding: 0; margin: 1rem 0; list-style: none }
.tiles li { flex: 1 1 12rem; border: 1px solid var(--line); border-radius: .5rem; padding: .75rem 1rem;
  background: var(--wash) } .tiles b { display: block; font-size: 1.5rem }
.wide { overflow-x: auto } table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
caption { text-align: left; color: var(--soft); padding: .25rem 0 } th, td { padding: .3rem .6rem; text-align: left;
  border-bottom: 1px solid var(--line); vertical-align: top } th { font-weight: 600 } .n { text-align: right }
article { border: 1px solid var(--line); border-left: .3rem solid var(--hot); border-radius: .4rem; padding: .6rem 1rem;
  margin: .75rem 0 } article h3 { margin: 0; font-size: 1rem } .saves { color: var(--good); font-weight: 600 }
svg { display: block } svg .cold { fill: var(--cold) } svg .hot { fill: var(--hot) } td.path { overflow-wrap: anywhere }
""".strip()


def percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def text(value: object) -> str:
    """Whatever it is, as text in HTML; control characters are shown and do nothing."""
    return escape("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(value)))


def analysis_page(analysis: Analysis) -> str:
    """The report of ``aetherfs analyze``."""
    against = analysis.against
    who = f"a consumer of {against.ref} fetches" if against is not None else "a new consumer fetches"
    figures = [
        (size(analysis.fetch.wire_bytes), f"{who}: {percent(analysis.fetch.share)} of the plain bytes"),
        (
            size(analysis.facts.bytes),
            f"in {counted(analysis.facts.files, 'file')} and {counted(analysis.facts.blocks, 'block')}",
        ),
        (str(len(analysis.findings)), "finding" if len(analysis.findings) == 1 else "findings"),
    ]
    parts = [
        f"<h1>{text(analysis.path)}</h1>",
        f'<p class="soft">would be version <code>{analysis.version}</code></p>',
        tiles(figures),
        _findings(analysis),
        _fetches(analysis),
    ]
    if against is not None:
        parts += [_changes(analysis.changes, analysis.counts, against.ref), _reuse(analysis)]
    parts += [_kinds(analysis), _sizes(analysis), _equal(analysis), _notes(analysis.notes)]
    return page(f"Analysis of {analysis.path}", parts)


def difference_page(difference: Difference) -> str:
    """The report of ``aetherfs diff``."""
    figures = [
        (size(difference.fetch_bytes), f"to fetch, in {counted(difference.fetch_blocks, 'block')}"),
        (size(difference.manifest_bytes), "of manifest"),
        (str(len(difference.changes)), "paths differ"),
    ]
    parts = [
        f"<h1>{text(difference.old)} and {text(difference.new)}</h1>",
        f'<p class="soft"><code>{difference.old_version}</code> and <code>{difference.new_version}</code></p>',
        tiles(figures),
        _changes(difference.changes, difference.counts, difference.old),
    ]
    return page(f"{difference.old} and {difference.new}", parts)


def page(title: str, parts: Iterable[str]) -> str:
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>\n{STYLE}\n</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in parts if part)
        + "\n</main>\n</body>\n</html>\n"
    )


def tiles(figures: Iterable[tuple[str, str]]) -> str:
    return (
        '<ul class="tiles">'
        + "".join(f"<li><b>{text(figure)}</b> {text(words)}</li>" for figure, words in figures)
        + "</ul>"
    )


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    """A table of cells that are HTML already; ``numbers`` are the columns that stand to the right."""

    def cells(tag: str, row: Sequence[str], scope: str = "") -> str:
        return "".join(
            f"<{tag}{' class=n' if n in numbers else ''}{scope}>{cell}</{tag}>" for n, cell in enumerate(row)
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    head = cells("th", [text(head) for head in heads], " scope=col")
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{text(caption)}"><table><caption>{text(caption)}'
        f"</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _findings(analysis: Analysis) -> str:
    if UNSOUGHT in analysis.notes:
        return ""
    if not analysis.findings:
        return "<h2>Findings</h2><p>None: nothing that was measured would save much.</p>"
    return "<h2>Findings</h2>" + "".join(_finding(finding) for finding in analysis.findings)


def _finding(finding: Finding) -> str:
    measured = finding.measured
    sample = (
        f" on a sample of {measured.files} of {measured.of_files} files ({size(measured.bytes)} of "
        f"{size(measured.of_bytes)})"
        if finding.sampled
        else ""
    )
    more = finding.file_count - len(finding.files)
    files = ", ".join(f"<code>{text(path)}</code>" for path in finding.files) + (f" and {more} more" if more else "")
    return (
        f"<article><h3>{text(finding.title)}</h3>"
        f'<p class="saves">saves {percent(finding.saved_share)} of {size(finding.now_bytes)} at each update: '
        f"{size(finding.saved_bytes)}</p><p>{text(finding.change)}</p>"
        f'<p class="soft">Measured{sample}, {text(finding.basis)}. The first version with the change costs '
        f"{size(finding.once_bytes)}, once.</p><p>{files}</p></article>"
    )


def _fetches(analysis: Analysis) -> str:
    rows = [_fetch("nothing", analysis.first_fetch)]
    if analysis.against is not None:
        rows.append(_fetch(analysis.against.ref, analysis.fetch))
    return "<h2>What a consumer fetches</h2>" + table(
        "Bytes on the wire, the manifest's included, by who gives the blocks",
        ("has", "of the plain bytes", "blocks", "from peers", "from a seed", "of it manifest"),
        rows,
        (1, 2, 3, 4, 5),
    )


def _fetch(who: str, fetch: FetchTold) -> Sequence[str]:
    return (
        text(who),
        percent(fetch.share),
        str(fetch.blocks),
        size(fetch.from_peers_bytes),
        size(fetch.from_seed_bytes),
        size(fetch.manifest_bytes),
    )


def _changes(changes: Sequence[Change], counts: Counts, old: str) -> str:
    rows = [
        (
            text(change.what),
            size(change.size),
            size(change.fetch_bytes),
            heat_strip(change.heat),
            f"<code>{text(change.path)}</code>"
            + (f' <span class="soft">was <code>{text(change.before)}</code></span>' if change.before else ""),
        )
        for change in sorted(changes, key=weight_of)[:CHANGES_SHOWN]
    ]
    return "<h2>What changed</h2>" + table(
        f"Against {old}: {counts.words}. The strip shows where in a file there are bytes to fetch.",
        ("what", "size", "fetch", "where", "path"),
        rows,
        (1, 2),
    )


def heat_strip(heat: Sequence[float]) -> str:
    """Which parts of a file are fetched, as a picture with words."""
    if not heat:
        return ""
    width = 4
    hot = sum(heat) / len(heat)
    cells = "".join(
        f'<rect class="hot" x="{n * width}" width="{width}" height="14" opacity="{max(0.25, share):.2f}"/>'
        for n, share in enumerate(heat)
        if share > 0
    )
    total = width * len(heat)
    return (
        f'<svg role="img" aria-label="{percent(hot)} of it is fetched" width="{total}" height="14">'
        f'<rect class="cold" width="{total}" height="14"/>{cells}</svg>'
    )


def _reuse(analysis: Analysis) -> str:
    if not analysis.reuse:
        return ""
    return "<h2>What tags have of it</h2>" + table(
        "Blocks that a version has in common with this one",
        ("tag", "version", "shared", "new"),
        [
            (text(r.tag), f"<code>{r.version[:12]}</code>", size(r.shared_bytes), size(r.fetch_bytes))
            for r in analysis.reuse
        ],
        (2, 3),
    )


def _kinds(analysis: Analysis) -> str:
    rows = [
        (
            text(kind.ending or "no ending"),
            str(kind.files),
            size(kind.bytes),
            size(kind.encoded_bytes),
            percent(kind.encoded_bytes / kind.bytes) if kind.bytes else "",
        )
        for kind in analysis.facts.kinds
    ]
    heads = ("ending", "files", "bytes", "compressed", "share")
    return "<h2>What it is made of</h2>" + table("By ending", heads, rows, (1, 2, 3, 4))


def _sizes(analysis: Analysis) -> str:
    rows = [(size(step.at_least), str(step.files), size(step.bytes)) for step in analysis.facts.sizes]
    facts = analysis.facts
    return table(
        f"By size; {facts.tiny_files} tiny files of less than 4 KiB hold {size(facts.tiny_bytes)}",
        ("at least", "files", "bytes"),
        rows,
        (0, 1, 2),
    )


def _equal(analysis: Analysis) -> str:
    facts = analysis.facts
    if not facts.equal:
        return ""
    rows = [
        (str(group.files), size(group.bytes), ", ".join(f"<code>{text(path)}</code>" for path in group.paths))
        for group in facts.equal
    ]
    return table(
        f"Files that equal others: {facts.equal_files}, {size(facts.equal_bytes)}. Large ones are fetched once.",
        ("files", "all but one", "for example"),
        rows,
        (0, 1),
    )


def _notes(notes: Sequence[str]) -> str:
    if not notes:
        return ""
    return "<h2>Notes</h2><ul>" + "".join(f"<li>{text(note)}</li>" for note in notes) + "</ul>"
