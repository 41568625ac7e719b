"""`SpeechClassifier`: scikit-learn's own checks, cross-validation over groups, files and waveforms, networks and baselines."""

import pickle

import numpy as np
import pandas as pd
import pytest
import soundfile
from sklearn.base import clone
from sklearn.model_selection import GroupKFold, cross_validate
from sklearn.utils.estimator_checks import check_estimator

from keras_ser.audio import AudioError
from keras_ser.corpora.spelling import SpellingWarning
from keras_ser.errors import UserError
from keras_ser.sklearn import SpeechClassifier, _clips

WIDE = "integers of 64 bits are no waveform: their full scale is unknown"
LENGTHS = "a waveform may have any length: X has no fixed number of features"
NOT_APPLICABLE = {
    "check_n_features_in": LENGTHS,
    "check_n_features_in_after_fitting": LENGTHS,
    # the last of what it checks; the rest of it has passed by then
    "check_classifiers_train": LENGTHS,
    "check_classifier_data_not_an_array": WIDE,
    "check_estimators_dtypes": WIDE,
}
SMALL = {
    "config.filters": (2, 2),
    "config.kernels": (3, 3),
    "config.pools": ((4, 4), (2, 2)),
    "config.stem": 1,
    "frontend.bins": 16,
}


@pytest.fixture(scope="module")
def tones():
    """Low and high tones of six speakers, of different lengths: waveforms, labels, speakers."""
    rng = np.random.default_rng(1)
    labels = np.array(["low", "high"] * 12)
    speakers = np.repeat([f"s{i}" for i in range(6)], 4)
    waveforms = []
    for label in labels:
        t = np.arange(rng.integers(4000, 9000)) / 16000
        pitch = {"low": 200, "high": 2500}[label] * rng.uniform(0.9, 1.1)
        waveforms.append((0.3 * np.sin(2 * np.pi * pitch * t) + 0.01 * rng.normal(size=len(t))).astype("float32"))
    return waveforms, labels, speakers


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")  # scikit-learn's own
def test_scikit_learns_checks_pass_as_far_as_they_apply():
    pytest.importorskip("sklearn", minversion="1.6", reason="expected_failed_checks")
    found = check_estimator(
        SpeechClassifier("svm", random_state=0), expected_failed_checks=NOT_APPLICABLE, on_fail="raise", on_skip=None
    )
    failed = {each["check_name"] for each in found if each["status"] == "xfail"}
    assert failed == set(NOT_APPLICABLE) and sum(each["status"] == "passed" for each in found) >= 40


def test_params_are_cloned_and_set():
    made = SpeechClassifier("svm", settings={"frontend.bins": 20}, random_state=3)
    assert clone(made).get_params() == made.get_params() and not hasattr(clone(made), "classes_")
    assert made.set_params(epochs=2).epochs == 2
    recipe = made._recipe(3)
    assert recipe.frontend.bins == 20 and recipe.tasks[0].size == 3 and recipe.model == "svm"
    assert SpeechClassifier()._recipe(2).config.encoder == "conv"


@pytest.mark.parametrize(
    ("X", "y", "words"),
    [
        ("clip.wav", ["a"], "put it into a list"),
        ([np.ones(5), np.ones((2, 5))], [0, 1], r"clip 1: expected a waveform .* Received: shape \(2, 5\)"),
        (np.ones((1001, 2)), [0, 1], "looks like .samples, channels.: take the mean"),
        ([np.ones(5), None], [0, 1], "clip 1: expected a file or a waveform .samples,.. Received: None"),
        (["a.wav", "."], [0, 1], "expected a file for each label. Received: the folder"),
        ({"array": np.ones(5), "sampling_rate": 8000}, [0], "put it into a list"),
        ([np.ones(5), np.ones(6)], ["a", None], "`y` must have a value for each clip. Received: none for clip 1"),
        ([np.ones(5), np.ones(6)], ["a", np.nan], "`y` must have a value for each clip. Received: none for clip 1"),
        (
            pd.DataFrame({"file": ["a", "b"], "sex": ["f", "m"]}),
            [0, 1],
            "a table of one column, of files. Received: 2 columns",
        ),
        ([np.ones(5), np.ones(6)], [0, 1, 1], "inconsistent numbers of samples"),
        ([np.ones(5), np.ones(6)], [0, 0], "at least 2 classes. Received: 1 class"),
        ([np.ones(5), np.ones(6)], None, "requires y to be passed"),
        ([np.ones(500), np.full(6, np.nan)], [0, 1], "clip 1: 6 of 6 samples are NaN"),
        (["nowhere.wav", "no.wav"], [0, 1], r"nowhere\.wav|no\.wav"),
        ([], [], "expected at least one clip"),
        ([[12, -30000, 7], [0, 1]], [0, 1], "clip 0: expected floats .* Received: integers of 64 bits"),
    ],
)
def test_what_cannot_be_fitted_is_a_value_error(X, y, words):  # noqa: N803
    with pytest.raises(ValueError, match=words) as caught:
        SpeechClassifier("svm").fit(X, y)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"config.CC": 1.0}, r"^config\.CC: Config has no 'CC'\. Did you mean C\?"),
        ({"config.kernel": 1}, r"^config\.kernel: expected str"),
        (
            {"config.C": (1.0, 10.0)},
            "^expected one value of config.C in `settings`, or set `validation_fraction`. Received: 2",
        ),
    ],
)
def test_wrong_settings_are_named_as_they_were_given(settings, words, tmp_path):
    with pytest.raises(UserError, match=words):
        SpeechClassifier("svm", settings=settings).fit([np.ones(5), np.ones(6)], [0, 1])


def test_files_that_cannot_be_read_can_only_be_left_out(tmp_path):
    (tmp_path / "bad.wav").write_bytes(b"RIFF")
    for name, reason in (("gone.wav", "no such file"), ("bad.wav", "corrupt|cut short|not audio")):
        with pytest.raises(
            AudioError, match=f"{name}: .*({reason}).* Repair them, or leave them and their labels out.$"
        ):
            SpeechClassifier("svm").fit([tmp_path / name, np.ones(900)], [0, 1])


def test_a_table_of_one_column_may_hold_strings_of_numpy(monkeypatch, tmp_path):
    assert _clips(np.array([["a.wav"], ["b.wav"]])) == ["a.wav", "b.wav"]
    assert _clips(pd.DataFrame({"file": ["a.wav", "b.wav"]})) == ["a.wav", "b.wav"]
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(UserError, match="Received: the folder '~/'"):
        _clips(["~/"])


@pytest.mark.parametrize("rate", [float("inf"), float("nan"), 0, 5, 10**9, "16000", True])
def test_a_sampling_rate_that_no_audio_has_is_refused(rate):
    with pytest.raises(UserError, match="`sampling_rate` must be a whole number of Hz, 1000 to 1000000"):
        SpeechClassifier("svm", sampling_rate=rate).fit([np.ones(5), np.ones(6)], [0, 1])


def test_mappings_are_resampled_once_from_their_own_rate(rng):
    """In training as in prediction: a tone of 12 kHz tells the classes apart, and waveforms at `sampling_rate` have none."""
    labels, t = np.arange(12) % 2, np.arange(24000) / 48000
    clips = [
        {"array": 0.05 * rng.normal(size=len(t)) + 0.2 * label * np.sin(2 * np.pi * 12000 * t), "sampling_rate": 48000}
        for label in labels
    ]
    made = SpeechClassifier("svm", sampling_rate=8000, settings={"frontend.sample_rate": 32000, "frontend.fft": 1024})
    assert made.fit(clips[:8], labels[:8]).predict(clips[8:]).tolist() == labels[8:].tolist()


def test_groups_without_a_value_are_refused():
    with pytest.raises(UserError, match="`groups` must have a value for each clip. Received: none for clip 0"):
        SpeechClassifier("svm").fit([np.ones(5), np.ones(6)], [0, 1], [pd.NA, "anna"])


@pytest.mark.parametrize(
    ("y", "groups", "words"),
    [
        (["Sad", "sad"], None, "values of `y` that differ in spelling alone .*: 'Sad' = 'sad' up to case"),
        ([0, 1], ["S1", "s1"], "values of `groups` that differ in spelling alone .*: 'S1' = 's1' up to case"),
    ],
)
def test_spellings_of_one_label_or_group_are_warned_of(y, groups, words):
    with pytest.warns(SpellingWarning, match=words), pytest.raises(AudioError):
        SpeechClassifier("svm").fit(["nowhere.wav", "no.wav"], y, groups)


def test_validation_side_holds_whole_groups():
    made, rng = SpeechClassifier(validation_fraction=0.3), np.random.RandomState(0)
    groups = np.repeat(list("abcdefghij"), 5)
    chosen = made._validation(np.arange(50) % 2, groups, rng)
    assert set(groups[chosen]).isdisjoint(groups[~chosen]) and chosen.sum() == 15
    stratified = made._validation(np.arange(50) % 2, None, rng)
    assert stratified.sum() == 15 and abs((np.arange(50) % 2)[stratified].sum() - 7.5) < 1
    assert not SpeechClassifier()._validation(np.arange(9) % 2, None, rng).any()


def test_validation_side_leaves_each_class_a_clip_to_train_on():
    made, codes, groups = SpeechClassifier(validation_fraction=0.5), np.array([0, 1, 0, 1, 0, 1, 2]), list("aabbccc")
    for seed in range(20):
        assert set(codes[~made._validation(codes, groups, np.random.RandomState(seed))]) == {0, 1, 2}
    with pytest.raises(UserError, match="contained all clips of a class"):
        made._validation(np.array([0, 1]), ["a", "b"], np.random.RandomState(0))


@pytest.mark.slow
def test_cross_validation_over_groups_of_files(tones, tmp_path):
    waveforms, labels, speakers = tones
    files = [tmp_path / f"{i:02d}.wav" for i in range(len(waveforms))]
    for file, waveform in zip(files, waveforms, strict=True):
        soundfile.write(file, waveform, 16000, "FLOAT")
    found = cross_validate(
        SpeechClassifier("svm"),
        files,
        labels,
        groups=speakers,
        cv=GroupKFold(3),
        return_estimator=True,
        return_indices=True,
    )
    assert found["test_score"].tolist() == [1, 1, 1]
    train, test = (found["indices"][side][0] for side in ("train", "test"))
    assert set(speakers[train]).isdisjoint(speakers[test])
    # the same clips as waveforms of another rate, in an object array
    halved = np.empty(len(train), object)
    halved[:] = [waveforms[i] for i in train]
    again = SpeechClassifier("svm").fit(halved, labels[train])
    expected = found["estimator"][0].predict_proba([files[i] for i in test])
    np.testing.assert_allclose(again.predict_proba([waveforms[i] for i in test]), expected, atol=1e-6)
    assert again.classes_.tolist() == ["high", "low"]
    own = {"array": waveforms[test[0]], "sampling_rate": 16000}  # as Hugging Face's datasets hold audio
    long = np.tile(waveforms[test[0]], 62 * 16000 // len(waveforms[test[0]]))  # fit has no limit of length either
    found = again.predict([own, long])
    assert found.tolist() == [labels[test[0]]] * 2
    with pytest.raises(UserError, match="expected at least one clip"):
        again.predict([])
    assert again.score([waveforms[i] for i in test], labels[test]) == 1


@pytest.mark.slow
def test_network_learns_the_same_from_the_same_random_state(tones):
    waveforms, labels, speakers = tones
    numbers = np.where(labels == "low", 7, -1)
    made = SpeechClassifier(epochs=2, settings=SMALL, random_state=5, validation_fraction=0.3)
    first, second = (clone(made).fit(waveforms, numbers, speakers) for _ in range(2))
    probabilities = first.predict_proba(waveforms)
    np.testing.assert_allclose(second.predict_proba(waveforms), probabilities, atol=1e-5)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert first.classes_.tolist() == [-1, 7] and set(first.predict(waveforms)) <= {-1, 7}
    stored = pickle.loads(pickle.dumps(first))
    np.testing.assert_array_equal(stored.predict_proba(waveforms[:2]), first.predict_proba(waveforms[:2]))
