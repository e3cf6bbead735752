"""Render pages: each one self-contained HTML file. The report draws its charts without a network."""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from sentiment.evaluation.metrics import MIN_SLICE_ROWS
from sentiment.report.data import ReportData

STYLES = (("sentiment.theme", "static/theme.css"), ("sentiment.report", "templates/page.css"))


def render(data: ReportData) -> str:
    """Return the report. Its Content-Security-Policy admits its own two scripts only."""
    import vl_convert  # which a page without charts does not need

    vega = vl_convert.javascript_bundle()  # type: ignore[call-arg]  # its stub lacks the default
    scripts = [vega, _file("sentiment.report", "templates/page.js")]
    return document(
        "page.html.j2",
        {},
        data=data,
        min_slice_rows=MIN_SLICE_ROWS,
        scripts=[Markup(script) for script in scripts],  # noqa: S704 - our own file and Vega
        hashes=[_content_hash(script) for script in scripts],
    )


def document(template: str, filters: Mapping[str, Callable[..., Any]], **values: Any) -> str:
    """Return a page in the look of the report, from a template of this folder; values are escaped."""
    # StrictUndefined: a missing value is an error and not an empty cell
    environment = Environment(
        loader=PackageLoader("sentiment.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"json_block": _json_block, **filters}
    created = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    style = Markup("\n".join(_file(*name) for name in STYLES))  # noqa: S704 - our own files
    return environment.get_template(template).render(created=created, style=style, **values)


def _file(package: str, path: str) -> str:
    return (files(package) / path).read_text(encoding="utf-8")


def _json_block(value: Any) -> Markup:
    """Return JSON that cannot end the script element that contains it."""
    text = json.dumps(value, allow_nan=False).replace("<", "\\u003c")
    return Markup(text)  # noqa: S704 - no "<" is left


def _content_hash(script: str) -> str:
    """Return the source expression by which a Content-Security-Policy admits this very script."""
    return "'sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() + "'"
