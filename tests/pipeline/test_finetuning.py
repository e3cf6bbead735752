"""`finetune.epochs` above 0 in the whole pipeline: what runs, what its charts and the report show."""

import json

import pytest

from tests.pipeline.test_commands import stages_run
from tests.project import Project


@pytest.mark.slow
def test_a_fine_tuned_encoder_goes_through_the_pipeline(completed_project: Project) -> None:
    project = completed_project
    changes = ("-S", "finetune.epochs=2", "-S", "finetune.device=cpu")
    ran = project.run("dvc", "exp", "run", "-n", "tuned", *changes, OMP_NUM_THREADS="1").stdout
    assert stages_run(ran) == ["finetune", "encode", "train", "check", "evaluate"]

    drawn = json.loads(project.run("dvc", "plots", "show", "--json").stdout)["data"]
    for name in ("loss", "accuracy"):
        [view] = drawn[f"metrics/finetune/{name}.csv"]
        points = [(point["split"], int(point["step"])) for point in view["content"]["data"]["values"]]
        assert points == [(split, epoch) for epoch in range(2) for split in ("train", "val")]

    best = json.loads((project.root / "metrics/finetune/metrics.json").read_text())["best"]
    for names in (["workspace"], ["HEAD", "tuned"]):
        project.run("sentiment", "report", *names)
        page = (project.root / "report.html").read_text()
        assert "Fine-tuning, loss by epoch" in page
        assert "epoch of fine-tuning that is kept" in page
        assert f"{best['val_loss']:.4f}" in page

    # a changed key of the head runs neither finetune nor encode
    project.set_params(train={"learning_rate": 0.01})
    assert stages_run(project.run("dvc", "repro").stdout) == ["train", "check", "evaluate"]
    labels = project.run("sentiment", "predict", "--format", "text", "I love it, so soft", "Poor quality").stdout
    assert [line.split()[0] for line in labels.splitlines()] == ["positive", "negative"]
