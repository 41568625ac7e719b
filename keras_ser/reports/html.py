"""Render a report as a single self-contained HTML file: plots are embedded, and all text is escaped."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING

from keras_ser.evaluation.tables import Table

if TYPE_CHECKING:
    from keras_ser.reports.report import Report

STYLE = """body{font:15px/1.5 system-ui,sans-serif;color:#1c2733;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1,h2,h3{line-height:1.25;margin:1.6em 0 .5em}h1{margin-top:0}
table{border-collapse:collapse;margin:.8em 0;display:block;overflow-x:auto}
th,td{padding:.2em .7em;border-bottom:1px solid #e3e6ea;text-align:left;white-space:nowrap}
th{border-bottom:2px solid #8c9bab}.n{text-align:right;font-variant-numeric:tabular-nums}
pre{background:#f4f6f8;padding:.8em;overflow-x:auto}code{background:#f4f6f8}
img{max-width:100%}figure{margin:1.5em 0}figcaption{color:#5a6875}"""


def to_html(report: Report, pictures: Mapping[str, bytes]) -> str:
    """Return the HTML page of a report.

    Args:
        report: the report.
        pictures: file name -> contents (PNG).
    """
    from markdown_it import MarkdownIt

    prose = MarkdownIt("commonmark", {"html": False})
    parts = [f"<h1>{escape(report.title)}</h1>"]
    parts += [_items(prose, report.missing), *(f"<p>{prose.renderInline(line)}</p>" for line in report.head)]
    parts.append(_items(prose, report.notes))
    for section in report.sections:
        if isinstance(section, Table):
            parts += [f"<h2>{escape(section.title)}</h2>"] if section.title else []
            parts += [_table(section)] if section.rows else []
        else:
            parts.append(prose.render(section))
    for file, caption, _ in report.figures:
        source = "data:image/png;base64," + base64.b64encode(pictures[file]).decode()
        parts.append(
            f'<figure><img src="{source}" alt="{escape(caption)}"><figcaption>{escape(caption)}</figcaption></figure>'
        )
    head = f'<meta charset="utf-8"><title>{escape(report.title)}</title><style>{STYLE}</style>'
    body = "\n".join(part for part in parts if part)
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


def _items(prose, lines) -> str:
    return "<ul>" + "".join(f"<li>{prose.renderInline(line)}</li>" for line in lines) + "</ul>" if lines else ""


def _table(table: Table) -> str:
    header, *rows = table.text()

    def row(cells, tag: str) -> str:
        marked = (f"<{tag}{'' if i < table.labels else ' class=n'}>{escape(c)}</{tag}>" for i, c in enumerate(cells))
        return f"<tr>{''.join(marked)}</tr>"

    return "\n".join(["<table>", row(header, "th"), *(row(cells, "td") for cells in rows), "</table>"])
