import dataclasses

import numpy as np
import pytest
import soundfile

from keras_ser.audio.noise import colour
from keras_ser.corpora import Corpus, CorpusError, Utterance
from keras_ser.experiment.planning import check_jobs
from keras_ser.experiment.preparing import check_corpus_labels
from keras_ser.models.aspmtl import Config
from keras_ser.pipelines.balance import RULES
from keras_ser.pipelines.sources import Source
from keras_ser.recipe import FrontendConfig, Recipe, Sampling, Stream
from keras_ser.splits import LeakageError, Protocol, Split
from keras_ser.tasks import Task
from keras_ser.training import data as room
from keras_ser.training.data import Data, labelled_clips, shuffled
from tests.splits.small_corpora import corpus_of

RATE = 8000
EMOTION = Task("emotion", ("anger", "joy", "fear"))
GENDER = Task("gender", ("female", "male"))
NOISE = Task("noise", ("white", "babble", "clean"))
LABELS = ["anger"] * 6 + ["joy"] * 3 + ["fear"] * 1  # of ten clips of a speaker
RECIPE = Recipe(
    "r",
    "made",
    (EMOTION, GENDER, NOISE),
    (Protocol("p"),),
    config=Config(adversary=None),
    frontend=FrontendConfig(("energy", "zero_crossing_rate"), sample_rate=RATE, window=200, hop=80, fft=256),
    streams=(Stream("clean"), Stream("noisy", noises=("babble", "white"), snr=(0.0, 10.0), share=0.5)),
    sampling=Sampling("segments", frames=9, hop=9, rare_hop=4),
)


def write(root, seed=0, seeds=None):
    """40 clips of four speakers; `seeds`: other audio for some of them."""
    root.mkdir()
    utterances = []
    for i in range(40):
        rng = np.random.default_rng([(seeds or {}).get(i, seed), i])
        samples = rng.normal(size=int(rng.integers(900, 2400))) * rng.uniform(0.02, 0.2)
        soundfile.write(root / f"{i:02}.wav", samples, RATE, subtype="FLOAT")
        labels = {"emotion": LABELS[i % 10]} if i != 13 else {}
        gender = (None, "female", "male", "female")[i // 10]
        utterances.append(Utterance(f"c{i:02}", f"{i:02}.wav", speaker=f"s{i // 10}", gender=gender, labels=labels))
    return Corpus("made", root, tuple(utterances), {})


def load(folder, recipe=RECIPE, corpus=None, **more):
    return Data.load(recipe, corpus or write(folder / "audio"), folder / "cache", progress=False, **more)


def split_of(train, validation, test):
    return Split("p", 2, *(tuple(f"c{i:02}" for i in side) for side in (train, validation, test)), ("speaker",))


SPLIT = split_of(range(20), range(20, 30), range(30, 40))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return load(tmp_path_factory.mktemp("data"))


def test_each_side_reads_its_own_clips(data):
    sides = {side: data.source(RECIPE, 0, SPLIT, side, 0).indices.tolist() for side in ("train", "validation", "test")}
    assert sides == {"train": [*range(20)], "validation": [*range(20, 30)], "test": [*range(30, 40)]}
    assert data.cache.sample_rate == RATE


def test_labels_and_missing_ones(data):
    labels = data.source(RECIPE, 0, SPLIT, "test", 0).labels
    assert set(labels) == {"emotion", "gender"}  # the noise is the stream's to know
    for i, utterance in enumerate(data.corpus):
        for task in (EMOTION, GENDER):
            label = utterance.column(task.name)
            value, weight = labels[task.name][0][i], labels[task.name][1][i]
            assert weight == (label is not None)
            assert label is None or task.labels[value] == label
    assert not labels["gender"][1][:10].any()


def test_balance_comes_from_the_training_side(data):
    for side in ("train", "test"):
        rules = data.source(RECIPE, 0, SPLIT, side, 0).rules
        # 12 angry, 5 joyful (one of six has no label), 2 fearful: median 5
        by_label = {"anger": "frequent", "joy": "usual", "fear": "rare"}
        assert [RULES[k] for k in rules] == [by_label.get(u.labels.get("emotion"), "usual") for u in data.corpus]
    fearful = split_of([9, 19, 6, 0], [29], [39, 30])  # two fearful clips, one of each other
    rules = data.source(RECIPE, 0, fearful, "test", 0).rules
    assert {RULES[rules[i]] for i in (9, 19, 29, 39)} == {"frequent"} and {RULES[rules[i]] for i in (0, 6)} == {"usual"}


def test_streams_as_the_recipe_has_them(data):
    clean, noisy = (data.source(RECIPE, k, SPLIT, "train", 0) for k in range(2))
    assert (clean.name, clean.number, clean.share, clean.bank) == ("clean", 0, 1.0, ())
    assert (noisy.name, noisy.number, noisy.share, noisy.snr) == ("noisy", 1, 0.5, (0.0, 10.0))
    assert not noisy.redraw and data.source(RECIPE.override("streams.noisy.redraw", True), 1, SPLIT, "train", 0).redraw
    assert noisy.mixed == {"noise": (1, 0)} and clean.mixed == {"noise": (2,)}
    for task in (EMOTION, GENDER):
        np.testing.assert_array_equal(noisy.labels[task.name][0], clean.labels[task.name][0])
    without = RECIPE.replace(tasks=(EMOTION, GENDER))
    assert all(data.source(without, k, SPLIT, "train", 0).mixed == {} for k in range(2))


def test_noises_of_each_side_and_seed_are_their_own(data):
    banks = [data.source(RECIPE, 1, SPLIT, side, 3).bank for side in ("train", "validation", "test")]
    banks.append(data.source(RECIPE, 1, SPLIT, "train", 4).bank)
    for i, bank in enumerate(banks):
        assert [len(wave) for wave in bank] == [30 * RATE] * 2
        for other in banks[:i]:
            assert all(np.abs(a - b).max() > 0.1 for a, b in zip(bank, other, strict=True))
    again = data.source(RECIPE, 1, SPLIT, "train", 3).bank
    assert all(np.array_equal(a, b) for a, b in zip(banks[0], again, strict=True))


def test_babble_is_made_of_the_beginnings_of_long_clips(data, monkeypatch):
    whole = data.speech(SPLIT.train)
    monkeypatch.setattr(room, "BABBLE_SECONDS", 0.2)
    for a, b in zip(whole, data.speech(SPLIT.train), strict=True):
        np.testing.assert_array_equal(a[:1600], b)
    assert min(map(len, whole)) < 1600 < max(map(len, whole))


def test_babble_is_of_clips_from_everywhere(data, monkeypatch):
    """Of n clips that are just fewer than twice as many as babble is made of, half would be the first speakers alone."""
    monkeypatch.setattr(room, "BABBLE_CLIPS", 16)
    train = [u.id for u in data.corpus][:31]
    found, every = data.speech(train), [data.cache.dataset(np.array([i])) for i in range(31)]
    starts = [next(iter(each.as_numpy_iterator()))["waveform"] for each in every]
    numbers = [next(i for i, clip in enumerate(starts) if np.array_equal(clip[: len(wave)], wave)) for wave in found]
    assert len(found) == 16 and numbers[0] == 0 and numbers[-1] == 30 and max(np.diff(numbers)) == 2


def test_babble_of_other_corpora_where_they_alone_train(data, tmp_path):
    other = Stream("other", corpus="manifest", teaches=True, noises=("babble",), snr=(0.0,))
    recipe = RECIPE.replace(tasks=(EMOTION,), streams=(Stream("own"), other))
    recipe, both = beside(data, tmp_path, recipe, emotion=("anger", "joy", "fear", "joy"))
    foreign = Split("cross", 0, (), SPLIT.validation, SPLIT.test, foreign=True)
    (wave,) = both.source(recipe, 1, foreign, "train", 0).bank
    assert np.abs(wave).max() > 0


def test_noises_that_the_task_does_not_know(data):
    with pytest.raises(ValueError, match="noise must be one of white, babble, clean. Received: 'pink'"):
        data.source(RECIPE.override("streams.noisy.noises", "pink"), 1, SPLIT, "train", 0)
    ignoring = RECIPE.override("streams.noisy.noises", "pink").override("tasks.noise.ignore", "pink")
    with pytest.raises(ValueError, match="the task 'noise' ignores 'pink', which the stream 'noisy' holds"):
        data.source(ignoring, 1, SPLIT, "train", 0)
    with pytest.raises(ValueError, match="the noise 'pub' is neither"):
        data.source(RECIPE.override("streams.noisy.noises", "pub"), 1, SPLIT, "train", 0)


def test_noise_files(data, tmp_path, rng):
    samples = rng.normal(size=5000) / 8
    soundfile.write(tmp_path / "pub1.wav", samples, RATE, subtype="FLOAT")
    recipe = RECIPE.override("streams.noisy.noises", "pub").override("tasks.noise.labels", "clean,pub")
    with_files = Data(data.corpus, data.cache, {}, tmp_path)
    source = with_files.source(recipe, 1, SPLIT, "test", 0)
    np.testing.assert_allclose(source.bank[0], samples[4000:], atol=1e-6)
    assert source.mixed == {"noise": (1,)}


def test_nothing_of_validation_and_test_reaches_training(data, tmp_path):
    """Other audio on those sides: the same training clips and noises, babble among them; `TrainingData` reads nothing else."""
    other = load(tmp_path, corpus=write(tmp_path / "audio", seeds=dict.fromkeys(range(20, 40), 77)))
    clean, noisy = [[d.source(RECIPE, k, SPLIT, "train", 0) for d in (data, other)] for k in range(2)]
    for a, b in zip(noisy[0].bank, noisy[1].bank, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in (clean, noisy):
        first, second = (list(s.cache.dataset(s.indices).as_numpy_iterator()) for s in (a, b))
        assert [x["index"] for x in first] == [*range(20)]
        assert all(np.array_equal(x["waveform"], y["waveform"]) for x, y in zip(first, second, strict=True))
    changed = load(tmp_path / "x", corpus=write(tmp_path / "audio2", seeds={3: 77}))
    bank = changed.source(RECIPE, 1, SPLIT, "train", 0).bank
    assert not np.array_equal(bank[0], noisy[0].bank[0])  # babble is made of training clips indeed


# auxiliary corpora


def auxiliary(folder, name="manifest", **columns):
    """Four clips of 750 samples; `columns`: one value a clip, of "speaker", "gender" or a label."""
    folder.mkdir()
    rng = np.random.default_rng(5)
    utterances = []
    for i in range(4):
        soundfile.write(folder / f"{i}.wav", rng.normal(size=1500) / 9, 16000, subtype="FLOAT")
        told = {column: values[i] for column, values in columns.items()}
        fields = {column: told.pop(column) for column in ("speaker", "gender") if column in told}
        labels = {column: value for column, value in told.items() if value is not None}
        utterances.append(Utterance(f"a{i}", f"{i}.wav", labels=labels, **fields))
    return Corpus(name, folder, tuple(utterances), {})


GENDERS = ("female", "male", "female", "male")
WITH_OTHER = RECIPE.replace(streams=(RECIPE.streams[0], Stream("other", corpus="manifest")))


def beside(data, folder, recipe=WITH_OTHER, **columns):
    """The recipe with its identities, and the corpora, of which the second is auxiliary."""
    other = auxiliary(folder / "aux", **columns)
    return recipe.for_corpus(data.corpus, other), load(folder, recipe, data.corpus, auxiliary={"manifest": other})


@pytest.mark.parametrize(("share", "speakers"), [(0.01, 1), (1 / 3, 1), (0.34, 2), (0.99, 3)])
def test_labels_of_a_share_of_the_training_speakers_are_known(data, share, speakers):
    """Whole speakers, every task of the main column, on the training set alone; and nothing else changes."""
    angry = Task("angry", ("yes", "no"), merge={"anger": "yes", "joy": "no", "fear": "no"}, column="emotion")
    recipe = RECIPE.replace(tasks=(EMOTION, angry, GENDER), labelled=share, streams=(Stream("clean"),))
    split = split_of(range(30), (), range(30, 40))
    whole, part = (data.source(r, 0, split, "train", 3) for r in (recipe.replace(labelled=1.0), recipe))
    assert part.indices.tolist() == whole.indices.tolist()
    np.testing.assert_array_equal(part.labels["gender"], whole.labels["gender"])
    heard = {i // 10 for i in range(30) if part.labels["emotion"][1][i]}
    assert len(heard) == speakers
    for task in ("emotion", "angry"):
        expected = [w * (i // 10 in heard) for i, w in enumerate(whole.labels[task][1])]
        assert part.labels[task][1].tolist() == expected
    # how many segments a clip gives does not tell a withheld label
    rules = data.source(recipe.replace(sampling=Sampling("segments", frames=30, hop=30)), 0, split, "train", 3).rules
    assert rules is not None and not rules[[i for i in range(30) if i // 10 not in heard]].any()
    alone = data.source(recipe.replace(unlabelled=False), 0, split, "train", 3)
    assert alone.indices.tolist() == [i for i in range(30) if i // 10 in heard]
    assert alone.rounds == 3 / speakers and whole.rounds == part.rounds == 1.0
    assert data.source(recipe, 0, split, "test", 3).labels["emotion"][1][30:].all()
    more = data.source(recipe.replace(labelled=min(1.0, share + 0.3)), 0, split, "train", 3).labels["emotion"][1]
    assert (more[:30] >= part.labels["emotion"][1][:30]).all(), "a larger share holds a smaller one"
    assert (
        len({tuple(data.source(recipe, 0, split, "train", s).labels["emotion"][1]) for s in range(9)}) > 1
        or speakers == 3
    )


def test_an_auxiliary_corpus_trains_as_a_whole(data, tmp_path):
    recipe, both = beside(data, tmp_path, gender=GENDERS)
    source = both.source(recipe, 1, SPLIT, "train", 0)
    assert source.indices.tolist() == [0, 1, 2, 3] and source.rules is None and source.number == 1
    assert not source.labels["emotion"][1].any()  # no emotion is known: weight 0
    values, weights = source.labels["gender"]
    assert values.tolist() == [0, 1, 0, 1] and weights.all()
    assert [len(clip["waveform"]) for clip in source.cache.dataset([0, 1]).as_numpy_iterator()] == [750, 750]
    assert both.source(recipe, 0, SPLIT, "train", 0).indices.tolist() == [*range(20)]
    with pytest.raises(
        ValueError, match="'other' reads the corpus 'manifest', which is not given .--corpus-root manifest="
    ):
        check_jobs(recipe, data)


SPEAKER = Task("speaker", identity=True)


@pytest.mark.parametrize("tasks", [(EMOTION, SPEAKER), (SPEAKER,), (SPEAKER, EMOTION)], ids=str)
def test_an_auxiliary_corpus_teaches_its_own_speakers(data, tmp_path, tasks):
    """Those of the same name are others, whatever else is learnt; nobody needs another label."""
    recipe, both = beside(data, tmp_path, WITH_OTHER.replace(tasks=tasks), speaker=("s1", "x", None, "made/s2"))
    (task,) = (task for task in recipe.tasks if task.name == "speaker")
    assert task.labels == ("made/s0", "made/s1", "made/s2", "made/s3", "manifest/s1", "manifest/x")
    main, other = (both.source(recipe, k, SPLIT, "train", 0).labels["speaker"] for k in range(2))
    assert [task.labels[value] for value in main[0]] == [f"made/{u.speaker}" for u in data.corpus] and main[1].all()
    assert [task.labels[value] for value in other[0][[0, 1, 3]]] == ["manifest/s1", "manifest/x", "made/s2"]
    assert other[1].tolist() == [1, 1, 0, 1]


def test_an_auxiliary_corpus_teaches_no_task_of_the_main_column(data, tmp_path):
    """Its emotions may be called otherwise; other columns' labels must be known."""
    angry = Task("angry", ("yes", "no"), merge={"anger": "yes", "joy": "no", "fear": "no"}, column="emotion")
    recipe = WITH_OTHER.replace(tasks=(EMOTION, angry, GENDER))
    recipe, both = beside(data, tmp_path, recipe, gender=GENDERS, emotion=("anger", "wrath", None, "joy"))
    labels = both.source(recipe, 1, SPLIT, "train", 0).labels
    assert not labels["emotion"][1].any() and not labels["angry"][1].any() and labels["gender"][1].all()
    assert both.source(recipe, 0, SPLIT, "train", 0).labels["angry"][1].any()
    check_corpus_labels(recipe, data.corpus, {"manifest": both.auxiliary["manifest"][0]})
    mood = Task("mood", ("good", "bad"))
    with pytest.raises(ValueError, match="manifest, a2: mood must be one of good, bad. Received: 'so-so'"):
        wrong = auxiliary(tmp_path / "wrong", mood=("good", "bad", "so-so", None))
        given = load(tmp_path, recipe, data.corpus, auxiliary={"manifest": wrong})
        given.source(WITH_OTHER.replace(tasks=(EMOTION, mood)), 1, SPLIT, "train", 0)


def test_an_auxiliary_corpus_that_teaches_teaches_the_main_task(data, tmp_path):
    teaching = dataclasses.replace(WITH_OTHER.streams[1], teaches=True)
    recipe = WITH_OTHER.replace(tasks=(EMOTION,), streams=(WITH_OTHER.streams[0], teaching))
    recipe, both = beside(data, tmp_path, recipe, emotion=("anger", "joy", None, "anger"))
    values, weights = both.source(recipe, 1, SPLIT, "train", 0).labels["emotion"]
    assert [EMOTION.labels[value] for value in values[[0, 1, 3]]] == ["anger", "joy", "anger"]
    assert weights.tolist() == [1, 1, 0, 1]
    with pytest.raises(CorpusError, match="emotion.*wrath"):
        check_corpus_labels(
            recipe, data.corpus, {"manifest": auxiliary(tmp_path / "b", emotion=("anger", "wrath", "joy", "joy"))}
        )


def test_speakers_that_a_stream_leaves_out_are_no_classes(data, tmp_path):
    one = dataclasses.replace(WITH_OTHER.streams[1], speakers=1)
    recipe = WITH_OTHER.replace(tasks=(EMOTION, SPEAKER), streams=(WITH_OTHER.streams[0], one))
    recipe, both = beside(data, tmp_path, recipe, speaker=("x", "y", "x", "z"))
    (added,) = (label for label in recipe.tasks[1].labels if label.startswith("manifest/"))
    heard = both.source(recipe, 1, SPLIT, "train", 0).indices
    named = {f"manifest/{both.auxiliary['manifest'][0].utterances[i].speaker}" for i in heard}
    assert named == {added}


def test_labels_are_checked_over_all_corpora_that_teach_them(data, tmp_path):
    """Speakers of the auxiliary corpus alone; a gender that neither corpus has."""
    nameless = dataclasses.replace(
        data.corpus, utterances=tuple(dataclasses.replace(u, speaker=None) for u in data.corpus)
    )
    other = auxiliary(tmp_path / "aux", speaker=("x", "y", "x", "y"))
    recipe = WITH_OTHER.replace(tasks=(EMOTION, SPEAKER)).for_corpus(nameless, other)
    assert recipe.tasks[1].labels == ("manifest/x", "manifest/y")
    check_corpus_labels(recipe, nameless, {"manifest": other})
    with pytest.raises(CorpusError, match="made has no 'speaker' for any clip"):
        check_corpus_labels(recipe, nameless, {})
    readers = auxiliary(tmp_path / "readers", gender=GENDERS)
    with pytest.raises(CorpusError, match="the auxiliary corpus manifest has no speaker for any clip"):
        check_corpus_labels(
            WITH_OTHER.replace(tasks=(EMOTION, SPEAKER)).for_corpus(data.corpus, readers),
            data.corpus,
            {"manifest": readers},
        )


def test_tested_speakers_may_not_stand_in_an_auxiliary_corpus(data, tmp_path):
    """Before anything is trained."""
    recipe = WITH_OTHER.replace(protocols=(Protocol("p", "leave-one-out", validation=1),))
    _, both = beside(data, tmp_path, recipe, gender=GENDERS, speaker=("x", "made/s3", "s2", None))
    with pytest.raises(
        LeakageError, match="fold 2: speaker must be .* auxiliary corpus manifest holds .*: made/s3. Take"
    ):
        check_jobs(recipe, both, folds=[2])
    check_jobs(recipe, both, folds=[0])


# clips that can't be read


def test_unreadable_clips_are_on_no_side(tmp_path):
    corpus = write(tmp_path / "audio")
    for i in (2, 25, *range(30, 40)):
        (corpus.root / f"{i:02}.wav").write_bytes(b"RIFF")
    with pytest.raises(CorpusError, match="12 of 40 files can't be used"):
        load(tmp_path, corpus=corpus)
    found = load(tmp_path, corpus=corpus, bad="drop")
    assert found.source(RECIPE, 0, SPLIT, "train", 0).indices.tolist() == [i for i in range(20) if i != 2]
    assert len(found.source(RECIPE, 1, SPLIT, "train", 0).bank) == 2
    assert len(found.source(RECIPE, 0, SPLIT, "validation", 0).indices) == 9
    with pytest.raises(CorpusError, match="made has no readable clip in the test set of protocol 'p', fold 2"):
        found.source(RECIPE, 0, SPLIT, "test", 0)


def test_digest_sees_the_data_and_not_where_or_when_they_were_stored(tmp_path):
    def digest(corpus):
        return Data.load(RECIPE, corpus, tmp_path / "cache").digest

    corpus = write(tmp_path / "a")
    first, *others = corpus.utterances
    assert digest(write(tmp_path / "b")) == digest(corpus)  # written again: other times, another folder
    changes = (
        {"labels": {**first.labels, "emotion": "fear"}},
        {"gender": "male" if first.gender == "female" else "female"},
        {"speaker": "another"},
        {"groups": {"session": "9"}},
        {"end": 0.1},
    )
    changed = [(dataclasses.replace(first, **change), *others) for change in changes] + [tuple(others)]
    found = {digest(dataclasses.replace(corpus, utterances=utterances)) for utterances in changed}
    assert len(found | {digest(corpus)}) == len(changed) + 1
    assert Data(corpus, Data.load(RECIPE, corpus, tmp_path / "cache").cache).digest == digest(corpus)
    other = Data.load(RECIPE, corpus, tmp_path / "cache", {"b": corpus})
    assert other.digest != digest(corpus)


def test_digest_of_a_recipe_sees_the_noise_files_that_it_mixes_in(tmp_path):
    """By their samples; further files of the folder are nothing to it, and generated noises are no files."""

    def file(name, seed):
        soundfile.write(tmp_path / "noises" / name, 0.1 * colour("white", 9000, seed).clip(-3, 3), 16000)

    (tmp_path / "noises").mkdir()
    for name, seed in (("factory1.wav", 1), ("hum.wav", 2)):
        file(name, seed)
    noisy = RECIPE.replace(streams=(Stream("noisy", noises=("pink", "factory"), snr=(0.0, 5.0)),))
    cascade = RECIPE.replace(first=noisy.replace(name="first"), streams=(Stream("clean"),))
    clean = RECIPE.replace(streams=(Stream("clean"),))

    def found():
        data = Data.load(RECIPE, corpus, tmp_path / "cache", noise_root=tmp_path / "noises")
        return [data.digest_of(recipe) for recipe in (noisy, cascade, clean)] + [data.digest]

    corpus = write(tmp_path / "a")
    before = found()
    assert before[0] == before[1] != before[2] == before[3]
    file("cough.wav", 3)
    file("hum.wav", 4)
    assert found() == before
    file("factory2.wav", 5)
    more = found()
    file("factory1.wav", 6)
    assert len({before[0], more[0], found()[0]}) == 3 and more[2:] == before[2:]


@pytest.mark.parametrize("side", ["train", "validation"])
def test_shuffled_labels_are_a_permutation_within_the_side(data, side):
    """Labels with their weights, the same in every stream; nothing else moves."""
    recipe = RECIPE.replace(shuffle=("emotion", "gender", "noise"))
    own, sources = sorted(map(int, data.source(recipe, 0, SPLIT, side, 1).indices)), []
    for number, source in enumerate(data.sources(recipe, range(2), SPLIT, side, 1)):
        plain = data.source(recipe, number, SPLIT, side, 1)
        np.testing.assert_array_equal(source.indices, plain.indices)
        for task, column in plain.labels.items():
            pairs, before = np.stack(source.labels[task]), np.stack(column)
            outside = [i for i in range(len(data.corpus)) if i not in own]
            np.testing.assert_array_equal(pairs[:, outside], before[:, outside])
            assert sorted(pairs[:, own].T.tolist()) == sorted(before[:, own].T.tolist())
            np.testing.assert_array_equal(pairs, np.stack([*sources, source][0].labels[task]))
            assert task == "gender" or (pairs != before).any()
        # two thirds of the examples are clean, the others babble or white
        assert source.odds == {"noise": pytest.approx((1 / 6, 1 / 6, 2 / 3))}
        sources.append(source)


def test_shuffled_windows_of_a_clip_keep_one_label():
    """The control's labels go from clip to clip; of each window the same, and as many of each class of clips."""
    rng = np.random.default_rng(4)
    origins = np.sort(rng.integers(0, 12, 60))
    values = rng.integers(0, 3, 12)[origins]
    source = Source("s", 0, None, np.arange(60), {"emotion": (values, np.ones(60, "float32"))}, origins=origins)
    recipe = RECIPE.replace(shuffle=("emotion",))
    found, _ = shuffled(source, recipe, [source], seed=2).labels["emotion"]
    firsts = [np.flatnonzero(origins == k)[0] for k in np.unique(origins)]
    for k in np.unique(origins):
        assert len(set(found[origins == k])) == 1
    assert sorted(found[firsts]) == sorted(values[firsts]) and (found != values).any()


def test_seven_percent_of_a_hundred_speakers_are_seven():
    """0.07 x 100 is 7.000000000000001."""
    corpus = corpus_of(100, speaker=[f"s{i:02}" for i in range(100)])
    assert len(labelled_clips(corpus, {u.id for u in corpus}, 0.07, 0)) == 7


def test_labels_of_a_control_are_shuffled_by_the_seed():
    source = Source("s", 0, None, np.arange(60), {"emotion": (np.arange(60) % 3, np.ones(60, "float32"))})
    recipe = RECIPE.replace(shuffle=("emotion",))
    found = {tuple(shuffled(source, recipe, [source], seed=seed).labels["emotion"][0]) for seed in range(4)}
    assert len(found) == 4
