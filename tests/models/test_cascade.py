"""The cascade: what `drop` leaves, against plain loops, and model 1 as model 2's front end."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_ser.features import segments
from keras_ser.models.aspmtl.cascade import DropNoise, drop_extractor
from keras_ser.models.aspmtl.denoiser import SilenceNoise
from tests.models.wholes import FRONTEND, SEGMENT, cascade, clips, run_model, single

FRAMES = 4


def case(rng, batch=6, length=14, classes=3, scale=2.0):
    """Features, right-padded masks and noise posteriors of every segment, as `Segment(FRAMES)` cuts them."""
    lengths = np.concatenate([[length, 1], rng.integers(2, length, batch - 2)])
    mask = np.arange(length) < lengths[:, None]
    x = {"a": rng.normal(size=(batch, length, 3)), "b": rng.normal(size=(batch, length, 1))}
    x = {name: (value * mask[..., None]).astype("float32") for name, value in x.items()}
    _, segment_mask = segments.segment(x["a"], ops.convert_to_tensor(mask), FRAMES)
    z = scale * rng.normal(size=(segment_mask.shape[0], classes))
    noise = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    return x, mask, noise.astype("float32"), np.asarray(segment_mask)


def plain(x, mask, noise, clean):
    """`drop` clip by clip: kept frames of each feature, and whether nothing survived."""
    batch, length = mask.shape
    count = -(-length // FRAMES)
    rows, emptied = [], []
    for i in range(batch):
        valid = int(mask[i].sum())
        own = noise[i * count : (i + 1) * count][: -(-valid // FRAMES)]
        kept = [j for j, p in enumerate(own) if p.argmax() == clean]
        emptied.append(not kept)
        kept = kept or [int(own[:, clean].argmax())]
        at = [t for j in kept for t in range(j * FRAMES, min((j + 1) * FRAMES, valid))]
        rows.append({name: value[i, at] for name, value in x.items()})
    return rows, emptied


@pytest.mark.parametrize("clean", [0, 2])
@pytest.mark.parametrize("length", [14, 12, 3])
def test_drop_is_the_plain_loop(clean, length, rng):
    x, mask, noise, segment_mask = case(rng, length=length)
    found = DropNoise(FRAMES, clean)(x, ops.convert_to_tensor(mask), noise, segment_mask)
    found = {name: np.asarray(value) for name, value in found.items()}
    rows, emptied = plain(x, mask, noise, clean)
    np.testing.assert_array_equal(found["emptied"], emptied)
    for i, row in enumerate(rows):
        kept = len(row["a"])
        np.testing.assert_array_equal(found["mask"][i], np.arange(length) < kept)
        for name, value in row.items():
            np.testing.assert_array_equal(found[name][i, :kept], value)
            assert not found[name][i, kept:].any()
    if length > FRAMES:
        assert len(set(emptied)) == 2, "the example should hold clips of both kinds"


def test_config_round_trip_of_the_layers():
    for layer in (DropNoise(5, clean=1, name="some_name"), SilenceNoise(5, 160, clean=1)):
        again = type(layer).from_config(layer.get_config())
        assert again.get_config() == layer.get_config()
        assert (again.frames, again.clean, again.compute_dtype) == (5, 1, "float32")


@pytest.fixture(scope="module")
def model():
    return cascade()


def test_model_1_chooses_what_model_2_hears(model, rng):
    """The cascade, step by step: features, segments, model 1's noise posterior, plain loop, model 2."""
    first = model.get_layer("extractor")
    waveform, length = clips(rng)
    features = {
        k: np.asarray(v) for k, v in first.get_layer("extractor")({"waveform": waveform, "length": length}).items()
    }
    mask = features.pop("mask")
    network = first.get_layer("aspmtl")
    cut = {name: segments.segment(value, ops.convert_to_tensor(mask), SEGMENT) for name, value in features.items()}
    given = {name: value for name, (value, _) in cut.items()} | {"mask": next(iter(cut.values()))[1]}
    noise = np.asarray(network(given, training=False)["noise"])

    count = len(noise) // len(mask)
    kept = np.zeros_like(mask)
    emptied = []
    for i in range(len(mask)):
        own = noise[i * count : (i + 1) * count][: -(-int(mask[i].sum()) // SEGMENT)]
        wins = [j for j, p in enumerate(own) if p.argmax() == 0]
        emptied.append(not wins)
        for j in wins or [own[:, 0].argmax()]:
            kept[i, SEGMENT * j : SEGMENT * (j + 1)] = True
    kept &= mask
    assert len(set(emptied)) == 2, "the example should hold clips of both kinds"

    found = run_model(model, waveform, length)
    assert set(found) == {"emotion", "gender", "emptied"} and found["emptied"].dtype == bool
    np.testing.assert_array_equal(found["emptied"], emptied)
    for i in range(len(mask)):
        left = {name: value[i : i + 1, kept[i]] for name, value in features.items()}
        alone = model.get_layer("scorer")({**left, "mask": np.ones((1, kept[i].sum()), bool)}, training=False)
        for name, value in alone.items():
            np.testing.assert_allclose(found[name][i], value[0], atol=1e-5)


def test_model_1_is_frozen(model):
    assert not model.get_layer("extractor").trainable_variables
    assert model.get_layer("scorer").trainable_variables


def test_extractor_takes_the_first_model_as_it_was_saved(tmp_path, rng):
    """Model 1 comes from its file: the extractor made from it is that of the model in memory."""
    first = single(tasks=2)
    first.save(tmp_path / "first.keras")
    again = keras.saving.load_model(tmp_path / "first.keras", compile=False)
    waveform, length = clips(rng)
    a = drop_extractor(first, SEGMENT)({"waveform": waveform, "length": length})
    b = drop_extractor(again, SEGMENT)({"waveform": waveform, "length": length})
    assert list(a) == [*FRONTEND["features"], "mask", "emptied"]
    for name, value in a.items():
        np.testing.assert_array_equal(value, b[name])
