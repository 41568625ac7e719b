import csv
import dataclasses
import json
import os

import numpy as np
import pytest
import soundfile

from keras_ser.audio import read
from keras_ser.files import write_figure
from keras_ser.serving.timelines import Timeline, _coarser, timeline
from tests.serving import standin


@pytest.fixture
def recording(tmp_path, rng):
    """Ten seconds and a bit: slow, then fast, then slow oscillation."""
    n = int(10.35 * standin.RATE)
    steps = np.where((np.arange(n) > 0.3 * n) & (np.arange(n) < 0.7 * n), 1.9, 0.15) + rng.uniform(0, 0.05, n)
    path = tmp_path / "some talk.wav"
    soundfile.write(path, 0.4 * np.sin(np.cumsum(steps)), standin.RATE, subtype="FLOAT")
    return path


@pytest.mark.parametrize(("window", "hop"), [(3.0, 1.0), (1.0, 1.0), (2.0, 0.3), (11.0, 2.0)])
def test_windows_against_a_loop(recording, window, hop):
    found = timeline(standin.predictor(), recording, window, hop)
    whole = read(recording, standin.RATE)
    starts, step, size = [0], round(hop * standin.RATE), round(window * standin.RATE)
    while starts[-1] + size < len(whole):
        starts.append(starts[-1] + step)
    # where less than half a hop is new, the last window is as long as the others
    if len(starts) > 1 and len(whole) - (starts[-2] + size) < step / 2:
        starts[-1] = len(whole) - size
    ends = [min(start + size, len(whole)) for start in starts]
    np.testing.assert_allclose(found.starts, np.array(starts) / standin.RATE)
    np.testing.assert_allclose(found.ends, np.array(ends) / standin.RATE)
    expected = [standin.answers(whole[a:b])[0] for a, b in zip(starts, ends, strict=True)]
    np.testing.assert_allclose(found.values, expected, atol=1e-9)


def test_memory_does_not_grow_with_the_recording(tmp_path, rng):
    path = tmp_path / "long.flac"
    soundfile.write(path, 0.1 * rng.standard_normal(200 * standin.RATE), standin.RATE)
    calls: list = []
    timeline(standin.predictor(calls=calls), path, 2.0, 0.5)
    assert len(calls) > 10 and max(clips for clips, _ in calls) <= 32


def test_cells_against_a_loop(rng):
    """The mean of the windows over a point, at random points."""
    starts = np.array([0.0, 1.5, 3.0, 4.5, 6.0])
    ends = np.array([4.0, 5.5, 7.0, 8.5, 9.1])
    values = rng.dirichlet(np.ones(3), 5)
    line = Timeline("x", standin.EMOTION, starts, ends, values)
    borders, means = line.cells()
    assert borders[0] == 0 and borders[-1] == 9.1 and len(means) == len(borders) - 1
    for t in rng.uniform(0, 9.1, 200):
        over = (starts <= t) & (t < ends)
        np.testing.assert_allclose(means[np.searchsorted(borders, t, side="right") - 1], values[over].mean(axis=0))


def test_segments_cover_the_recording_and_alternate(recording):
    found = timeline(standin.predictor(), recording, 1.0, 0.25).segments()
    assert [label for _, _, label, _ in found][:1] == ["low"] and "high" in [label for _, _, label, _ in found]
    assert found[0][0] == 0 and found[-1][1] == pytest.approx(10.35, abs=1e-3)
    for a, b in zip(found, found[1:], strict=False):
        assert a[1] == b[0] and a[2] != b[2]
    # the middle part is where it was put
    fast = [segment for segment in found if segment[2] == "high"]
    assert fast[0][0] == pytest.approx(0.3 * 10.35, abs=0.6) and fast[-1][1] == pytest.approx(0.7 * 10.35, abs=0.6)


def test_formats_hold_the_windows_and_segments(recording):
    line = timeline(standin.predictor(), recording, 3.0, 1.0)
    rows = [json.loads(text) for text in line.write("json")]
    assert len(rows) == len(line.starts)
    for row, start, values in zip(rows, line.starts, line.values, strict=True):
        assert row["file"] == str(recording) and row["start"] == pytest.approx(start, abs=1e-3)
        np.testing.assert_allclose([*row["emotion"]["probabilities"].values()], values)
    table = list(csv.DictReader(line.write("csv")))
    np.testing.assert_allclose([[float(r[f"emotion/{c}"]) for c in standin.EMOTION.labels] for r in table], line.values)
    assert [r["emotion/prediction"] for r in table] == [row["emotion"]["label"] for row in rows]
    segments = line.segments()
    for text, (start, end, label, score) in zip(line.write("rttm"), segments, strict=True):
        fields = text.split(" ")
        assert len(fields) == 10 and fields[:3] == ["SPEAKER", "some_talk", "1"]
        assert float(fields[3]) == pytest.approx(start, abs=1e-3) and float(fields[4]) == pytest.approx(
            end - start, abs=2e-3
        )
        assert (
            fields[5:7] == ["<NA>", "<NA>"]
            and fields[7] == label
            and float(fields[8]) == pytest.approx(score, abs=1e-3)
        )
    for text, (start, end, label, _) in zip(line.write("audacity"), segments, strict=True):
        a, b, name = text.split("\t")
        assert (float(a), float(b), name) == (pytest.approx(start, abs=1e-3), pytest.approx(end, abs=1e-3), label)
    header, *shown = (text.split() for text in line.write("table"))
    assert header == ["file", "start", "end", "emotion", "score"]
    found = [(float(row[-4]), float(row[-3]), row[-2], float(row[-1])) for row in shown]
    assert found == [(round(a, 2), round(b, 2), label, round(score, 2)) for a, b, label, score in segments]
    with pytest.raises(ValueError, match="must be one of json, csv, table, rttm, audacity"):
        list(line.write("xml"))


def test_a_continuous_task(recording):
    line = timeline(standin.predictor(), recording, 3.0, 1.0, task="arousal")
    rows = [json.loads(text)["arousal"]["value"] for text in line.write("json")]
    np.testing.assert_allclose(rows, line.values[:, 0])
    with pytest.raises(ValueError, match="'arousal' is continuous. Use the format json or csv"):
        list(line.write("rttm"))


@pytest.mark.parametrize(("rest", "start"), [(3, 8003), (3999, 11999), (4000, 16000)])
def test_end_of_a_few_samples_is_in_a_whole_window(tmp_path, rng, rest, start):
    """Hop and window are equal, so that the end alone would be a segment of a few samples."""
    path = tmp_path / "a.wav"
    soundfile.write(path, 0.1 * rng.standard_normal(2 * standin.RATE + rest), standin.RATE, subtype="FLOAT")
    line = timeline(standin.predictor(), path, 1.0, 1.0)
    samples = np.stack([line.starts, line.ends]) * standin.RATE
    np.testing.assert_allclose(samples, [[0, 8000, start], [8000, 16000, 16000 + rest]])


def test_no_segment_is_written_without_a_length():
    """The second cell, of one sample, has a label of its own."""
    values = np.array([[0.6, 0.4, 0.0], [0.0, 0.1, 0.9]])
    line = Timeline("x", standin.EMOTION, np.array([0.0, 1.0]), np.array([1.0001, 1.0002]), values)
    assert [text.split()[3:5] for text in line.write("rttm", "x")] == [["0.000", "1.000"]]


@pytest.mark.parametrize("window", [1e-5, 0.0])
def test_window_without_a_sample_is_refused(recording, window):
    with pytest.raises(ValueError, match="expected a window of at least one sample|expected 0 < hop <= window"):
        timeline(standin.predictor(), recording, window, window)


def test_recording_of_one_sample_is_one_window(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, [0.5], 44100, subtype="FLOAT")
    line = timeline(standin.predictor(), path)
    assert (
        line.values.shape == (1, 3)
        and len(line.segments()) == 1
        and line.problems
        == (
            "silent",
            "shorter than one window",
        )
    )


def test_name_of_a_file_is_no_formula_and_need_not_be_utf8(tmp_path, rng):
    path = tmp_path / os.fsdecode(b"$x_{1$caf\xe9.wav")
    with path.open("wb") as raw:
        soundfile.write(raw, 0.1 * rng.standard_normal(standin.RATE), standin.RATE, format="WAV")
    figure = timeline(standin.predictor(), path).figure()
    write_figure(tmp_path / "a.png", figure)
    assert figure.axes[0].get_title() == r"\$x_{1\$caf\xe9.wav"


@pytest.mark.parametrize("task", ["emotion", "arousal"])
def test_figure_shows_the_cells(recording, task):
    line = timeline(standin.predictor(), recording, 2.0, 1.0, task=task)
    axes = line.figure().axes[0]
    borders, means = line.cells()
    drawn = [patch.get_data() for patch in axes.patches]
    assert len(drawn) == means.shape[1]
    for data, column in zip(drawn, means.T, strict=True):
        np.testing.assert_allclose(data.values, column)
        np.testing.assert_allclose(data.edges, borders)


def test_the_score_of_a_segment_is_a_mean_over_time():
    values = np.array([[0.9, 0.1, 0.0], [0.5, 0.4, 0.1]])
    line = Timeline("x", standin.EMOTION, np.array([0.0, 1.0]), np.array([2.0, 4.0]), values)
    assert line.segments() == [(0, 4, "low", pytest.approx(0.65))]


def test_cells_are_joined_to_means_over_time():
    borders, means = _coarser(np.array([0.0, 1.0, 4.0, 5.0]), np.array([[1.0], [5.0], [2.0]]), most=2)
    assert borders.tolist() == [0, 4, 5] and means.tolist() == [[4], [2]]


def test_window_longer_than_the_crop_of_the_model_is_refused(recording):
    predictor = dataclasses.replace(standin.predictor(), centre_seconds=2.0)
    with pytest.raises(ValueError, match="crops clips to their middle 2 s .* Received: 2.5 s"):
        timeline(predictor, recording, 2.5, 1.0)
    assert len(timeline(predictor, recording, 2.0, 1.0).values) > 5
