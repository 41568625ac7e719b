"""The report of a run: every figure follows from predictions.csv, and what is written and printed."""

import base64
import dataclasses
import json
import math
from collections import Counter
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, mean_squared_error, recall_score

from keras_ser.evaluation import read_predictions
from keras_ser.evaluation.learning import LEARNED, Learning
from keras_ser.evaluation.tables import Table
from keras_ser.reports import score_report
from keras_ser.tasks import Task
from tests.evaluation import slow
from tests.evaluation.conftest import AROUSAL, EMOTION, GENDER, table


@pytest.fixture(scope="module")
def whole():
    rng = np.random.default_rng(1)
    runs = [("random", fold, seed) for fold in range(2) for seed in range(2)]
    columns = ("loss", "val_emotion_uar")
    histories = {run: pd.DataFrame({"epoch": range(1, 6)} | {c: rng.uniform(0, 1, 5) for c in columns}) for run in runs}
    predictions = table(protocols=("random", "disjoint"))
    predictions.loc[predictions["id"] == "s04/c02", "emotion"] = ""
    random = predictions["protocol"] == "random"
    return score_report(
        predictions[~(random & (predictions["seed"] == 2) & (predictions["fold"] == 0))],
        [EMOTION, GENDER, AROUSAL],
        title="ASP-MTL on a made-up corpus",
        paper={("emotion", "accuracy"): 0.9013, ("emotion", "macro_f1"): 0.92, ("gender_task", "accuracy"): 0.9766},
        protocols={
            "random": {"description": "The paper's own: 80/20 by clip.", "speaker_dependent": True},
            "disjoint": {"description": "Four folds of two speakers.", "speaker_dependent": False, "folds": 4},
            "film": {},
        },
        tables={"adversary": {"emotion": {"accuracy": 0.527, "prior": 0.5}}},
        histories=histories,
        notes=["Trained on nothing."],
    )


@pytest.fixture(scope="module")
def folder(whole, tmp_path_factory):
    """The report, written once."""
    return whole.save(tmp_path_factory.mktemp("report")).parent


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
        ends = slow.interval(metric, item["value"], total, free)
        assert (item["low"], item["high"]) == pytest.approx(ends)


def test_every_figure_follows_from_predictions_csv(folder):
    written = json.loads((folder / "report.json").read_text(), parse_constant=lambda c: pytest.fail(f"{c} in JSON"))
    table = read_predictions(folder / "predictions.csv")
    assert [(r["protocol"], r["task"]) for r in written["results"]] == [
        (p, t) for p in ("random", "disjoint") for t in ("emotion", "gender_task", "arousal")
    ]
    assert written["intervals"] == {"kind": "t, jackknife over groups, of the mean over seeds", "level": 0.95}
    for result in written["results"]:
        task, labels = result["task"], result["labels"]
        rows = table[(table["protocol"] == result["protocol"]) & table["stream"].isin(result["streams"])]
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
                        assert ends == pytest.approx(slow.interval("logit", share[i][j], total, degrees))
                    else:
                        assert ends == [None, None]


def test_markdown_has_every_figure_and_what_a_reader_must_know(whole, folder):
    text = (folder / "report.md").read_text()
    head, random, disjoint = text.split("## Protocol: ")[:3]
    assert head.startswith("# ASP-MTL on a made-up corpus\n") and "- Trained on nothing." in head
    assert "- Protocol film has no predictions." in head
    assert "speaker-dependent split" in random and "speaker-dependent split" not in disjoint
    assert "The paper's own: 80/20 by clip." in random and "Four folds of two speakers." in disjoint
    result = whole.result("disjoint", "emotion")
    accuracy, share = result["accuracy"], result.confusion
    value, low, high, std, least, most = (
        f"{100 * x:.1f}"
        for x in (accuracy.value, accuracy.low, accuracy.high, accuracy.std, min(accuracy.seeds), max(accuracy.seeds))
    )
    spread = f"{value} ± {std} ({least} to {most}; 3 seeds)"
    assert f"| accuracy (WA) | {value} | [{low}, {high}] |  | {spread} | 90.13 |" in disjoint
    assert f"| {100 * share.share[1][2]:.1f} ({share.counts[1][2]}) |" in disjoint
    for part in ("UAR (UA), ensemble of 3 seeds", "| recall joy |", "| gender_task | UAR |", "| arousal | CCC |"):
        assert part in disjoint, part
    assert "| emotion | 0.527 | 0.5 |" in text and disjoint.count("| accuracy 97.66 |") == 1
    # each caution once, with where it holds
    notes = [line for line in text.splitlines() if "clips without a label are left out" in line or "no group" in line]
    assert (
        len(notes) == len(set(notes))
        and "1 clips without a label are left out (random: emotion; disjoint: emotion)." in head
    )
    assert "- Seed 2 is incomplete and left out: fold 0 missing" in head
    pictures = {path.name for path in folder.glob("*.png")}
    assert pictures == {
        *(f"scores-{p}.png" for p in ("random", "disjoint")),
        *(f"confusion-{p}-emotion.png" for p in ("random", "disjoint")),
        "curves-random.png",
    }
    assert all(f"]({picture})" in text for picture in pictures)


def test_first_lines_have_score_chance_interval_and_counts(whole):
    uar = whole.result("disjoint", "emotion")["uar"]
    value, low, high = (f"{100 * x:.1f}" for x in (uar.value, uar.low, uar.high))
    random, disjoint = whole.head
    assert disjoint == (
        f"**emotion, disjoint: UAR {value} % [{low}, {high}]**; chance 25.0. 95 % CI over 8 speakers and 3 seeds (t). "
        "75 clips of 8 speakers, 4 of 4 folds, 3 seeds."
    )
    assert random.startswith("**emotion, random: UAR ")
    assert random.endswith("2 seeds. Test speakers are in the training set.")


def test_first_lines_say_that_the_test_side_chose_the_epoch(make_table, emotion):
    (line,) = score_report(
        make_table(seeds=(0,)), [emotion], title="t", protocols={"disjoint": {"chosen_on_test": True}}
    ).head
    assert line.endswith("1 seed. The test set chose the epoch.")


def test_the_confusion_of_clips_that_every_fold_predicts_says_so(make_table, emotion):
    every = pd.concat([make_table(seeds=(0,)).assign(fold=fold) for fold in range(5)])
    made = score_report(every, [emotion], title="t", deterministic=True)
    assert "Confusion, % of the true class (clips, summed over 5 runs); rows" in made.to_markdown()
    (picture,) = (each for each in made.figures if each.file.startswith("confusion"))
    assert picture.draw().axes[0].get_title().endswith("(clips, summed over 5 runs)")
    assert made.head[0].endswith("76 clips of 8 speakers, 5 folds."), "seeds of a deterministic model are one"


def test_a_baseline_has_settings_and_a_curve_over_several(make_table, emotion):
    def made(count: int):
        rows = {"epoch": range(1, count + 1), "C": 1.0, "val_emotion_uar": 0.5}
        history = {("disjoint", fold, 0): pd.DataFrame(rows) for fold in range(2)}
        learned = [learning(fold, 0, steps=None, kept=1, epochs=count) for fold in range(2)]
        options = {"histories": history, "learned": learned, "axis": "setting"}
        options["protocols"] = {"disjoint": {"chosen_on_test": True}}
        return score_report(make_table(seeds=(0,)), [emotion], title="t", **options)

    assert "curves-disjoint.png" not in [picture.file for picture in made(1).figures], "a dot over an axis of epochs"
    (picture,) = (picture for picture in made(4).figures if picture.file == "curves-disjoint.png")
    figure = picture.draw()
    assert figure.axes[0].get_xlabel() == "setting"
    assert "kept setting" in [text.get_text() for text in figure.legends[0].get_texts()]
    assert made(4).head[0].endswith("The test set chose the setting.")
    assert "| kept setting |" in made(4).to_markdown() and "epoch" not in made(4).to_markdown()


def test_the_first_line_claims_no_interval_where_there_is_none(make_table, emotion):
    """Ten speakers do not give an interval of UAR if a class occurs with one of them only."""
    table = make_table(clips=4)
    made = score_report(table[(table["emotion"] != "joy") | (table["speaker"] == "s02")], [emotion], title="t")
    assert "No 95 % CI: joy occurs with one speaker only. " in made.head[0] and "95 % CI over" not in made.head[0]
    assert made.lines()[-1] == "Caution: disjoint: no 95 % CI: joy occurs with one speaker only."


def test_the_terminal_names_classes_without_a_test_clip(make_table, emotion):
    table = make_table(clips=4)
    made = score_report(table[table["emotion"] != "joy"], [emotion], title="t")
    assert made.lines()[-1] == "Caution: emotion, disjoint: no clip is joy, left out of UAR."


def learning(fold: int, seed: int, **changes) -> Learning:
    made = Learning("disjoint", fold, seed, "emotion", "uar", 0.9, 0.5, 80, LEARNED, kept=8, epochs=10)
    return dataclasses.replace(made, **changes)


def test_the_first_lines_have_the_steps_and_the_scores_of_all_sides():
    predictions = table(seeds=(0,))
    learned = [learning(fold, 0, steps=80 + fold, validation=math.nan) for fold in range(4)]
    made = score_report(predictions, [EMOTION], title="t", learned=learned)
    (uar,) = (s.value for s in made.results[0].scores if s.metric == "uar")
    sides = f"disjoint: 81 (80 to 83) optimizer steps, UAR: training 90.0, test {100 * uar:.1f}."
    assert made.head[1] == f"Trained to the end: all 4 runs. {sides}"


def test_sides_are_those_of_the_runs_that_are_scored():
    """A seed under way, whose only run is poor, has no part in the test score, nor in the others beside it."""
    predictions = table(seeds=(0, 1))
    predictions = predictions[(predictions["seed"] == 0) | (predictions["fold"] == 0)]
    learned = [*(learning(fold, 0, training=0.95) for fold in range(4)), learning(0, 1, training=0.55)]
    made = score_report(predictions, [EMOTION], title="t", learned=learned, protocols={"disjoint": {"folds": 4}})
    assert "training 95.0" in " ".join(made.head)
    (means,) = (section for section in made.sections if getattr(section, "title", "") == "Training")
    header, row = means.text()
    assert (row[header.index("runs")], row[header.index("training")]) == ("4", "95.0")


def test_a_row_for_each_run_has_the_uar_of_its_own_test_side():
    predictions = table(seeds=(0, 1))
    learned = [learning(fold, seed) for seed in range(2) for fold in range(4)]
    learned[5] = learning(1, 1, verdict="underfit: 30.0 on the training set", steps=None, training=0.3)
    made = score_report(
        predictions, [EMOTION, GENDER], title="t", learned=learned, protocols={"disjoint": {"folds": 4, "seeds": 2}}
    )
    (runs,) = (section for section in made.sections if getattr(section, "title", "") == "Runs")
    header, *rows = runs.text()
    assert header == [
        "fold",
        "seed",
        "kept epoch",
        "optimizer steps",
        *(f"{s} UAR" for s in ("training", "validation", "test")),
        "verdict",
    ]
    for row in rows:
        part = predictions[(predictions["fold"] == int(row[0])) & (predictions["seed"] == int(row[1]))]
        pair = part["emotion"], part["emotion/prediction"]
        expected = recall_score(*pair, average="macro", labels=pair[0].unique())
        assert row[6] == f"{100 * expected:.1f}"
    assert [row[:2] for row in rows] == [[str(fold), str(seed)] for seed in range(2) for fold in range(4)]
    assert rows[5][2:6] == ["8 of 10", "–", "30.0", "50.0"] and rows[5][7] == "underfit"
    assert made.head[1].startswith("**Not trained to the end:** 1 of 8 underfit (disjoint, fold 1, seed 1: underfit")
    assert made.to_markdown().count("1 of 8 underfit") == 2, "in the first lines, and in the table of means"
    one = score_report(table(seeds=(0,)), [EMOTION], title="t", learned=[learning(0, 0)])
    titles = [getattr(section, "title", "") for section in one.sections]
    assert "Runs" in titles and "Training" not in titles, "of one run a protocol, its means are the same table"
    assert "seeds)" not in one.to_markdown() and "1 seed)" not in one.to_markdown()


def test_command_versions_commit_and_dates_are_shown_once(make_table, emotion):
    made = {
        "command": "train.py --out x",
        "versions": {"keras_ser": "1", "keras": "3"},
        "commit": "abc",
        "date": "2026-01-02 03:04 UTC",
    }
    later = made | {"date": "2026-01-05 03:04 UTC", "commit": "def with changes"}
    head = score_report(make_table(seeds=(0,)), [emotion], title="t", made=[later, made]).head
    assert head[-1] == (
        "Command: `train.py --out x`. Versions: keras_ser 1, keras 3. Commit: def with changes, abc. "
        "Trained: 2026-01-02 03:04 UTC to 2026-01-05 03:04 UTC."
    )


def test_html_is_one_escaped_file_with_its_pictures(make_table, tmp_path):
    task = Task("emotion", ("<b>anger</b>", "fear", "joy", "sadness"))
    predictions = (
        make_table(seeds=(0,))
        .replace({"anger": task.labels[0]})
        .rename(columns={"emotion/anger": f"emotion/{task.labels[0]}"})
    )
    made = score_report(predictions, [task], title="a <script>", notes=["a `code` & <img src=x>"])
    made.save(tmp_path)
    page = (tmp_path / "report.html").read_text()

    class Reader(HTMLParser):
        tags, text, sources = Counter(), [], []

        def handle_starttag(self, tag, attrs):
            self.tags[tag] += 1
            self.sources += [value for name, value in attrs if name in ("src", "href")]

        def handle_data(self, data):
            self.text.append(data)

    reader = Reader()
    reader.feed(page)
    assert not {"script", "b", "a", "link"} & set(reader.tags) and reader.tags["img"] == len(made.figures) == 2
    assert reader.tags["table"] == sum(isinstance(section, Table) and bool(section.rows) for section in made.sections)
    assert {"a <script>", "<b>anger</b>", " & <img src=x>", "code"} <= set(reader.text)
    for (file, *_), source in zip(made.figures, reader.sources, strict=True):
        assert base64.b64decode(source.removeprefix("data:image/png;base64,")) == (tmp_path / file).read_bytes()


def test_the_code_in_the_report_runs(whole, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    exec(whole.to_markdown().split("```python\n")[1].split("```")[0], {})  # the report's own words
    printed = [float(line.split()[1]) for line in capsys.readouterr().out.splitlines()]
    assert printed[:2] == pytest.approx(whole.result("random", "emotion")["uar"].seeds)


def test_the_terminal_shows_one_short_table_with_the_main_task_first(whole):
    title, _, header, *rows, _, caution = whole.lines()
    assert title == "ASP-MTL on a made-up corpus" and header.split()[:2] == ["task", "protocol"]
    assert [row.split()[:2] for row in rows] == [
        [task, protocol] for task in ("emotion", "gender_task", "arousal") for protocol in ("random", "disjoint")
    ]
    uar = whole.result("disjoint", "emotion")["uar"]
    shown = f"{100 * uar.value:.1f} ± {100 * uar.std:.1f} [{100 * uar.low:.1f}, {100 * uar.high:.1f}]"
    assert shown in rows[1] and rows[1].endswith("25.0"), "chance of four classes"
    assert caution.startswith("Caution: random: ")


def test_chance_is_not_named_where_one_class_alone_is_tested(make_table, emotion, gender):
    made = score_report(make_table().query("emotion == 'joy' and gender == 'male'"), [emotion, gender], title="t")
    assert "chance" not in made.head[0] and made.summary[0].text()[1][-1] == "–"
    rows = [line.split(" | ") for line in made.to_markdown().splitlines()]
    places = [row.index("chance") for row in rows if "chance" in row]
    shown = [row[places.pop(0)] for row in rows if row[0] in ("| UAR (UA)", "| gender_task")]
    assert shown == ["–", "–"] and not places
    figure = next(picture for picture in made.figures if picture.file == "scores-disjoint.png").draw()
    assert "chance" not in [text.get_text() for text in figure.legends[0].get_texts()]


def test_order_of_rows_changes_no_figure(make_table, emotion):
    table = make_table(seeds=(0,), protocols=("a", "b"), speakers=4)
    made = score_report(table, [emotion], title="t")
    assert score_report(table.sample(frac=1, random_state=2), [emotion], title="t").to_dict() == made.to_dict()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"paper": {("emotion", "uar"): 90.13}}, "must be a fraction.*uar 90.13; if that is percent, write 0.9013"),
        ({"paper": {("emotion", "war"): 0.9}}, r"must name a task and its metric \(emotion: accuracy, uar"),
    ],
)
def test_what_does_not_fit_is_an_error(make_table, emotion, options, message):
    with pytest.raises(ValueError, match=message):
        score_report(make_table(seeds=(0,)), [emotion], title="t", **options)


def test_values_that_json_lacks_become_none(make_table, emotion, tmp_path):
    table = make_table(seeds=(0,))
    made = score_report(
        table[table["emotion"] != "sadness"],
        [emotion],
        title="t",
        protocols={"disjoint": {"ratio": np.float32(np.inf), "folds": np.int64(4), "apart": ("speaker",)}},
        tables={"rows": [{"a": 1.5}, {"b": None, "a": np.nan}]},
    )
    written = json.loads(made.save(tmp_path).with_suffix(".json").read_text(), parse_constant=pytest.fail)
    assert written["protocols"]["disjoint"] == {"ratio": None, "folds": 4, "apart": ["speaker"]}
    assert written["tables"] == {"rows": [{"a": 1.5}, {"b": None, "a": None}]}
    recall = written["results"][0]["scores"][-1]
    assert (recall["metric"], recall["value"], recall["low"]) == ("recall/sadness", None, None)
    text = (tmp_path / "report.md").read_text()
    assert "nan" not in text.lower().replace("chance", "") and "| recall sadness | – | – |" in text
