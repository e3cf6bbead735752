"""Render the Markdown cards of classifiers and encoders from Jinja templates."""

from importlib.resources import files

from jinja2 import Environment, StrictUndefined


def render_markdown(package: str, template: str, **values: object) -> str:
    """Return a template of a package, filled in, with one newline at the end; equal arguments give equal bytes.

    The filter `code` makes a value inline code. A missing value is an error and not an empty place.
    """
    # autoescape is for HTML
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)  # noqa: S701
    environment.filters["code"] = _code
    text = (files(package) / template).read_text(encoding="utf-8")
    return environment.from_string(text).render(values).rstrip("\n") + "\n"


def _code(value: object) -> str:
    """Return a value from data as inline code in one line, so that it cannot be markup."""
    return "`" + " ".join(str(value).replace("`", "'").split()) + "`"
