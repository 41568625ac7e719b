"""Pictures of what a network makes of its input."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.decomposition import PCA

from keras_ser.experiment import views
from keras_ser.experiment.views import run_views
from keras_ser.models.paper import build_network
from keras_ser.models.whole_model import inner_network
from keras_ser.reports.latent import planes, reconstructions, scatter
from keras_ser.training import Data, fit
from keras_ser.training.transfer import begin_from
from tests.models.papers import RECIPES
from tests.training import tiny

AAE = RECIPES["aae"].replace(tasks=(tiny.EMOTION, tiny.GENDER), protocols=(tiny.SPEAKERS,), epochs=1)


@pytest.fixture(scope="module")
def made(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("views")
    data = Data.load(AAE, corpus, folder / "cache")
    return fit(AAE, data, tiny.SPEAKERS.splits(corpus)[1], folder / "speakers" / "run"), data


@pytest.mark.slow
def test_the_pictures_of_a_run(made):
    run, data = made
    code, image = run_views(run, data)
    assert [picture.file for picture in (code, image)] == ["code-speakers.png", "reconstruction-speakers.png"]
    x, labels, tested, _ = code.draw.args
    clips = {*run.split.train, *run.split.test}
    assert x.shape == (len(clips), 8 * 16) and tested.sum() == len(run.split.test)
    assert list(labels) == ["emotion", "gender", "speaker"]
    known = {u.id: u for u in data.corpus}
    assert set(zip(labels["speaker"], tested, strict=True)) == {
        (known[i].speaker, side == "test") for side in ("train", "test") for i in getattr(run.split, side)
    }
    pairs, _ = image.draw.args
    assert set(pairs) <= set(run.split.test) and len(pairs) == 3


@pytest.mark.slow
def test_of_many_clips_some_of_both_sides_are_shown(made, monkeypatch):
    """Also where the test set alone has more than a picture holds."""
    run, data = made
    monkeypatch.setattr(views, "MOST", len(run.split.test))
    x, _, tested, _ = next(run_views(run, data)).draw.args
    assert len(x) == len(run.split.test) == 3 and tested.sum() == 1
    # they are spread over the ids, not the first: those of one speaker stand together
    monkeypatch.setattr(views, "MOST", 4)
    _, labels, tested, _ = next(run_views(run, data)).draw.args
    emotions = {u.id: u.column("emotion") for u in data.corpus}
    assert [e for e, t in zip(labels["emotion"], tested, strict=True) if t] == [
        emotions[i] for i in sorted(run.split.test)[::2]
    ]


@pytest.mark.slow
def test_where_only_other_corpora_train_the_test_clips_are_shown(made):
    run, data = made
    split = replace(run.split, train=(), validation=(), foreign=True)
    code, image = run_views(replace(run, split=split), data)
    both, _ = run_views(run, data)
    expected, _, tested, _ = both.draw.args
    x, labels, every, _ = code.draw.args
    np.testing.assert_allclose(x, expected[tested], rtol=1e-5, atol=1e-5)
    assert every.all() and set(labels["speaker"]) == {u.speaker for u in data.corpus if u.id in split.test}
    assert code.draw().get_suptitle().endswith("(test clips)") and len(image.draw.args[0]) == 3


@pytest.mark.slow
def test_a_reconstruction_is_what_the_trained_decoder_makes(made):
    run, data = made
    _, image = run_views(run, data)
    pairs, _ = image.draw.args
    whole = build_network(AAE, {"linear_bands": (64, 32)})
    begin_from(whole, AAE.tasks, run.folder)
    network = whole.model
    mean, variance = (np.array(getattr(network.get_layer("normalization"), name)) for name in ("mean", "variance"))
    for name, (seen, found) in pairs.items():
        (i,) = [i for i, u in enumerate(data.corpus) if u.id == name]
        clip = next(iter(data.cache.dataset([i]).batch(1)))
        features = run.model().get_layer("extractor")({"waveform": clip["waveform"], "length": clip["length"]})
        x = np.zeros((1, 64, 32), "float32")
        frames = min(64, int(np.sum(features["mask"])))
        x[0, :frames] = np.asarray(features["linear_bands"])[0, :frames]
        valid = np.arange(64)[None] < frames
        expected = network({"linear_bands": x, "mask": valid}, training=False)["reconstruction"]
        np.testing.assert_allclose(found, np.asarray(expected)[0, :frames], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(seen, (x[0, :frames] - mean) / np.sqrt(variance + 1e-6), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_a_point_is_the_mean_over_the_valid_frames_of_a_clip(made):
    run, data = made
    code, _ = run_views(run, data)
    x, _, tested, _ = code.draw.args
    whole = run.model()
    (i,) = [i for i, u in enumerate(data.corpus) if u.id == sorted(run.split.test)[0]]
    clip = next(iter(data.cache.dataset([i]).batch(1)))
    features = whole.get_layer("extractor")({"waveform": clip["waveform"], "length": clip["length"]})
    bands, mask = (np.asarray(features[name])[0] for name in ("linear_bands", "mask"))
    network = inner_network(whole)
    code_of = type(network)(network.input, network.get_layer("encoder_2_norm").output)
    total, weight = 0.0, 0
    for start in range(0, int(mask.sum()), 64):
        part, valid = np.zeros((64, 32), "float32"), np.zeros(64, bool)
        held = bands[start : min(start + 64, int(mask.sum()))]
        part[: len(held)], valid[: len(held)] = held, True
        value = np.asarray(code_of({"linear_bands": part[None], "mask": valid[None]})).reshape(16, -1)
        # each position is of four frames
        total, weight = total + np.repeat(value, 4, axis=0)[: len(held)].sum(0), weight + len(held)
    np.testing.assert_allclose(x[tested][0], total / weight, rtol=1e-3, atol=1e-4)


@pytest.mark.filterwarnings("error")
def test_equal_codes_are_one_point():
    for points in planes(np.ones((9, 5))).values():
        np.testing.assert_array_equal(points, np.zeros((9, 2)))


def test_planes_keep_what_the_points_say(rng):
    x = np.concatenate([rng.normal(size=(20, 9)), rng.normal(size=(15, 9)) + 8])
    found = planes(x)
    expected = PCA(2).fit_transform(x)
    np.testing.assert_allclose(np.abs(found["PCA"]), np.abs(expected), rtol=1e-6)
    middle = [found["t-SNE"][part].mean(0) for part in (slice(20), slice(20, None))]
    spread = max(found["t-SNE"][part].std() for part in (slice(20), slice(20, None)))
    assert np.linalg.norm(middle[0] - middle[1]) > 2 * spread


def test_every_class_has_a_mark_and_unknown_ones_are_left_out(rng, recwarn):
    names = [f"e{k % 9}" for k in range(38)] + ["", ""]
    figure = scatter(rng.normal(size=(40, 5)), {"emotion": names}, np.arange(40) < 10, "code")
    legend = figure.axes[1].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == [f"e{k}" for k in range(9)]
    drawn = [(len(points.get_offsets()), len(points.get_facecolors())) for points in figure.axes[0].collections]
    assert sum(count for count, _ in drawn) == 38 and sum(count for count, filled in drawn if filled) == 10
    figure.canvas.draw()
    assert not recwarn.list


def test_reconstructions_name_their_error(rng):
    x = rng.normal(size=(12, 7))
    figure = reconstructions({"a": (x, x + 0.5), "b": (x[:5], x[:5])}, "run")
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert {"reconstruction, squared error 0.25", "reconstruction, squared error 0.00"} <= set(titles)
