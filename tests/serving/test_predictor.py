import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from keras_ser.audio import AudioError, read
from keras_ser.errors import UserError
from keras_ser.serving.predictor import BATCH_CLIPS, BATCH_SECONDS, mean_predictor, predict_files
from tests.serving import standin


def write(path, rng, seconds, rate=standin.RATE):
    n = int(seconds * rate)
    soundfile.write(path, 0.3 * np.sin(np.cumsum(rng.uniform(0, 1.5, n))), rate)
    return path


def test_answers_are_those_of_each_file_alone(tmp_path, rng):
    files = [
        write(tmp_path / f"{i:02d}.wav", rng, s, r) for i, (s, r) in enumerate([(0.2, 8000), (3, 16000), (1, 8000)])
    ]
    found = list(predict_files(standin.predictor(), files))
    assert [path for path, _ in found] == files
    for path, answer in found:
        probabilities, magnitude = standin.answers(read(path, standin.RATE))
        assert list(answer["emotion"]["probabilities"]) == list(standin.EMOTION.labels)
        np.testing.assert_allclose([*answer["emotion"]["probabilities"].values()], probabilities)
        assert answer["emotion"]["label"] == standin.EMOTION.labels[probabilities.argmax()]
        assert answer["emotion"]["score"] == pytest.approx(probabilities.max())
        assert answer["arousal"] == {"value": pytest.approx(magnitude)}


def test_memory_is_bounded_and_order_is_kept(tmp_path, rng):
    lengths = [*([0.1] * 70), *([15.0] * 20), 0.1]
    files = [write(tmp_path / f"{i:03d}.wav", rng, s) for i, s in enumerate(lengths)]
    calls: list = []
    found = predict_files(standin.predictor(calls=calls), files)
    next(found)
    assert len(calls) == 1, "answers come before all files are read"
    assert [path for path, _ in found] == files[1:]
    assert max(clips for clips, _ in calls) <= BATCH_CLIPS
    assert max(clips * samples for clips, samples in calls) <= BATCH_SECONDS * standin.RATE
    assert sum(clips for clips, _ in calls) == len(files)


def test_predict_gives_files_and_waveforms_of_any_rate_one_answer(tmp_path, rng):
    """Integers, dicts with their own rate, rows of an array and a folder are the clips that the files hold."""
    folder = tmp_path / "clips"
    folder.mkdir()
    for i, rate in enumerate((16000, 8000)):
        clip = np.round(2**14 * np.sin(np.cumsum(rng.uniform(0, 1, rate)))).astype("int16")
        soundfile.write(folder / f"{i}.wav", clip, rate)
    (a, high), (b, low) = (soundfile.read(path, dtype="int16") for path in sorted(folder.iterdir()))
    model = standin.predictor()
    expected = [answer for _, answer in predict_files(model, sorted(folder.iterdir()))]
    found = model.predict(folder)
    assert [answer.pop("file") for answer in found] == [str(folder / f"{i}.wav") for i in "01"]
    assert found == expected
    mixed = [{"array": a, "sampling_rate": high}, b / 2**15, folder / "1.wav"]
    answers = model.predict(mixed, low)
    assert answers.pop()["file"] == str(folder / "1.wav")
    for answer, right in zip(answers, expected, strict=True):
        assert answer["arousal"]["value"] == pytest.approx(right["arousal"]["value"], rel=1e-6)
    assert model.predict(b / 2**15, low) == model.predict((b / 2**15).tolist(), low) == model.predict([b], low)
    rows = model.predict(np.stack([b, b[::-1]]), low)
    assert len(rows) == 2 and rows[0] == model.predict(b, low)[0]


def test_a_path_may_begin_with_the_home_folder(tmp_path, rng, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    soundfile.write(tmp_path / "a.wav", 0.1 * rng.standard_normal(900), standin.RATE)
    for inputs in ("~", "~/a.wav", Path("~/a.wav"), ["~/a.wav"]):
        for bad in ("raise", "keep"):
            (found,) = standin.predictor().predict(inputs, bad=bad, verbose=False)
            assert found["file"] == str(tmp_path / "a.wav") and "emotion" in found


def test_predict_as_frame_keeps_the_place_of_what_cannot_be_read(tmp_path, rng):
    good, bad = write(tmp_path / "good.wav", rng, 1), tmp_path / "bad.wav"
    bad.write_bytes(b"RIFF")
    model = standin.predictor()
    with pytest.raises(AudioError, match=r"bad\.wav"):
        model.predict([good, bad])
    missing = tmp_path / "missing.wav"
    found = model.predict([good, "\0.wav", "n" * 300], as_frame=True, bad="keep")
    assert found["error"].isna().tolist() == [True, False, False]
    (empty,) = model.predict([""], bad="keep")
    assert empty == {"file": "", "error": "expected a file or a folder. Received: an empty name."}
    frame = model.predict([bad, good, np.zeros(10), missing], standin.RATE, as_frame=True, bad="keep")
    (right,) = model.predict(good)
    assert frame["file"].tolist()[:2] == [str(bad), str(good)] and "bad.wav" in frame["error"][0]
    assert frame["emotion/prediction"].isna().tolist() == [True, False, False, True]
    assert frame["file"][3] == str(missing) and "missing.wav" in frame["error"][3]
    for inputs in ([], [bad], [good]):
        assert list(model.predict(inputs, as_frame=True, bad="keep")) == list(frame), (
            "columns do not depend on the clips"
        )
    assert frame["emotion/high"][1] == right["emotion"]["probabilities"]["high"]
    assert frame["arousal/prediction"][1] == right["arousal"]["value"]
    assert frame["problems"][2] == "silent, shorter than one window"


# full scale of what was recorded with 16 bits is lost; so is that of JSON
WIDE = (
    np.ones(9, "int64"),
    np.ones(9, "uint64"),
    [12, -30000, 7],
    np.array([12, -30000, 7], object),
    [[12, 7]],
    {"array": [12, 2**70], "sampling_rate": 8000},
)


@pytest.mark.parametrize(
    ("inputs", "rate", "words"),
    [
        (np.ones(9), None, "needs its `sampling_rate`"),
        *((np.ones(9), rate, "whole number of Hz, 1000 to 1000000") for rate in (0, 5, 16000.5, 10**9, np.inf, np.nan)),
        (np.full(9, np.nan), 8000, "clip 0: 9 of 9 samples are NaN"),
        (np.ones((1, 1, 9)), 8000, r"Received: shape \(1, 9\)"),
        (np.ones(9, "uint8"), 8000, "signed integers"),
        *(
            (x, 8000, "clip 0: expected floats .* Received: integers of 64 bits, .* numpy.array.samples, 'int16'")
            for x in WIDE
        ),
        ([np.ones(9), []], 8000, r"clip 1: .* empty|shape"),
        (np.zeros(8000 * 21), 8000, "at most 20 s, received 21.0 s. Cut it.$"),
        (np.zeros(8000 * 20 + 1), 8000, "at most 20 s, received 20.000125 s"),
        ({"path": "a.wav"}, None, '"array" and "sampling_rate"'),
        ("nothing.wav", None, "does not exist"),
        ("no\0thing.wav", None, "does not exist"),
        ("n" * 300, None, "does not exist"),
        ("", None, "Received: an empty name"),
        (pd.DataFrame({"file": ["a.wav"]}), None, r'Received: a table of 1 columns; .* e.g. table\["file"\]'),
        (pd.DataFrame({"file": ["a.wav"], "emotion": ["anger"]}), None, "Received: a table of 2 columns"),
        (None, 8000, "audio files, folders or waveforms. Received: None"),
        (np.array(0.5), 8000, "audio files, folders or waveforms. Received: one number"),
        (b"RIFF", 8000, "audio files, folders or waveforms. Received: bytes"),
        ([None], 8000, "clip 0: expected a file or a waveform .samples,.. Received: None"),
        ([b"RIFF"], 8000, "clip 0: expected a file or a waveform .samples,.. Received: bytes"),
        ([np.ones(9), np.array(0.5)], 8000, "clip 1: expected a file or a waveform .samples,.. Received: one number"),
        ([["a.wav", "b.wav"]], None, "clip 0: .* Received: a list of files; give one list of all"),
        (np.ones(9, bool), 8000, r"signed integers. Received: shape \(9,\), bool"),
        ([True, False], 8000, r"signed integers. Received: shape \(2,\), bool"),
        (np.ones(9, complex), 8000, r"signed integers. Received: shape \(9,\), complex128"),
        (np.ones((16000, 2)), 8000, r"Received: \(16000, 2\), which looks like .samples, channels."),
    ],
)
def test_predict_says_what_is_wrong_with_an_input(inputs, rate, words):
    with pytest.raises(UserError, match=words) as caught:
        standin.predictor().predict(inputs, rate)
    assert "\n" not in str(caught.value)


def test_mean_predictor_averages_probabilities_and_values():
    def constant(p, value, flag):
        def score(waveform, lengths):
            n = len(waveform)
            return {
                "emotion/probabilities": np.tile(p, (n, 1)),
                "arousal/value": np.full(n, value),
                "odd": np.full(n, flag),
            }

        return dataclasses.replace(standin.predictor(), score=score, flags=("odd",))

    each = [constant([0.6, 0.4, 0], 1.0, True), constant([0.1, 0.3, 0.6], 0.0, False), constant([0, 1, 0], 0.5, False)]
    (answer,) = mean_predictor(each)([np.zeros(8)])
    np.testing.assert_allclose([*answer["emotion"]["probabilities"].values()], [0.7 / 3, 1.7 / 3, 0.2])
    assert answer["emotion"]["label"] == "middle" and answer["arousal"]["value"] == 0.5 and answer["odd"] is True
