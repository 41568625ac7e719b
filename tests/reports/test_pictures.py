"""What is drawn: every number of a matrix, score and history, and no text over another."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from keras_ser.evaluation import score
from keras_ser.reports import curves, pictures
from keras_ser.tasks import Task


@pytest.fixture
def many(rng):
    """Eight classes with long names, one of them without clips, one speaker a fold."""
    labels = ("neutral", "calmness", "happiness", "sadness", "anger", "fearfulness", "disgust", "surprise")
    task = Task("emotion", labels)
    probabilities = rng.dirichlet(np.ones(8), size=240)
    truth = rng.integers(7, size=240)
    table = pd.DataFrame({"id": [f"c{i:03d}" for i in range(240)], "protocol": "leave-one-speaker-out"})
    table["speaker"] = table["group"] = [f"s{i % 12}" for i in range(240)]
    table["fold"], table["seed"], table["stream"], table["gender"] = np.arange(240) % 12, 0, "clean", ""
    table["emotion"] = np.array(labels)[truth]
    table["emotion/prediction"] = np.array(labels)[probabilities.argmax(axis=1)]
    table[[f"emotion/{label}" for label in labels]] = probabilities
    return score(table, task, "leave-one-speaker-out", paper={"uar": 0.9})


def _drawn(figure):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return canvas.get_renderer()


def _overlaps(boxes):
    return [(i, j) for i, a in enumerate(boxes) for j, b in enumerate(boxes[:i]) if a.overlaps(b)]


def test_confusion_prints_every_cell_and_no_text_meets_another(many):
    figure = pictures.matrices({"named": many.confusion.share}, many.labels, many.confusion.counts)
    renderer = _drawn(figure)
    (axes,) = figure.axes
    assert axes.get_title() == "named\n% of the true class (clips)", "of one seed, nothing is summed"
    for text in axes.texts:
        j, i = map(int, text.get_position())
        if np.isnan(many.confusion.share[i][j]):
            assert i == 7 and text.get_text() == "–"
        else:
            assert text.get_text() == f"{100 * many.confusion.share[i][j]:.1f}\n({many.confusion.counts[i][j]})"
    assert len(axes.texts) == 64 and [t.get_text() for t in axes.get_xticklabels()] == list(many.labels)
    assert not _overlaps([t.get_window_extent(renderer) for t in axes.texts])
    whole = figure.get_window_extent(renderer)
    for text in [*axes.get_xticklabels(), *axes.get_yticklabels(), axes.title]:
        box = text.get_window_extent(renderer)
        assert box.x0 >= whole.x0 and box.x1 <= whole.x1 and box.y0 >= whole.y0 and box.y1 <= whole.y1


def test_whiskers_are_the_scores(many, make_table, emotion, arousal):
    table = make_table()
    results = [many, score(table, emotion, "disjoint"), score(table, arousal, "disjoint")]
    figure = pictures.scores(results)
    renderer = _drawn(figure)
    assert len(figure.axes) == 4  # CCC and RMSE have an axis each
    lines = [line.get_xydata() for line in figure.axes[1].lines]
    for y, item in enumerate(results[1].scores):
        for expected in (
            *([[[100 * item.low, y], [100 * item.high, y]]] if item.low is not None else []),
            [[100 * item.value, y]],
            [[100 * s, y + 0.29] for s in item.seeds],
            *([[[100 * item.chance, y - 0.42], [100 * item.chance, y + 0.42]]] if item.chance is not None else []),
        ):
            assert any(len(line) == len(expected) and np.allclose(line, expected) for line in lines)
    assert any(np.allclose(line.get_xydata(), [[90, 1]]) for line in figure.axes[0].lines if line.get_marker() == "*")
    labels = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert labels[:4] == ["accuracy (WA)", "UAR (UA)", "macro F1", "weighted F1"]
    assert "recall surprise" not in labels and "recall disgust" in labels  # no clip is surprise
    assert "12 speakers" in figure.axes[0].get_title(loc="left")
    for axes in figure.axes:
        assert not _overlaps([t.get_window_extent(renderer) for t in axes.get_yticklabels()])
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert sorted(legend) == [
        "95 % interval",
        "chance",
        "mean over seeds",
        "measured",
        "one seed",
        "paper",
        "seeds averaged",
    ]
    one = pictures.scores([score(make_table(seeds=(0,), speakers=4), emotion, "disjoint")])
    assert [text.get_text() for text in one.legends[0].get_texts()] == ["measured", "chance"]


@pytest.mark.parametrize("trained", ["uar", "accuracy"])
def test_curves_draw_loss_and_uar_of_each_run_and_their_mean(rng, trained):
    """Histories of earlier versions have the training set's accuracy alone."""
    runs = {}
    for name, epochs in (("fold 0, seed 0", 4), ("fold 1, seed 0", 6)):
        columns = (
            f"emotion_{trained}",
            "emotion_loss",
            "loss",
            "val_emotion_loss",
            "val_emotion_uar",
            "adversary_loss",
        )
        runs[name] = pd.DataFrame({"epoch": np.arange(1, epochs + 1)} | {c: rng.random(epochs) for c in columns})
    kept = {"fold 0, seed 0": 4, "fold 1, seed 0": 2}
    figure = curves.training(runs, "emotion", kept=kept, title="disjoint")
    _drawn(figure)
    assert figure.get_suptitle() == "disjoint: 2 runs (thin) and their mean until the first ends"
    loss, uar = (axes for axes in figure.axes if axes.get_visible())
    titles = [axes.get_title(loc="left") for axes in (loss, uar)]
    assert titles == ["emotion loss", "emotion UAR, %" + " (training: accuracy)" * (trained == "accuracy")]
    for axes, columns, scale in (
        (loss, ("emotion_loss", "val_emotion_loss"), 1),
        (uar, (f"emotion_{trained}", "val_emotion_uar"), 100),
    ):
        lines = [line.get_xydata() for line in axes.lines]
        assert len(lines) == 6 + 2  # two runs and their mean on each side; the kept epochs
        for column in columns:
            first, second = (run[["epoch", column]].to_numpy() * [1, scale] for run in runs.values())
            mean = second[:4].copy()  # until the first of the two ends
            mean[:, 1] = (first[:, 1] + mean[:, 1]) / 2
            for expected in (first, second, mean):
                assert any(len(line) == len(expected) and np.allclose(line, expected) for line in lines)
        for run, epoch in kept.items():
            value = scale * runs[run][columns[1]][epoch - 1]
            assert any(np.allclose(line, [[epoch, value]]) for line in lines if len(line) == 1)


def test_diagnostics_draw_each_run_their_mean_and_failing_values(rng):
    runs = {name: pd.DataFrame({"epoch": np.arange(1, 5), "right": rng.random(4)}) for name in ("a", "b")}
    watched = {"right": ("accuracy of the discriminator", (0.5, 1.0)), "absent": ("not logged", ())}
    figure = curves.diagnostics(runs, watched, "disjoint")
    _drawn(figure)
    (axes,) = (axes for axes in figure.axes if axes.get_visible())
    assert axes.get_title(loc="left") == "accuracy of the discriminator"
    drawn = [np.asarray(line.get_ydata(), float) for line in axes.lines]
    each = [run["right"].to_numpy() for run in runs.values()]
    for expected, line in zip([*each, np.mean(each, axis=0), [0.5] * 2, [1.0] * 2], drawn, strict=True):
        np.testing.assert_allclose(line, expected)


def test_an_epoch_written_twice_counts_once():
    history = pd.DataFrame({"epoch": [1, 2, 2, 3], "loss": [4.0, 3.0, 2.5, 2.0], "val_a_ccc": [np.nan] * 4})
    figure = curves.training({"a": history, "b": history}, "a", continuous=True)
    assert np.array_equal(figure.axes[0].lines[0].get_xydata(), [[1, 4], [2, 2.5], [3, 2]])
    assert figure.axes[0].get_title(loc="left") == "loss", "the whole loss, not that of the task"
    assert not curves.drawable([history[["epoch", "val_a_ccc"]]], "a", True)
