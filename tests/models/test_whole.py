"""Waveform in, probabilities out: the same alone, in a batch, padded, reloaded, and in another process."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

from keras_ser.features import Frontend
from keras_ser.models.whole_model import over_time, scorer
from tests.models.rows import CONV, INPUTS, by_name, features, outputs
from tests.models.wholes import FRONTEND, cascade, clips, run_model, single

MODELS = {
    "lstm segments": lambda: single(tasks=3, layers=2, frames=7),
    "conv attention": lambda: single(tasks=2, **CONV, layers=0, pooling="attention"),
    "cascade": cascade,
}
RELOAD = """
import sys
import keras, numpy as np
import keras_ser.features, keras_ser.layers, keras_ser.models.aspmtl.cascade
given = dict(np.load(sys.argv[1]))
found = {}
for path in sys.argv[3:]:
    model = keras.saving.load_model(path, compile=False)
    for name, value in model(given, training=False).items():
        found[path + ":" + name] = np.asarray(value)
np.savez(sys.argv[2], **found)
"""


@pytest.fixture(scope="module")
def models():
    return {name: make() for name, make in MODELS.items()}


def test_clips_of_a_cascade_alone_in_a_batch_or_padded_with_garbage(models, rng):
    """Networks of one model are in test_contract."""
    model = models["cascade"]
    waveform, length = clips(rng, samples=2500)
    together = run_model(model, waveform, length)
    waveform[np.arange(2500) >= length[:, None]] = np.nan
    padded = run_model(model, waveform, length)
    for i, n in enumerate(length):
        for task, value in run_model(model, waveform[i : i + 1, :n], length[i : i + 1]).items():
            np.testing.assert_allclose(value[0], together[task][i], atol=1e-5)
            np.testing.assert_allclose(value[0], padded[task][i], atol=1e-5)
    assert together["emotion"].std(0).max() > 1e-3, "the clips differ, and their probabilities should"


@pytest.mark.slow
def test_keras_files_hold_everything(models, rng, tmp_path):
    """Here and in a fresh process that knows nothing but the package, without custom_objects."""
    waveform, length = clips(rng)
    np.savez(tmp_path / "given.npz", waveform=waveform, length=length)
    paths = {}
    for name, model in models.items():
        paths[name] = str(tmp_path / f"{name.replace(' ', '_')}.keras")
        model.save(paths[name])
        again = run_model(keras.saving.load_model(paths[name], compile=False), waveform, length)
        expected = run_model(model, waveform, length)
        assert set(again) == set(expected)
        for task, value in expected.items():
            np.testing.assert_allclose(again[task], value, atol=1e-6)
    subprocess.run(
        [sys.executable, "-c", RELOAD, str(tmp_path / "given.npz"), str(tmp_path / "found.npz"), *paths.values()],
        check=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    found = np.load(tmp_path / "found.npz")
    for name, model in models.items():
        for task, value in run_model(model, waveform, length).items():
            np.testing.assert_allclose(found[f"{paths[name]}:{task}"], value, atol=1e-6)


def test_a_clip_is_judged_by_the_mean_of_its_segments_probabilities(rng):
    """Weighted by valid frames, so that the last, short segment counts as little as it holds."""
    row, frames = by_name("lstm label attention"), 4
    network = row.network()
    score, whole_clip = scorer(network, row.tasks, segment=frames), scorer(network, row.tasks)
    lengths = (13, 1, 9, 8)
    x = features(rng, lengths)
    found = outputs(score, x)
    assert set(found) == {"emotion", "gender"}
    for i, n in enumerate(lengths):
        parts = [
            (outputs(whole_clip, {k: v[i : i + 1, s : min(s + frames, n)] for k, v in x.items()}), min(frames, n - s))
            for s in range(0, n, frames)
        ]
        for task in found:
            mean = sum(p[task][0].astype("float64") * valid for p, valid in parts) / n
            np.testing.assert_allclose(found[task][i], mean, atol=1e-5)


def test_scorer_shares_the_networks_weights(rng):
    row = by_name("lstm single statistics")
    network = row.network()
    score, x = scorer(network, row.tasks, segment=5), features(rng, (13, 5, 9))
    before = outputs(score, x)["emotion"]
    for weight in network.model.trainable_variables:
        weight.assign(weight * 1.5)
    assert np.abs(outputs(score, x)["emotion"] - before).max() > 1e-3


def test_front_end_is_float32_whatever_the_policy_of_the_network(rng):
    """Its features are those of the front end alone, bit for bit."""
    try:
        keras.config.set_dtype_policy("mixed_bfloat16")
        model = single(tasks=2)
    finally:
        keras.config.set_dtype_policy("float32")
    waveform, length = clips(rng)
    found = model.get_layer("extractor")({"waveform": waveform, "length": length})
    expected = Frontend(**FRONTEND)(ops.convert_to_tensor(waveform), ops.convert_to_tensor(length))
    for name in INPUTS:
        assert found[name].dtype == "float32"
        np.testing.assert_array_equal(found[name], expected[name])


@pytest.mark.parametrize(("frames", "positions"), [(12, 4), (11, 4), (5, 5)])
def test_means_over_time_weigh_positions_by_their_valid_frames(frames, positions, rng):
    x = rng.normal(size=(3, positions, 2, 3)).astype("float32")
    mask = np.arange(frames) < np.array([[frames], [4], [0]])
    place = [min(range(positions), key=lambda p: round((p + 1) * frames / positions) <= f) for f in range(frames)]
    counts = np.array([np.bincount(np.array(place)[row], minlength=positions) for row in mask])
    expected = np.einsum("bp,bpij->bij", counts, x).reshape(3, 6) / np.maximum(counts.sum(1), 1)[:, None]
    np.testing.assert_allclose(over_time(x, mask, frames), expected, rtol=1e-5, atol=1e-6)
