"""Emotion and speaker in one tiny VGGVox: trained, judged by class and by verification."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from keras_ser.experiment import verification as room
from keras_ser.experiment.robustness import run_robustness
from keras_ser.experiment.systems import run_systems
from keras_ser.models.whole_model import embedder
from keras_ser.splits import LeakageError, Protocol
from keras_ser.training import Data, Run, RunError, fit
from tests.splits.small_corpora import corpus_of
from tests.training import tiny

pytestmark = pytest.mark.slow  # three runs are trained
APART = Protocol("apart", "matched", test=2, match=("gender",), validation=0)
BOTH = tiny.STRETCHED.replace(name="both", protocols=(APART,))


@pytest.fixture(scope="module")
def made(corpus, tmp_path_factory):
    """(systems, data, out) of both tasks and of the speaker alone."""
    out = tmp_path_factory.mktemp("systems")
    recipes = {"both": BOTH, "speaker": BOTH.replace(name="speaker", tasks=(tiny.SPEAKER,), epochs=1)}
    recipes = {name: recipe.for_corpus(corpus) for name, recipe in recipes.items()}
    data = Data.load(recipes["both"], corpus, out / "cache")
    return run_systems(recipes, data, out), data, out


@pytest.fixture(scope="module")
def found(made):
    systems, data, out = made
    return room.run_verification(systems, data, out / "verification", most=None)


def test_speakers_of_the_test_side_are_not_named(made):
    systems, _, _ = made
    assert (
        "speaker/prediction" not in systems["both"].predictions and "emotion/prediction" in systems["both"].predictions
    )
    text = (systems["both"].folder / "report.md").read_text()
    assert "speaker: not scored where the split keeps every speaker apart; `keras-ser verify`" in text
    assert "speakers on the sides of apart" in text and "| gender | female |" in text
    alone = (systems["speaker"].folder / "report.md").read_text()
    assert "Nothing was scored" in alone and "not scored where the split" in alone


def test_trials_are_the_cosines_of_the_embeddings(made, found):
    assert found.head[0].startswith("**Not trained to the end:** both: ")
    systems, data, _ = made
    run = Run.load(systems["both"].folder / "apart" / "fold-00-seed-0")
    infer = embedder(run.model(), "fc7_norm")
    vectors = {}
    for i, u in enumerate(data.corpus):
        if u.id in run.split.test:
            clip = next(iter(data.cache.dataset([i]).batch(1)))
            vectors[u.id] = np.asarray(infer({"waveform": clip["waveform"], "length": clip["length"]}))[0]
    ids = sorted(vectors)
    expected = pd.DataFrame(cosine_similarity([vectors[i] for i in ids]), ids, ids)
    rows = found.predictions[found.predictions["system"] == "both"]
    assert len(rows) == len(ids) * (len(ids) - 1) / 2
    for row in rows.itertuples():
        assert row.score == pytest.approx(expected.loc[row.a, row.b], abs=1e-5)
        assert row.same == (row.speaker_a == row.speaker_b)
    other = found.predictions[found.predictions["system"] == "speaker"]
    assert list(other["a"]) == list(rows["a"]) and not np.allclose(other["score"], rows["score"])


def test_enrolled_speakers_of_another_corpus(made, corpus, tmp_path):
    systems, data, _ = made
    run = Run.load(systems["both"].folder / "apart" / "fold-00-seed-0")
    others = dataclasses.replace(corpus, name="manifest", root=tmp_path / "elsewhere")
    # as if these were recordings of other people
    unheard = dataclasses.replace(
        data.cache, hashes={i: f"other {content}" for i, content in data.cache.hashes.items()}
    )
    found = room.run_enrolled({"both": [run]}, [(others, unheard)], tmp_path, utterances=2).predictions
    infer, vectors = embedder(run.model(), "fc7_norm"), {}
    for i, u in enumerate(corpus):
        clip = next(iter(data.cache.dataset([i]).batch(1)))
        x = np.asarray(infer({"waveform": clip["waveform"], "length": clip["length"]}))[0]
        vectors[u.id] = x / np.linalg.norm(x)
    speakers = {u.speaker for u in corpus}
    enrolled = {u.id for u in corpus} - set(found["b"])
    assert len(enrolled) == 2 * len(speakers) and len(found) == len(speakers) * (len(corpus) - len(enrolled))
    means = {
        s: np.sum([vectors[u.id] for u in corpus if u.id in enrolled and u.speaker == s], axis=0) for s in speakers
    }
    for row in found.itertuples():
        mean = means[row.speaker_a] / np.linalg.norm(means[row.speaker_a])
        assert row.score == pytest.approx(mean @ vectors[row.b], abs=1e-5)
        assert row.same == (row.speaker_a == row.speaker_b) and row.a == f"{row.speaker_a} (enrolled)"
    assert (tmp_path / "verification.md").exists()
    # of its own corpus, the speakers of the test set are left; beside those of another corpus
    tested = {u.speaker for u in corpus if u.id in run.split.test}
    own = room.run_enrolled({"both": [run]}, [(corpus, data.cache)], tmp_path / "own", utterances=2).predictions
    assert set(own["speaker_a"]) == set(own["speaker_b"]) == tested and len(tested) < len(speakers)
    # so are those of another corpus with the same recordings
    same = room.run_enrolled({"both": [run]}, [(others, data.cache)], tmp_path / "same", utterances=2).predictions
    assert set(same["speaker_a"]) == tested
    together = [(corpus, data.cache), (others, unheard)]
    made = room.run_enrolled({"both": [run]}, together, tmp_path / "together", utterances=2)
    expected = {f"demo/{name}" for name in tested} | {f"manifest/{name}" for name in speakers}
    assert set(made.predictions["speaker_a"]) == expected
    left_out = f"{len(speakers - tested)} of the {len(speakers)} speakers of demo"
    assert f"Left out, since a run was trained or validated on them: {left_out}." in made.notes
    # a speaker with as many clips as are enrolled is left out, and named
    lone, *_ = sorted(speakers)
    kept = {u.id for u in [u for u in corpus if u.speaker == lone][2:]}
    lacking = dataclasses.replace(unheard, dropped={**unheard.dropped, **dict.fromkeys(kept, "x")})
    made = room.run_enrolled({"both": [run]}, [(others, lacking)], tmp_path / "few", utterances=2)
    assert set(made.predictions["speaker_a"]) == set(made.predictions["speaker_b"]) == speakers - {lone}
    assert f"Left out, since they have 2 clips or fewer: 1 speaker, manifest/{lone}." in made.notes
    heard = dataclasses.replace(corpus, utterances=tuple(u for u in corpus if u.id in run.split.train))
    with pytest.raises(LeakageError, match="was trained on all speakers of demo. Verify others."):
        room.run_enrolled({"both": [run]}, [(heard, data.cache)], tmp_path, utterances=2)


def test_noise_curves_are_not_of_strangers(made, tmp_path):
    systems, data, _ = made
    run = Run.load(systems["speaker"].folder / "apart" / "fold-00-seed-0")
    with pytest.raises(
        ValueError, match="the test set's speakers were not trained on, so that 'speaker' cannot be scored"
    ):
        run_robustness([run], data, tmp_path, tmp_path)


def test_without_scaling_over_the_clip_it_is_that_of_the_training_side(made):
    _, data, out = made
    recipe = BOTH.for_corpus(data.corpus).override("frontend.normalize", False).replace(epochs=1)
    (split,) = APART.splits(data.corpus)
    run = fit(recipe, data, split, out / "unscaled")
    layer = run.model().get_layer("scorer").get_layer("vggvox").get_layer("normalization")
    assert np.asarray(layer.variance).std() > 0 and np.isfinite(run.history[0]["loss"])


def test_runs_that_are_not_finished_are_left_out_and_named(made):
    systems, data, out = made
    unfinished = dataclasses.replace(systems["both"], folder=out / "elsewhere", missing=("1 run failed.",))
    found = room.run_verification({**systems, "both": unfinished}, data, out / "part", most=None)
    assert set(found.predictions["system"]) == {"speaker"}
    first = (out / "part" / "verification.md").read_text().split("\n\n")[1].splitlines()
    assert first[:2] == ["- 1 run failed.", "- both: apart/fold-00-seed-0 is unfinished and excluded."]
    with pytest.raises(RunError, match="no run of both is finished"):
        room.run_verification({"both": unfinished}, data, out / "never")


def test_a_part_of_the_trials_is_the_same_for_every_seed_of_a_fold(monkeypatch, rng):
    """And another one for another fold."""
    x, corpus = rng.normal(size=(40, 3)), corpus_of(40, speaker=[f"s{i % 5}" for i in range(40)])
    monkeypatch.setattr(room, "embeddings", lambda run, data: (np.arange(40), x))

    def pairs(seed, fold):
        run = SimpleNamespace(seed=seed, split=SimpleNamespace(fold=fold))
        table = room.trial_scores(run, SimpleNamespace(corpus=corpus), 20, lambda step: None)
        return list(zip(table["a"], table["b"], strict=True))

    assert pairs(0, 0) == pairs(1, 0) != pairs(0, 1)
