import numpy as np
import pytest
import soundfile

from keras_ser.audio import read
from keras_ser.serving.predictor import BATCH_CLIPS, BATCH_SECONDS, predict_files
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
