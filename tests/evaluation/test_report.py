import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, mean_squared_error, recall_score

from keras_ser.evaluation import read_predictions, report, write_predictions
from tests.evaluation import slow


@pytest.fixture
def histories():
    rng = np.random.default_rng(1)
    return {
        ("random", fold, seed): pd.DataFrame(
            {"epoch": range(1, 6), "loss": rng.uniform(1, 2, 5), "val_emotion_uar": rng.uniform(0, 1, 5)}
        )
        for fold in range(2)
        for seed in range(2)
    }


@pytest.fixture
def whole(make_table, emotion, gender, arousal, histories):
    table = make_table(protocols=("random", "disjoint"))
    table.loc[table["id"] == "s04/c02", "emotion"] = ""
    table = table[~((table["protocol"] == "random") & (table["seed"] == 2) & (table["fold"] == 0))]
    return report(
        table,
        [emotion, gender, arousal],
        title="ASP-MTL on a made-up corpus",
        paper={("emotion", "accuracy"): 0.9013, ("emotion", "macro_f1"): 0.92},
        protocols={
            "random": {"description": "The paper's own: 80/20 by clip.", "speaker_dependent": True},
            "disjoint": {"description": "Four folds of two speakers.", "speaker_dependent": False, "folds": 4},
            "film": {},
        },
        tables={"adversary": {"emotion": {"accuracy": 0.527, "prior": 0.5}}},
        histories=histories,
        notes=["Trained on nothing."],
    )


def _metrics(t: np.ndarray, p: np.ndarray, labels: list[str]) -> dict[str, float]:
    if not labels:
        ccc = 2 * np.cov(t, p, bias=True)[0, 1] / (np.var(t) + np.var(p) + (np.mean(t) - np.mean(p)) ** 2)
        return {"ccc": ccc, "rmse": mean_squared_error(t, p) ** 0.5}
    there = [label for label in labels if (t == label).any()]
    recall = recall_score(t, p, labels=there, average=None, zero_division=0)
    found = {
        "accuracy": accuracy_score(t, p),
        "uar": recall.mean(),
        "macro_f1": f1_score(t, p, average="macro", zero_division=0),
        "weighted_f1": f1_score(t, p, average="weighted", zero_division=0),
    }
    recalls = dict(zip(there, recall, strict=True))
    return found | {f"recall/{label}": recalls.get(label) for label in labels}


def _check_scores(scores, rows, task, labels, predicted, intervals=True):
    """Every figure of a list of scores against scikit-learn on the rows; intervals by a loop over speakers."""
    pairs = {s: part[[task, predicted]].T.to_numpy() for s, part in rows.groupby("seed")}
    per_seed = [_metrics(*pair, labels) for pair in pairs.values()]
    measured = {}
    for item in scores:
        metric = item["metric"]
        values = [v[metric] for v in per_seed]
        if None in values:
            assert item["value"] is None and item["low"] is None
            continue
        assert item["seeds"] == pytest.approx(values)
        assert item["value"] == pytest.approx(np.mean(values))
        assert (item["min"], item["max"]) == pytest.approx((min(values), max(values)))
        assert item["std"] == (pytest.approx(np.std(values, ddof=1)) if len(values) > 1 else None)
        free = slow.degrees(rows, task, metric) if labels else (rows["group"].nunique() >= 6) * 7
        if not (free and intervals):
            assert item["low"] is None and item["high"] is None
            continue

        def measure(part, metric=metric):
            # one table is measured for all metrics
            key = part.index.to_numpy().tobytes()
            if key not in measured:
                measured[key] = _metrics(part[task].to_numpy(), part[predicted].to_numpy(), labels)
            value = measured[key][metric]
            return np.nan if value is None else value

        total, free = slow.variance(rows, None, measure, free)
        if not total > 1e-18:  # nothing varies
            assert item["low"] is None
            continue
        ends = slow.interval(metric)(item["value"], total, free)
        assert (item["low"], item["high"]) == pytest.approx(ends)


def test_every_figure_follows_from_predictions_csv(whole, tmp_path):
    folder = whole.save(tmp_path / "run")
    written = json.loads((folder / "report.json").read_text(), parse_constant=lambda c: pytest.fail(f"{c} in JSON"))
    table = read_predictions(folder / "predictions.csv")
    assert [(r["protocol"], r["task"]) for r in written["results"]] == [
        (p, t) for p in ("random", "disjoint") for t in ("emotion", "gender_task", "arousal")
    ]
    assert written["intervals"] == {"kind": "t, jackknife over groups, of the mean over seeds", "level": 0.95}
    for result in written["results"]:
        task, labels = result["task"], result["labels"]
        rows = table[(table["protocol"] == result["protocol"]) & (table["stream"] == result["stream"])]
        sizes = rows.groupby("seed").size()
        assert sorted(result["seeds"]) == sizes[sizes == sizes.max()].index.tolist()
        assert sorted(map(int, result["incomplete"])) == sizes[sizes < sizes.max()].index.tolist()
        rows = rows[rows["seed"].isin(result["seeds"])]
        rows = rows[rows[task] != ""] if labels else rows[rows[task].notna()]
        name = f"{task}/prediction"
        _check_scores(result["scores"], rows, task, labels, name)
        for column in ("gender", "speaker"):
            assert [s["value"] for s in result[f"by_{column}"]] == sorted(rows[column].unique())
            for subset in result[f"by_{column}"]:
                mine = rows[rows[column] == subset["value"]]
                _check_scores(subset["scores"], mine, task, labels, name, column == "gender")
                assert subset["clips"] == mine["id"].nunique()
        first = rows[rows["seed"] == rows["seed"].min()].set_index("id")
        columns = [f"{task}/{label}" for label in labels] or [name]
        mean = rows.groupby("id")[columns].mean().loc[first.index]
        together = np.array(labels)[mean.to_numpy().argmax(axis=1)] if labels else mean[name]
        _check_scores(result["ensemble"], first.assign(together=together), task, labels, "together")
        assert (result["clips"], result["groups"], result["speakers"]) == (len(first), 8, 8)
        if labels:
            matrix = confusion_matrix(rows[task], rows[name], labels=labels)
            assert result["confusion"]["counts"] == matrix.tolist()
            share = matrix / matrix.sum(axis=1, keepdims=True)
            np.testing.assert_allclose(result["confusion"]["share"], share)
            known = {}
            for i, row in enumerate(labels):
                free = slow.degrees(rows, task, f"recall/{row}")
                for j in range(len(labels)):
                    ends = [result["confusion"][end][i][j] for end in ("low", "high")]

                    def measure(part, i=i, j=j, known=known, columns=(task, name), labels=labels):
                        key = part.index.to_numpy().tobytes()
                        if key not in known:
                            known[key] = confusion_matrix(*part[list(columns)].T.to_numpy(), labels=labels)
                        return np.nan if not known[key][i].sum() else known[key][i, j] / known[key][i].sum()

                    total, degrees = slow.variance(rows, None, measure, free) if free else (0.0, 0.0)
                    if total > 1e-18:
                        assert ends == pytest.approx(slow.logit_interval(share[i][j], total, degrees))
                    else:
                        assert ends == [None, None]


def test_reading_the_csv_gives_the_same_report(whole, emotion, gender, arousal, tmp_path):
    write_predictions(whole.predictions, tmp_path / "predictions.csv")
    table = read_predictions(tmp_path / "predictions.csv")
    options = {"title": "again", "protocols": whole.protocols}
    again = report(table, [emotion, gender, arousal], **options).to_dict()["results"]
    before = whole.to_dict()["results"]
    for result in (r for r in before if r["task"] == "emotion"):
        for item in result["scores"]:
            item["paper"] = None
    assert again == before


def test_row_order_changes_no_file(make_table, emotion, tmp_path):
    table = make_table(protocols=("b", "a"), seeds=(0, 1), speakers=4)
    for name, rows in (("x", table), ("y", table.sample(frac=1, random_state=2))):
        report(rows, [emotion], title="t").save(tmp_path / name)
    names = sorted(p.name for p in (tmp_path / "x").iterdir())
    assert names == sorted(p.name for p in (tmp_path / "y").iterdir())
    for name in names:
        if name != "predictions.csv":
            assert (tmp_path / "x" / name).read_bytes() == (tmp_path / "y" / name).read_bytes()


def test_markdown_says_what_a_reader_must_know(whole, tmp_path):
    text = (whole.save(tmp_path) / "report.md").read_text()
    assert text.startswith("# ASP-MTL on a made-up corpus\n")
    random, disjoint = text.split("## Protocol: disjoint")
    assert "## Protocol: random" in random
    assert "speaker-dependent split" in random and "speaker-dependent split" not in disjoint
    assert "The paper's own: 80/20 by clip." in random and "Four folds of two speakers." in disjoint
    assert "| metric | measured | 95 % interval | seeds mean ± std | paper |" in disjoint
    result = whole.result("disjoint", "emotion")
    accuracy, uar = result["accuracy"], result["uar"]
    mean = f"{100 * accuracy.value:.1f}"
    ends = f"[{100 * accuracy.low:.1f}, {100 * accuracy.high:.1f}]"
    spread = (
        f"{mean} ± {100 * accuracy.std:.1f} ({100 * accuracy.minimum:.1f} to {100 * accuracy.maximum:.1f}; 3 seeds)"
    )
    assert f"| accuracy (WA) | {mean} | {ends} | {spread} | 90.1 |" in disjoint
    line = next(row for row in disjoint.splitlines() if row.startswith(f"| UAR (UA) | {100 * uar.value:.1f} |"))
    assert line.endswith("|  |")  # no paper's figure: empty
    for part in (
        "95 % CI over 8 speakers and 3 seeds (t).",
        "Per gender:",
        "Per speaker",
        "UAR (UA), ensemble of 3 seeds",
        "| recall joy |",
        "1 clips without a label are left out.",
        "## adversary",
        "| emotion | 0.527 | 0.5 |",
        "* Trained on nothing.",
        "* Protocol film has no predictions.",
        "## How to compute this again",
    ):
        assert part in disjoint, part
    assert "Seed 2 is incomplete and left out: fold 0 missing" in random
    cell = result.confusion
    assert f"{100 * cell.share[1][2]:.1f} ({cell.counts[1][2]}) [{100 * cell.low[1][2]:.1f}" in disjoint
    for picture in tmp_path.glob("*.png"):
        assert f"]({picture.name})" in text
    assert {p.name for p in tmp_path.glob("*.png")} == {
        *(f"scores-{p}.png" for p in ("random", "disjoint")),
        *(f"confusion-{p}-{t}.png" for p in ("random", "disjoint") for t in ("emotion", "gender_task")),
        "curves-random.png",
    }


def test_the_code_in_the_report_runs(whole, tmp_path, monkeypatch, capsys):
    write_predictions(whole.predictions, tmp_path / "predictions.csv")
    monkeypatch.chdir(tmp_path)
    exec(whole.to_markdown().split("```python\n")[1].split("```")[0], {})  # the report's own words
    printed = [float(line.split()[1]) for line in capsys.readouterr().out.splitlines()]
    assert printed[:2] == pytest.approx(whole.result("random", "emotion")["uar"].seeds)


def test_lines_are_short_and_aligned(whole):
    lines = whole.lines()
    assert lines[0] == "ASP-MTL on a made-up corpus"
    assert "protocol random (speaker-dependent split)" in lines and "protocol disjoint" in lines
    value = f"{100 * whole.result('disjoint', 'emotion')['uar'].value:.1f}"
    assert any(line.split()[:4] == ["emotion", "UAR", "(UA)", value] for line in lines)
    assert any("95 % CI over 8 speakers and 3 seeds (t)" in line for line in lines)
    assert max(map(len, lines)) <= 120
    assert not any("recall" in line for line in lines)


def test_paper_figures_by_protocol(make_table, emotion):
    table = make_table(protocols=("random", "disjoint"), seeds=(0,))
    paper = {("emotion", "uar"): 0.5, "random": {("emotion", "recall/joy"): 0.7}}
    made = report(table, [emotion], title="t", paper=paper)
    assert made.result("disjoint", "emotion")["uar"].paper == 0.5
    assert made.result("random", "emotion")["uar"].paper == 0.5
    assert made.result("random", "emotion")["recall/joy"].paper == 0.7
    assert made.result("disjoint", "emotion")["recall/joy"].paper is None
    with pytest.raises(KeyError, match=r"\(disjoint, emotion\).*Received: \(random, noise\)"):
        made.result("random", "noise")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"paper": {("emotion", "uar"): 90.13}}, "is a fraction.*uar 90.13; if that is percent, write 0.9013"),
        ({"paper": {("emotion", "war"): 0.9}}, r"must name a task and its metric \(emotion: accuracy, uar"),
        ({"paper": {"film": {("emotion", "uar"): 0.9}}}, "must name protocols among disjoint. Received: film"),
        ({"stream": {"noise": "clean"}}, "`stream` must name tasks of the report. Received: noise"),
        ({"histories": {("film", 0, 0): pd.DataFrame({"epoch": [1]})}}, r"Received: \('film', 0, 0\)"),
        ({"histories": {(0, 0): pd.DataFrame({"loss": [1.0]})}}, "needs the column 'epoch'"),
    ],
)
def test_what_does_not_fit_is_an_error(make_table, emotion, options, message):
    with pytest.raises(ValueError, match=message):
        report(make_table(seeds=(0,)), [emotion], title="t", **options)


def test_a_task_without_labels_is_noted(make_table, emotion, gender):
    table = make_table(seeds=(0,)).assign(gender_task="")
    made = report(table, [emotion, gender], title="t")
    assert [r.task for r in made.results] == ["emotion"]
    assert "No clip has a label of gender_task under protocol disjoint: not scored." in made.notes


def test_values_that_json_lacks_become_none(make_table, emotion, tmp_path):
    table = make_table(seeds=(0,))
    made = report(
        table[table["emotion"] != "sadness"],
        [emotion],
        title="t",
        protocols={"disjoint": {"ratio": np.float32(np.inf), "folds": np.int64(4), "apart": ("speaker",)}},
        tables={"extra": pd.DataFrame({"x": [1.5, np.nan]}), "rows": [{"a": 1}, {"b": None}]},
    )
    written = json.loads((made.save(tmp_path) / "report.json").read_text(), parse_constant=pytest.fail)
    assert written["protocols"]["disjoint"] == {"ratio": None, "folds": 4, "apart": ["speaker"]}
    assert written["tables"] == {"extra": [{"x": 1.5}, {"x": None}], "rows": [{"a": 1}, {"b": None}]}
    recall = written["results"][0]["scores"][-1]
    assert (recall["metric"], recall["value"], recall["low"]) == ("recall/sadness", None, None)
    text = (tmp_path / "report.md").read_text()
    assert "nan" not in text.lower().replace("chance", "") and "| recall sadness | – | – |" in text


def test_names_that_are_no_file_names(make_table, emotion, tmp_path):
    table = make_table(seeds=(0,), protocols=("a/b", "a b", "../c|d"))
    folder = report(table, [emotion], title="t").save(tmp_path / "out")
    assert len(list(folder.glob("*.png"))) == 6
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_importing_it_imports_neither_tensorflow_nor_matplotlib():
    heavy = ("tensorflow", "keras", "matplotlib")
    code = f"import sys, keras_ser.evaluation; print(*[m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
