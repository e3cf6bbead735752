"""The report as one HTML file that needs nothing from elsewhere."""

import base64
import hashlib
import json
from importlib.resources import files
from typing import Any

import vl_convert
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from sentiment.report.collect import Content


def render(content: Content, made_on: str) -> str:
    """Return the page. Whatever comes from data is escaped, and only the page's own two scripts may run."""
    # StrictUndefined: a missing figure is an error and not an empty cell
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"json_block": _json_block}
    vega = vl_convert.javascript_bundle()  # type: ignore[call-arg]  # its stub forgets the default
    scripts = [vega, _file("page.js")]
    return environment.from_string(_file("page.html.j2")).render(
        content=content,
        made_on=made_on,
        style=Markup(_file("page.css")),  # noqa: S704 - our own file
        scripts=[Markup(script) for script in scripts],  # noqa: S704 - our own file and Vega
        hashes=[_content_hash(script) for script in scripts],
    )


def _file(name: str) -> str:
    return (files("sentiment.report") / "templates" / name).read_text(encoding="utf-8")


def _json_block(value: Any) -> Markup:
    """Return JSON that cannot end the script element in which it stands."""
    text = json.dumps(value, allow_nan=False).replace("<", "\\u003c")
    return Markup(text)  # noqa: S704 - no "<" is left


def _content_hash(script: str) -> str:
    """Return the source expression by which a Content-Security-Policy admits this very script."""
    return "'sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() + "'"
