import dataclasses
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from keras_ser.audio.noise import snr
from keras_ser.corpora import Corpus, Utterance
from keras_ser.pipelines import sources
from keras_ser.pipelines.balance import RULES, rule_table
from keras_ser.pipelines.sources import Source, encode_labels, waveforms
from keras_ser.tasks import Task
from tests.pipelines.numbered_clips import EMOTION, TRAIN, Clips, source


def mixed(given, seed=0, epoch=0, batch_size=7):
    """clip -> (noisy samples, class of its noise)"""
    found = {}
    given = replace(given, redraw=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "BATCH_CLIPS", batch_size)
        batches = list(waveforms(given, given.draw(seed, epoch)).as_numpy_iterator())
    for x, extra in batches:
        for wave, length, index, kind in zip(x["waveform"], x["length"], extra["index"], extra["mixed"], strict=True):
            assert not wave[length:].any()
            found[int(index)] = wave[:length], given.mixed["noise"][kind]
    return found


def test_noise_is_mixed_at_the_ratios_asked_for(cache, noisy):
    """By eq. 23; each noise and each ratio occurs, and the label says which noise it is."""
    ratios, kinds = [], []
    for i, (wave, kind) in mixed(noisy).items():
        clean = cache.waves[i]
        ratio = snr(clean, wave)
        ratios.append(min(noisy.snr, key=lambda s: abs(s - ratio)))
        assert ratio == pytest.approx(ratios[-1], abs=0.01)
        kinds.append(kind)
        noise = wave - clean
        match = {}
        for label, wanted in zip(noisy.mixed["noise"], noisy.bank, strict=True):
            # the stretch of the noise, gone round, that fits best
            rolled = np.lib.stride_tricks.sliding_window_view(
                np.tile(wanted, 2 + len(noise) // len(wanted)), len(noise)
            )[: len(wanted)]
            match[label] = np.max(rolled @ noise / np.linalg.norm(rolled, axis=1)) / np.linalg.norm(noise)
        assert match[kind] > 0.9999
        assert len(noise) < 50 or max(value for label, value in match.items() if label != kind) < 0.9
    assert set(ratios) == set(noisy.snr) and set(kinds) == {0, 2, 5}


def test_a_clip_s_noise_does_not_depend_on_the_others(noisy):
    whole = mixed(noisy, 3, 2)
    for indices, batch_size in ((TRAIN, 32), (TRAIN[5:9], 3), (TRAIN[::3], 1)):
        part = mixed(
            source(noisy.cache, indices, 1, bank=noisy.bank, mixed=noisy.mixed, snr=noisy.snr),
            3,
            2,
            batch_size,
        )
        assert list(part) == indices
        for i, (wave, kind) in part.items():
            np.testing.assert_allclose(wave, whole[i][0], rtol=1e-5, atol=1e-6)
            assert kind == whole[i][1]


def test_noise_is_drawn_by_seed_epoch_and_stream(noisy):
    first = mixed(noisy)
    again = mixed(noisy)
    assert all(np.array_equal(first[i][0], again[i][0]) for i in first)
    other = Source(**{**vars(noisy), "number": 2})
    for found in (mixed(noisy, seed=1), mixed(noisy, epoch=1), mixed(other)):
        assert sum(np.allclose(first[i][0], found[i][0]) for i in first) < 3


def corpus_of(labels):
    return Corpus(
        "made", Path("."), tuple(Utterance(f"u{i:02}", f"{i}", labels=row) for i, row in enumerate(labels)), {}
    )


def test_labels_of_a_corpus():
    emotion = Task("emotion", ("anger", "joy"), merge={"excited": "joy"}, ignore=("other",))
    arousal = Task("arousal", low=-1, high=1, column="activation")
    corpus = corpus_of(
        [
            {"emotion": "joy", "activation": 0.25},
            {"emotion": "other", "activation": -1.0},
            {"activation": float("nan")},
            {"emotion": "excited"},
            {"emotion": "anger", "activation": 0},
        ]
    )
    found = encode_labels(corpus, (emotion, arousal))
    values, weights = found["emotion"]
    assert values.tolist() == [1, 0, 0, 1, 0] and weights.tolist() == [1, 0, 0, 1, 1] and values.dtype == np.int32
    values, weights = found["arousal"]
    assert values.tolist() == [0.25, -1, 0, 0, 0] and weights.tolist() == [1, 1, 0, 0, 1] and values.dtype == np.float32


def test_an_unknown_label_names_its_clip():
    with pytest.raises(ValueError, match="made, u01: emotion must be one of anger, joy, fear. Received: 'calm'"):
        encode_labels(corpus_of([{"emotion": "joy"}, {"emotion": "calm"}]), (EMOTION,))


def test_rules_come_from_the_training_side_alone(rng):
    labels = [*rng.choice(["anger", "joy", "fear"], 90, p=[0.6, 0.3, 0.1]), *["fear"] * 200, None]
    corpus = corpus_of([{"emotion": str(label)} if label else {} for label in labels])
    ids = [f"u{i:02}" for i in range(90)]
    counts = {label: labels[:90].count(label) for label in EMOTION.labels}
    median = sorted(counts.values())[1]
    expected = []
    for label in filter(None, labels):
        count = counts[str(label)]
        expected.append("frequent" if count > 1.25 * median else "rare" if count < 0.75 * median else "usual")
    table = rule_table(corpus, EMOTION, ids)
    by_id = {u.id: RULES[k] for u, k in zip(corpus, table, strict=True)}
    assert [by_id[f"u{i:02}"] for i in range(290)] == expected and set(expected) == set(RULES)
    assert by_id["u290"] == "usual"  # no label, no rule


def test_noises_are_no_constants_of_a_traced_graph(noisy, monkeypatch):
    """There they would be copied several times: 300 MB of noise took 6.7 GB."""
    eager, stack = [], sources.augment.stack_bank
    monkeypatch.setattr(
        sources.augment, "stack_bank", lambda noises: eager.append(tf.executing_eagerly()) or stack(noises)
    )
    draw = noisy.draw(0)
    traced = tf.data.Dataset.range(2).flat_map(lambda _: waveforms(noisy, draw))
    assert eager == [True]
    once = list(waveforms(noisy, draw).as_numpy_iterator())
    for (x, _), (y, _) in zip(traced.as_numpy_iterator(), once + once, strict=True):
        np.testing.assert_array_equal(x["waveform"], y["waveform"])


def test_streams_draw_apart_and_noises_by_epoch_only_if_they_are_drawn_anew():
    one, two = (source(Clips([4] * 5), range(5), number) for number in (0, 1))
    for what in ("noise", "vary", "stretch"):
        assert (getattr(one.draw(3), what) != getattr(two.draw(3), what)).any()
    anew = dataclasses.replace(one, redraw=True)
    assert (one.draw(3, 0).noise == one.draw(3, 1).noise).all()
    assert (anew.draw(3, 0).noise != anew.draw(3, 1).noise).any() and (one.draw(3, 0).vary != one.draw(3, 1).vary).any()
