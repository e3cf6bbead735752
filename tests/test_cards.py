"""Cards are rendered from templates: values are code, what is missing is an error."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from sentiment.cards import render_markdown


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package of its own with one template."""
    folder = tmp_path / "package_with_a_card"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "card.md.j2").write_text(
        "{% for name in names %}\n  {% if name %}\n- {{ name | code }}\n  {% endif %}\n{% endfor %}\n\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield folder.name
    sys.modules.pop(folder.name, None)


def test_values_are_code_in_one_line_and_the_text_ends_with_one_newline(package: str) -> None:
    text = render_markdown(package, "card.md.j2", names=["a", "", "`b`\n# not a heading"])
    assert text == "- `a`\n- `'b' # not a heading`\n"


def test_a_missing_value_is_an_error(package: str) -> None:
    with pytest.raises(UndefinedError, match="names"):
        render_markdown(package, "card.md.j2")
