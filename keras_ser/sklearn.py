"""`SpeechClassifier`: a network or a baseline of this package as a scikit-learn classifier over audio files or waveforms.

from sklearn.model_selection import GroupKFold, cross_validate
from keras_ser.sklearn import SpeechClassifier

cross_validate(SpeechClassifier(), files, emotions, groups=speakers, cv=GroupKFold(5), scoring="balanced_accuracy")
"""

import dataclasses
import math
import numbers
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import GroupShuffleSplit, StratifiedShuffleSplit
from sklearn.utils import check_array, check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from keras_ser.audio import AudioError, from_array
from keras_ser.audio.arrays import whole_rate
from keras_ser.corpora import Corpus, CorpusError, Utterance
from keras_ser.corpora.spelling import warn_of_spellings
from keras_ser.errors import UserError
from keras_ser.files import user_path
from keras_ser.models import is_baseline, model_module
from keras_ser.recipe import Recipe
from keras_ser.serving.inputs import check_no_channels, samples_of
from keras_ser.splits import Protocol, Split
from keras_ser.tasks import Task

if TYPE_CHECKING:
    from keras_ser.serving import Predictor

# the best single-task settings in cross-validation over speakers (`conv-single` of recipes/aspmtl.py)
CONVOLUTIONS = {
    "config.encoder": "conv",
    "config.adversary": None,
    "config.layers": 0,
    "config.dropout": 0.2,
    "config.dense": 0,
    "config.label_smoothing": 0.1,
    "config.stride": 2,
    "config.pool_first": True,
    "config.stem": 3,
    "frontend.features": ("log_mel",),
    "frontend.bins": 64,
    "frontend.endpoint": False,
    "sampling.kind": "crop",
    "sampling.frames": 200,
    "sampling.class_weights": True,
    "augment.tempo": 0.2,
    "augment.mel_warp_scale": 0.06,
    "augment.mel_warp_shift": 4.0,
    "optimizer.name": "adamw",
    "optimizer.learning_rate": 1.5e-3,
    "optimizer.weight_decay": 0.01,
    "optimizer.clip_norm": 5.0,
    "optimizer.schedule": "cosine",
    "optimizer.warmup_epochs": 1.0,
}
WHOLE = {"sampling.kind": "whole", "frontend.features": ("log_mel",), "frontend.endpoint": False}
DEFAULTS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {"aspmtl": CONVOLUTIONS, "svm": {"config.C": (1.0,), **WHOLE}, "random_forest": {"config.leaf": (1,), **WHOLE}}
)
TASK = "label"


class SpeechClassifier(ClassifierMixin, BaseEstimator):
    """Speech classifier that takes audio files or waveforms.

    After `fit`, `classes_` holds the sorted labels, (classes,), and `n_epochs_` is the number of the epoch that was kept.

    Args:
        model: name or import path of a model (`keras_ser.models`). "aspmtl" is a single-task convolutional network, "svm" a
            support vector machine on statistics of spectral features, which takes seconds to fit.
        sampling_rate: sampling rate of waveforms in Hz. Files and mappings have their own.
        epochs: number of training epochs (networks only).
        batch_size: number of clips in a batch (networks only).
        settings: further settings in the form of `Recipe.change`, e.g. {"optimizer.learning_rate": 1e-3, "frontend.bins": 40}.
        validation_fraction: share of the groups passed to `fit`, or of the clips without groups, used to select the epoch (or the
            setting of a baseline). If 0, train on all clips and keep the last epoch.
        random_state: int, `numpy.random.RandomState` or None; seeds the initial weights, clip order, crops and augmentation.
        verbose: if 1, print a line for each epoch.

    Example:
        >>> clf = SpeechClassifier(epochs=20, random_state=0)
        >>> clf.fit(["anna_1.wav", "ben_1.wav"], ["anger", "calm"]).predict(["carl.wav"])  # doctest: +SKIP
        array(['calm'], dtype='<U5')
        >>> clf.get_params()["epochs"]
        20
    """

    def __init__(
        self,
        model: str = "aspmtl",
        *,
        sampling_rate: int = 16000,
        epochs: int = 30,
        batch_size: int = 16,
        settings: Mapping[str, Any] | None = None,
        validation_fraction: float = 0.0,
        random_state: Any = None,
        verbose: int = 0,
    ):
        self.model = model
        self.sampling_rate = sampling_rate
        self.epochs = epochs
        self.batch_size = batch_size
        self.settings = settings
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any, groups: Any = None) -> "SpeechClassifier":  # noqa: N803
        """Train on clips.

        Args:
            X: paths of audio files, waveforms (samples,) of any lengths, or mappings with "array" and "sampling_rate", as a list,
                an object array, a Series or a table of one column; or waveforms of one length, (clips, samples).
            y: labels, (clips,).
            groups: group of each clip, e.g. its speaker, (clips,). No group is in both training and validation. Unused without
                `validation_fraction`.

        Raises:
            ValueError: clips and labels differ in number, labels are missing, or there are fewer than two classes.
            AudioError: a file cannot be read, or a waveform is not usable audio.
        """
        from keras_ser.pipelines.record_writer import CONTINUE
        from keras_ser.training import Data, fit

        clips = _clips(X)
        if y is None:
            raise UserError("This SpeechClassifier requires y to be passed, but the target y is None.")
        check_consistent_length(clips, y, groups)
        _check_known(y, "y")
        _check_known(() if groups is None else groups, "groups")
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        classes, codes = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise UserError(f"the classifier needs clips of at least 2 classes. Received: {len(classes)} class.")
        rng = check_random_state(self.random_state)
        recipe = self._recipe(len(classes))
        with tempfile.TemporaryDirectory(prefix="keras_ser-") as name:
            folder = Path(name)
            corpus = _corpus(clips, codes, whole_rate(self.sampling_rate), folder)
            chosen = self._validation(codes, groups, rng)
            ids = [u.id for u in corpus]
            sides = [tuple(np.array(ids)[side].tolist()) for side in (~chosen, chosen)]
            # copies of a clip may fall on both sides: there is no test set
            split = Split("final", 0, *sides, (), together=False, final=True)
            try:
                data = Data.load(recipe, corpus, folder / "cache", progress=False)
            except CorpusError as error:
                raise AudioError(
                    str(error).replace(CONTINUE, "Repair them, or leave them and their labels out.")
                ) from error
            run = fit(recipe, data, split, folder / "run", int(rng.randint(2**31)), on_epoch=self._report)
            self._files = {path.name: path.read_bytes() for path in run.folder.iterdir() if path.suffix in SUFFIXES}
            self.n_epochs_ = run.about["best_epoch"]
        self.classes_ = classes
        self._predictor = self._load()
        return self

    def predict_proba(self, X: Any) -> np.ndarray:  # noqa: N803
        """Return class probabilities, (clips, classes), in the order of `classes_`; X is as in `fit`."""
        check_is_fitted(self)
        if self._predictor is None:
            self._predictor = self._load()
        answers = self._predictor.predict(_clips(X), self.sampling_rate, verbose=False)
        return np.array([list(answer[TASK]["probabilities"].values()) for answer in answers])

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """Return the most probable class of each clip, (clips,); X is as in `fit`."""
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(axis=1)]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.classifier_tags.poor_score = True  # on data that are not audio
        return tags

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "_predictor" in state:
            state["_predictor"] = None
        return state

    def _recipe(self, classes: int) -> Recipe:
        task = Task(TASK, tuple(f"c{number}" for number in range(classes)))
        given = {"epochs": self.epochs, "batch_size": self.batch_size, "patience": 0}
        if self.validation_fraction:
            given["monitor"] = f"val_{TASK}_uar"
        recipe = Recipe("speech_classifier", "clips", task, Protocol("final"), model=self.model, seeds=0)
        recipe = recipe.change({**DEFAULTS.get(self.model, {}), **given, **(self.settings or {})})
        several = model_module(self.model).candidates(recipe.config) if is_baseline(recipe) else ()
        if len(several) > 1 and not self.validation_fraction:
            what = f"config.{next(iter(several[0]))} in `settings`, or set `validation_fraction`"
            raise UserError(f"expected one value of {what}. Received: {len(several)} values.")
        return recipe

    def _validation(self, codes: np.ndarray, groups: Any, rng: np.random.RandomState) -> np.ndarray:
        """Return a mask (clips,), True for validation clips; every class keeps at least one training clip."""
        chosen = np.zeros(len(codes), bool)
        if not 0 <= self.validation_fraction < 1:
            raise UserError(f"`validation_fraction` must be in [0, 1). Received: {self.validation_fraction}.")
        if self.validation_fraction:
            kind = StratifiedShuffleSplit if groups is None else GroupShuffleSplit
            splitter = kind(DRAWS, test_size=self.validation_fraction, random_state=rng)
            sides = splitter.split(codes, codes, groups)
            side = next((side for train, side in sides if len(set(codes[train])) == len(set(codes))), None)
            if side is None:
                raise UserError(
                    f"each of {DRAWS} random validation sets contained all clips of a class. Received: `validation_fraction` "
                    f"{self.validation_fraction}; choose a smaller fraction, or smaller groups."
                )
            chosen[side] = True
        return chosen

    def _report(self, stage: str, epoch: int, epochs: int, logs: Mapping[str, float]) -> None:
        if self.verbose:
            scores = ", ".join(f"{name} {value:.3f}" for name, value in logs.items() if isinstance(value, float))
            print(f"epoch {epoch}/{epochs}: {scores}")

    def _load(self) -> "Predictor":
        from keras_ser.serving import Predictor

        with tempfile.TemporaryDirectory(prefix="keras_ser-") as folder:
            for name, contents in self._files.items():
                (Path(folder) / name).write_bytes(contents)
            return dataclasses.replace(Predictor.load(folder), max_seconds=math.inf)


DRAWS = 100
SUFFIXES = (".keras", ".skops", ".json")


def _check_known(values: Any, name: str) -> None:
    """Raise UserError for missing values among labels or groups; warn of those that differ in spelling alone."""
    values = np.ravel(np.asarray(values, object))  # NumPy would make text of a NaN among strings
    if len(missing := np.flatnonzero(pd.isna(values))):
        raise UserError(f"`{name}` must have a value for each clip. Received: none for clip {missing[0]}.")
    warn_of_spellings(f"values of `{name}`", values)


def _clips(X: Any) -> list[Any]:  # noqa: N803
    """Return a list of files, waveforms and mappings; a 2-D array of numbers is waveforms of one length."""
    if isinstance(X, str | os.PathLike | Mapping):
        raise UserError(f"expected a sequence of files or waveforms. Received: {X!r}; put it into a list.")
    if len(getattr(X, "shape", ())) == 2 and np.asarray(X).dtype.kind in "OUT":
        if X.shape[1] > 1 and hasattr(X, "columns"):
            raise UserError(f"expected a table of one column, of files. Received: {X.shape[1]} columns.")
        X = np.asarray(X)[:, 0] if X.shape[1] == 1 else X  # noqa: N806 - a table of one column, as pipelines give it
    found = list(X) if isinstance(X, Iterable) and len(getattr(X, "shape", (0,))) == 1 else None
    if found == []:
        raise UserError("expected at least one clip. Received: none.")
    if found is None or all(isinstance(item, numbers.Number) for item in found):
        # a numeric array, or an invalid input for which scikit-learn raises its own error
        x = check_array(X, estimator="SpeechClassifier")
        check_no_channels(x.shape, most=1000)
        found = list(x)
    for number, item in enumerate(found):
        if not isinstance(item, str | os.PathLike):
            samples_of(item, 1, f"clip {number}")
        elif item == "" or os.path.isdir(os.path.expanduser(item)):
            raise UserError(f"expected a file for each label. Received: the folder {str(item)!r}; list its files.")
    return found


def _corpus(clips: Sequence[Any], codes: np.ndarray, rate: int, folder: Path) -> Corpus:
    """Return the clips as a corpus; waveforms are written at their rate as 32-bit float files to `folder`."""
    import soundfile

    paths = []
    for number, item in enumerate(clips):
        if isinstance(item, str | os.PathLike):
            paths.append(user_path(item).absolute())
            continue
        samples, own = samples_of(item, rate, name := f"clip {number}")
        paths.append(folder / f"{number}.wav")
        own = whole_rate(own)
        soundfile.write(paths[-1], from_array(samples, own, own, name)[0], own, "FLOAT")
    anchors = {path.anchor for path in paths}
    if len(anchors) > 1:
        raise UserError(f"the files must be on one drive. Received: {', '.join(sorted(anchors))}.")
    root, width = Path(anchors.pop()), len(str(len(clips) - 1))
    utterances = tuple(
        Utterance(f"{number:0{width}d}", path.relative_to(root).as_posix(), labels={TASK: f"c{code}"})
        for number, (path, code) in enumerate(zip(paths, codes, strict=True))
    )
    return Corpus("clips", root, utterances, {})
