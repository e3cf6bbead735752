"""`dvc plots show` draws every chart once, with its title and axes, and nothing else."""

import json
import re
from typing import Any

import pytest
import vl_convert
import yaml
from playwright.sync_api import Browser

from tests.browser import open_url
from tests.project import ROOT, Project

DEFINED: dict[str, dict[str, Any]] = {
    path: properties
    for stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].values()
    for plot in stage.get("plots", ())
    for path, properties in plot.items()
}
EMPTY = ["metrics/finetune/loss.csv", "metrics/finetune/accuracy.csv"]  # the encoder is not fine-tuned


def axis_titles(spec: dict[str, Any]) -> set[str]:
    """The titles of all axes, those of inner views and layers included."""
    axes = [spec.get("encoding", {}).get(axis, {}) for axis in ("x", "y")]
    inner = [*spec.get("layer", ()), *filter(None, [spec.get("spec")])]
    return {axis["title"] for axis in axes if axis.get("title")}.union(*map(axis_titles, inner))


def test_every_plot_of_dvc_yaml_is_drawn_once_by_its_own_template(completed_template: Project) -> None:
    drawn = json.loads(completed_template.run("dvc", "plots", "show", "--json").stdout)["data"]
    assert set(drawn) == set(DEFINED)
    assert [path for path, views in drawn.items() if not views] == EMPTY
    for path, [view] in ((path, views) for path, views in drawn.items() if views):
        spec, properties = view["content"], DEFINED[path]
        assert spec["title"]["text"] == properties["title"]
        assert properties["x_label"] in axis_titles(spec)
        assert properties["template"] != "linear"
        assert len(spec["data"]["values"]) > 1


def test_the_page_of_dvc_plots_show_holds_these_charts_alone(completed_project: Project) -> None:
    completed_project.run("dvc", "plots", "show")
    page = (completed_project.root / "dvc_plots" / "index.html").read_text()
    titles = re.findall(r'"title": {"text": "([^"]+)"', page)
    assert sorted(titles) == sorted(properties["title"] for path, properties in DEFINED.items() if path not in EMPTY)


def test_training_and_validation_are_lines_of_one_chart(completed_template: Project) -> None:
    drawn = json.loads(completed_template.run("dvc", "plots", "show", "--json").stdout)["data"]
    for name in ("loss", "accuracy"):
        [view] = drawn[f"metrics/train/{name}.csv"]
        points = [(point["split"], int(point["step"])) for point in view["content"]["data"]["values"]]
        assert points == [(split, epoch) for epoch in range(4) for split in ("train", "val")]


@pytest.mark.slow
@pytest.mark.parametrize("command", [["show"], ["diff", "HEAD", "strict"]], ids=" ".join)
def test_vega_draws_every_chart_of_dvc_without_a_warning(
    project_with_experiment: Project, browser: Browser, command: list[str]
) -> None:
    drawn = json.loads(project_with_experiment.run("dvc", "plots", *command, "--json").stdout)["data"]
    opened = open_url(browser, "about:blank", offline=True)
    opened.page.set_content("<div id=chart style='width: 400px; height: 300px'></div>")
    opened.page.add_script_tag(content=vl_convert.javascript_bundle())  # type: ignore[call-arg]  # its stub lacks the default
    # DVC's page names version 5 and loads it from the network; this one draws by the version of the bundle
    draw = """async ({ $schema, ...spec }) => {
        await vegaEmbed("#chart", spec, { mode: "vega-lite", actions: false });
    }"""
    for path, views in drawn.items():
        for view in views:
            opened.page.evaluate(draw, view["content"])
            assert opened.page.locator("#chart :is(svg, canvas)").count() == 1, path
            assert opened.errors == [], path
