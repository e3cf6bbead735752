"""`sentiment baseline` on a real project: what it writes, and that `compare` and `report` read it like a revision."""

import html
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from model2vec.distill import distill
from scipy.sparse import csr_matrix
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from transformers import BertConfig

from sentiment.common.errors import InputError
from sentiment.experiments.baseline import model2vec_vectors, static_vectors
from tests.project import Project
from tests.random_encoders import random_model, save_encoder

FILES = [
    "metrics.json", "params.yaml", "split.json", "test.parquet", "test_slices.csv", "val.parquet", "val_slices.csv"
]  # fmt: skip

SIZES = {"train": 60, "val": 20, "test": 20}


def sentiment(project: Project, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return project.run(sys.executable, "-m", "sentiment", *arguments, check=check)


def test_static_vectors_are_those_of_latent_semantic_analysis() -> None:
    rng = np.random.default_rng(0)
    tfidf = {name: csr_matrix(rng.random((rows, 12)) * (rng.random((rows, 12)) < 0.4)) for name, rows in SIZES.items()}
    vectors = static_vectors(tfidf)
    svd = TruncatedSVD(11, algorithm="arpack", random_state=0).fit(tfidf["train"])
    for name, rows in SIZES.items():
        assert vectors[name].shape == (rows, 11)
        scores = (svd.transform(tfidf[name]) - svd.transform(tfidf["train"]).mean(0)) / svd.transform(
            tfidf["train"]
        ).std(0)
        # a component has no sign
        np.testing.assert_allclose(np.abs(vectors[name].toarray()), 0.03 * np.abs(scores), atol=1e-6)
    with pytest.raises(InputError, match="has one word"):
        static_vectors({"train": csr_matrix(np.ones((3, 1)))})


@pytest.fixture(scope="module")
def reviews() -> dict[str, pa.Table]:
    """Return tables of the three splits, whose label depends on one word."""
    texts = [f"a {word} {product}" for product in ("hat", "coat", "lamp", "book") for word in ("lovely", "dreadful")]
    table = pa.table({"text": texts, "label": [1, 0] * 4})
    return dict.fromkeys(("train", "val", "test"), table)


@pytest.mark.parametrize("kind", ["model2vec", "encoder"])
def test_token_vectors_are_those_of_model2vec(reviews: dict[str, pa.Table], tmp_path: Path, kind: str) -> None:
    config = BertConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64)
    folder = save_encoder(random_model(config), tmp_path / "encoder")
    expected = distill(model_name=str(folder), pca_dims=256, device="cpu")
    if kind == "model2vec":
        expected.save_pretrained(folder := tmp_path / "static")
    vectors = model2vec_vectors(reviews, folder)["test"].toarray()
    features = expected.encode(reviews["test"]["text"].to_pylist()).astype(np.float32)
    assert vectors.shape == features.shape
    constant = features.std(axis=0) == 0
    np.testing.assert_allclose(vectors[:, constant], 0)
    scores = (features - features.mean(axis=0))[:, ~constant] / features.std(axis=0)[~constant]
    np.testing.assert_allclose(vectors[:, ~constant], 0.03 * scores, atol=1e-3)


def test_token_vectors_need_a_folder_and_the_extra(
    reviews: dict[str, pa.Table], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=f"--model2vec {tmp_path}: no model of model2vec and no encoder: "):
        model2vec_vectors(reviews, tmp_path)
    monkeypatch.setitem(sys.modules, "model2vec", None)
    with pytest.raises(InputError, match=r"model2vec is missing; run pip install model2vec skeletoken"):
        model2vec_vectors(reviews, tmp_path)


def bytes_of(project: Project) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in (project.root / "data/baseline").rglob("*") if path.is_file()}


def test_the_kept_c_has_the_lowest_log_loss_on_val_and_the_predictions_are_those_of_scikit_learn(
    completed_project: Project,
) -> None:
    shown = sentiment(completed_project, "baseline", "--grid", "0.1", "1", "10").stdout.partition("static:")[0]
    names = ("train", "val", "test")
    splits = {name: pd.read_parquet(completed_project.root / f"data/split/{name}.parquet") for name in names}
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    # not fit_transform, which adds a row's squares in another order: the solver turns that 1e-16 into 1e-6
    x = vectorizer.fit(splits["train"]["text"]).transform(splits["train"]["text"])
    y = splits["train"]["label"]
    models = {c: LogisticRegression(C=c, solver="liblinear").fit(x, y) for c in (0.1, 1.0, 10.0)}
    losses = {
        c: log_loss(splits["val"]["label"], model.predict_proba(vectorizer.transform(splits["val"]["text"]))[:, 1])
        for c, model in models.items()
    }
    rows = {
        float(row[0]): row for row in re.findall(r"^ +([\d.]+) +([\d.]+) +([\d.]+) +([\d.]+)( +kept)?$", shown, re.M)
    }
    assert {c: float(row[3]) for c, row in rows.items()} == {c: round(loss, 4) for c, loss in losses.items()}
    kept = min(losses, key=lambda c: losses[c])
    assert [c for c, row in rows.items() if row[4]] == [kept]
    by_split = json.loads((completed_project.root / "data/baseline/tfidf/metrics.json").read_text())
    for name, metrics in by_split.items():
        table = splits[name]
        expected = models[kept].predict_proba(vectorizer.transform(table["text"]))[:, 1]
        predictions = pd.read_parquet(completed_project.root / f"data/baseline/tfidf/{name}.parquet")
        assert predictions["id"].tolist() == table["id"].tolist()
        assert predictions["probability"].to_numpy() == pytest.approx(expected, abs=1e-7)  # float32
        assert metrics["roc_auc"] == pytest.approx(roc_auc_score(table["label"], expected))
        assert metrics["roc_auc_low"] < metrics["roc_auc"] < metrics["roc_auc_high"]
    assert list(by_split) == ["val", "test"]
    accuracy = f"{by_split['val']['accuracy']:.4f}"
    assert f"\ntfidf (TF-IDF, logistic regression): 204 val reviews, accuracy {accuracy} (" in shown
    assert "test reviews" not in shown


@pytest.mark.slow
def test_both_folders_are_complete_the_same_each_time_and_ignored_by_git(completed_project: Project) -> None:
    params = completed_project.root / "params.yaml"
    params.write_text(params.read_text().replace("val: 0.1", "val: 1e-1"))
    completed_project.commit("Write a number as YAML 1.2 does")
    sentiment(completed_project, "baseline")
    recorded = yaml.safe_load((completed_project.root / "data/baseline/tfidf/params.yaml").read_text())
    assert recorded["split"]["val"] == 0.1
    first = bytes_of(completed_project)
    assert sorted(path.name for path in first) == sorted(3 * FILES)
    sentiment(completed_project, "baseline")
    assert bytes_of(completed_project) == first
    assert completed_project.run("git", "status", "--porcelain").stdout == ""
    majority = json.loads((completed_project.root / "data/baseline/majority/metrics.json").read_text())
    for split, metrics in majority.items():
        pipeline = json.loads((completed_project.root / f"metrics/{split}.json").read_text())
        assert metrics["accuracy"] == pipeline["majority_accuracy"]
        assert metrics["roc_auc"] == 0.5


@pytest.mark.slow
def test_compare_reads_a_baseline_like_a_revision(completed_project: Project) -> None:
    refusal = sentiment(completed_project, "compare", "tfidf", check=False)
    assert refusal.stderr == (
        "error: data/evaluate/val.parquet: not available for baseline tfidf; run `sentiment baseline`\n"
    )
    sentiment(completed_project, "baseline")
    for split, options in {"val": [], "test": ["--split", "test"]}.items():
        shown = sentiment(completed_project, "compare", "tfidf", "workspace", "--json", *options).stdout
        comparison = json.loads(shown)
        assert comparison["split"] == split
        for side, path in (("a", "data/baseline/tfidf/metrics.json"), ("b", "data/evaluate/metrics.json")):
            metrics = json.loads((completed_project.root / path).read_text())[split]
            assert comparison["metrics"]["accuracy"][side] == pytest.approx(metrics["accuracy"])
    better = sentiment(completed_project, "compare", "majority", "tfidf").stdout
    assert better.splitlines()[-1].startswith("tfidf is better than majority: it labels ")


@pytest.mark.slow
def test_a_baseline_of_another_split_is_refused(completed_project: Project) -> None:
    sentiment(completed_project, "baseline")
    completed_project.set_params(split={"salt": "another"})
    completed_project.run("dvc", "repro", "-q")
    refusal = sentiment(completed_project, "compare", "tfidf", check=False)
    assert refusal.returncode == 1
    assert refusal.stderr.startswith("error: tfidf and workspace have different val reviews (tfidf has 204, ")
    assert refusal.stderr.endswith("; the baseline was made from another split: run `sentiment baseline` again\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--grid", "0"], "--grid 0: expected a number above 0"),
        (["--split", "data/none"], "data/none/train.parquet: no such file; run `dvc repro` or `dvc pull`"),
    ],
)
def test_wrong_arguments_are_one_line(completed_project: Project, arguments: list[str], message: str) -> None:
    refusal = sentiment(completed_project, "baseline", *arguments, check=False)
    assert (refusal.returncode, refusal.stderr) == (1, f"error: {message}\n")


@pytest.mark.slow
def test_the_report_shows_a_baseline_beside_the_workspace(completed_project: Project) -> None:
    sentiment(completed_project, "baseline")
    sentiment(completed_project, "report", "tfidf", "workspace")
    page = html.unescape((completed_project.root / "report.html").read_text())
    comparison = json.loads(sentiment(completed_project, "compare", "tfidf", "--json").stdout)
    assert comparison["sentence"].replace("workspace", "main") in page
    assert "Wrong in main, correct in tfidf" in page
    settings = yaml.safe_load((completed_project.root / "data/baseline/tfidf/params.yaml").read_text())["tfidf"]
    assert f"<code>tfidf.C</code></th><td>{settings['C']}</td>" in page
    assert page.count('data-title="ROC curve') == 1  # DVC draws those of revisions


@pytest.mark.slow
def test_the_report_of_one_commit_has_the_curves_of_that_commit_alone(completed_project: Project) -> None:
    """`dvc plots diff HEAD` adds the workspace, which made `sentiment report HEAD HEAD` fail."""
    completed_project.run("dvc", "exp", "run", "-S", "train.threshold=0.97")
    sentiment(completed_project, "report", "HEAD", "HEAD")
    page = (completed_project.root / "report.html").read_text()
    specs = [json.loads(spec) for spec in re.findall(r'class="spec"[^>]*>(.*?)</script>', page)]
    revisions = {point["rev"] for spec in specs for point in spec["data"]["values"]}
    assert revisions == {"HEAD"}
