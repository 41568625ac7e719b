"""One experiment as a frozen value: a `Recipe` is one choice from each room, equal after JSON, and its hash names the run.

Nothing here imports TensorFlow. Where the corpus lies on this machine is no part of a recipe: it is handed to `train`.
"""

import contextlib
import dataclasses
import hashlib
import importlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from keras_ser.errors import UserError
from keras_ser.pipelines.augmentation import SPECTRAL, Augment, Windows
from keras_ser.splits import Protocol
from keras_ser.tasks import Task
from keras_ser.values import as_tuple, as_tuples, instance, override, plain

DISCARDS = ("drop", "mask")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


@dataclass(frozen=True)
class FrontendConfig:
    """Arguments of `keras_ser.features.Frontend`; defaults: READING of the ASP-MTL paper (25 ms, 10 ms, 40 bands, 13 MFCC).

    With `seconds`, a longer clip is cut at random in training, another stretch each epoch, and its middle is judged.
    """

    features: tuple[str, ...] = ("mfcc", "zero_crossing_rate", "energy", "pitch")
    sample_rate: int = 16000
    window: int = 400
    hop: int = 160
    fft: int = 512
    bins: int = 40
    coefficients: int = 13
    deltas: int = 2
    preemphasis: float = 0.97
    endpoint: bool = True
    seconds: float = 0.0
    normalize: bool = False
    statistics: bool = False
    compatible: bool = False

    def __post_init__(self):
        object.__setattr__(self, "features", as_tuple(self.features))


@dataclass(frozen=True)
class Stream:
    """One source of training examples; a batch mixes the streams, and `task_id` is a stream's number.

    Args:
        name: as the adversary and the report call it.
        corpus: an auxiliary corpus by name; None = the recipe's own.
        noises: noises mixed in, one a clip: colours ("white", "pink", "brown", "blue", "violet"), "babble" (made of the
            training clips), or stems of files under the noise root ("factory" also takes "factory1").
        snr: signal-to-noise ratios in dB, one drawn for each clip.
        share: share of each batch.
        redraw: draw noise, stretch and SNR anew in each epoch; otherwise once a run, as a noisy copy of the corpus would be
            made, and the features are computed once.
    """

    name: str
    corpus: str | None = None
    noises: tuple[str, ...] = ()
    snr: tuple[float, ...] = (-10.0, -5.0, 5.0, 10.0)
    share: float = 1.0
    redraw: bool = False

    def __post_init__(self):
        object.__setattr__(self, "noises", as_tuple(self.noises))
        object.__setattr__(self, "snr", as_tuple(self.snr))
        if not 0 < self.share < float("inf"):
            raise UserError(f"`share` of stream {self.name!r} must be over 0. Received: {self.share}.")
        if self.noises and not self.snr:
            raise UserError(f"the stream {self.name!r} mixes noises in, and needs at least one `snr` in dB.")


@dataclass(frozen=True)
class Sampling:
    """What one training example is.

    Args:
        kind: "segments" (of `frames` frames, cut every `hop`; a whole clip is then judged by the mean over its segments),
            "crop" (`frames` frames at random, another stretch each epoch) or "whole" (a clip that a batch has no room for is cut
            to a random stretch in training; see `keras_ser.pipelines.streams.TrainingData`).
        frames, hop: in frames.
        balance: the ASP-MTL paper's data balance for "segments": frequent classes give only the first and the last
            segment, rare ones segments every `rare_hop` frames; which is which comes from the training split's counts.
        rare_hop: in frames.
        class_weights: weight each example by the inverse frequency of its class of the first task (mean 1).
    """

    kind: str = "segments"
    frames: int = 96
    hop: int = 96
    balance: bool = True
    rare_hop: int = 24
    class_weights: bool = False

    def __post_init__(self):
        if self.kind not in ("segments", "crop", "whole"):
            raise UserError(f"`kind` must be segments, crop or whole. Received: {self.kind!r}.")
        for name in ("frames", "hop", "rare_hop"):
            if getattr(self, name) < 1:
                raise UserError(f"`{name}` must be at least 1 frame. Received: {getattr(self, name)}.")


@dataclass(frozen=True)
class OptimizerConfig:
    """Optimizer and schedule.

    Args:
        name: "adam", "adamw" or "sgd".
        learning_rate: the largest one.
        weight_decay: of "adam" and "adamw" Keras's own, apart from the gradient; of "sgd" that of the literature, added to the
            gradient (so that momentum carries it), of kernels only.
        clip_norm: of all gradients together; 0 = none.
        momentum: of "sgd".
        schedule: "constant", "cosine" (linear warm-up, then a half cosine to 0) or "step" (times `factor` after each of
            `steps`).
        warmup_epochs: of "cosine".
        steps: epochs, of "step".
        factor: of "step".
    """

    name: str = "adam"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    clip_norm: float = 0.0
    schedule: str = "constant"
    warmup_epochs: float = 0.0
    momentum: float = 0.9
    steps: tuple[int, ...] = ()
    factor: float = 0.1

    def __post_init__(self):
        object.__setattr__(self, "steps", tuple(self.steps))
        if list(self.steps) != sorted(set(self.steps)) or (self.steps and self.steps[0] < 1):
            raise UserError(f"`steps` must be epochs in rising order, from 1 on. Received: {self.steps}.")
        if self.schedule == "step" and not self.steps:
            raise UserError("the schedule 'step' needs `steps`: the epochs after which the learning rate falls.")


@dataclass(frozen=True)
class Recipe:
    """One experiment.

    Args:
        name: names the run's folder.
        corpus: an adapter's name in `keras_ser.corpora`.
        tasks: what is predicted; the first is the main task.
        protocols: how the corpus is split; each is run and reported.
        model: name of the module in `keras_ser.models`; `config` is that module's `Config`.
        patience: epochs without a better validation score before training stops; 0 = all epochs are trained.
        monitor: the logged score that chooses the epoch, larger being better (default: the main task's validation UAR or
            CCC). A split without a validation side trains all epochs and keeps the last.
        first: the recipe of a first model that finds the noise before this one sees a clip (the cascade).
        shuffle: tasks whose labels are put into random order, on the training and the validation side: a control, whose
            scores on the test side must be chance.
        windows: cut the corpus's clips again, each window an utterance; None = clips as they are.
        discard: how a cascade discards the noise: "drop" its segments, or "mask" it in every frame and bin.
        paper: ((task, metric, value, source), ..): the paper's own figures, printed beside the measured ones.
    """

    name: str
    corpus: str
    tasks: tuple[Task, ...]
    protocols: tuple[Protocol, ...]
    model: str = "aspmtl"
    config: Any = None
    frontend: FrontendConfig = field(default_factory=FrontendConfig)
    streams: tuple[Stream, ...] = (Stream("clips"),)
    sampling: Sampling = field(default_factory=Sampling)
    augment: Augment = field(default_factory=Augment)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    batch_size: int = 256
    epochs: int = 40
    patience: int = 8
    monitor: str = ""
    precision: str = "float32"
    seeds: tuple[int, ...] = (0, 1, 2)
    first: "Recipe | None" = None
    discard: str = "drop"
    shuffle: tuple[str, ...] = ()
    windows: Windows | None = None
    corpus_options: tuple[tuple[str, Any], ...] = ()
    paper: tuple[tuple[str, str, float, str], ...] = ()

    def __post_init__(self):
        for name in ("tasks", "protocols", "streams", "seeds", "shuffle"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in ("paper", "corpus_options"):
            object.__setattr__(self, name, as_tuples(getattr(self, name)))
        if self.config is None:
            object.__setattr__(self, "config", config_class(self.model)())
        if not self.tasks or not self.streams or not self.protocols or not self.seeds:
            raise UserError("a recipe needs at least one task, stream, protocol and seed.")
        for kind, names in (
            ("tasks", [t.name for t in self.tasks]),
            ("streams", [s.name for s in self.streams]),
            ("protocols", [p.name for p in self.protocols]),
        ):
            if len(set(names)) != len(names):
                raise UserError(f"the {kind} of a recipe need distinct names. Received: {', '.join(names)}.")
        if len(set(self.seeds)) != len(self.seeds) or min(self.seeds) < 0:
            raise UserError(f"`seeds` must be distinct and at least 0. Received: {self.seeds}.")
        taken = [task.name for task in self.tasks if task.name in ("source", "adversary")]
        if taken:
            raise UserError(f"a task can't be called {taken[0]!r}: the adversary's target is. Give it another name.")
        for name, least in (("batch_size", 1), ("epochs", 1), ("patience", 0)):
            if getattr(self, name) < least:
                raise UserError(f"`{name}` must be at least {least}. Received: {getattr(self, name)}.")
        if self.first is not None and self.discard == "mask":
            if not getattr(self.first.config, "mask_bins", 0):
                raise UserError("discard='mask' needs a first model that estimates a mask: set first.config.mask_bins.")
            rates = self.first.frontend.sample_rate, self.frontend.sample_rate
            if rates[0] != rates[1]:
                raise UserError(
                    f"both models of a cascade hear one sample rate. Received: {rates[0]} and {rates[1]} Hz."
                )
        if self.augment.of_bins and not set(self.frontend.features) & set(SPECTRAL):
            raise UserError(
                "mel warp, bin masks and gain change spectra in decibels, and there is none among frontend.features: "
                f"{', '.join(self.frontend.features)}. Leave them at 0, or add one of {', '.join(SPECTRAL)}."
            )
        strays = set(self.shuffle) - {task.name for task in self.tasks}
        if strays:
            raise UserError(f"`shuffle` must name tasks of the recipe. Received: {', '.join(sorted(strays))}.")
        if self.discard not in DISCARDS:
            raise UserError(f"`discard` must be one of {', '.join(DISCARDS)}. Received: {self.discard!r}.")
        if self.precision not in PRECISIONS:
            raise UserError(f"`precision` must be one of {', '.join(PRECISIONS)}. Received: {self.precision!r}.")

    def to_dict(self) -> dict[str, Any]:
        return plain(self)

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=1)

    @staticmethod
    def field_types(data: Mapping[str, Any]) -> dict[str, Any]:
        """The type of `config`, which is the model's to say."""
        return {"config": config_class(data.get("model", Recipe.model)) | None}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Recipe":
        """Raises: ValueError for an unknown or missing field, or a value of another type."""
        return instance(cls, data)

    @classmethod
    def from_json(cls, text: str) -> "Recipe":
        return cls.from_dict(json.loads(text))

    @property
    def hash(self) -> str:
        """Eight hex digits of everything in the recipe but its name, its protocols, its seeds and the paper's figures.

        Those say which runs there are, each in a folder of its own, not what a run is: an experiment can go on with more. The
        same holds for `first`.
        """
        # through JSON, so that equal recipes have equal hashes (1 and 1.0, a list and a tuple)
        data = Recipe.from_dict(self.to_dict()).to_dict()
        data = {k: v for k, v in data.items() if k not in ("name", "protocols", "seeds", "paper")}
        data["first"] = self.first and self.first.hash
        return hashlib.sha1(json.dumps(data, sort_keys=True).encode()).hexdigest()[:8]

    def replace(self, **changes) -> "Recipe":
        return dataclasses.replace(self, **changes)

    def read(self, root: Any = None, auxiliary: Iterable[Any] = (), **options: Any):
        """The recipe's corpus, cut into windows where it asks for that, and the recipe with its identity tasks' classes.

        Args:
            root, **options: of `keras_ser.corpora.read_corpus`, beside the recipe's own options.
            auxiliary: the corpora that its streams name.

        Returns:
            (Recipe, Corpus).
        """
        from keras_ser.corpora import read_corpus
        from keras_ser.pipelines.windows import cut_windows

        corpus = read_corpus(self.corpus, root, **{**dict(self.corpus_options), **options})
        if self.windows is not None:
            corpus = cut_windows(corpus, self.windows, self.tasks[0])
        return self.for_corpus(corpus, *auxiliary), corpus

    def for_corpus(self, corpus, *auxiliary) -> "Recipe":
        """A copy whose identity tasks without classes have those of all corpora, in order of name.

        Args:
            corpus: the recipe's `keras_ser.corpora.Corpus`.
            *auxiliary: the corpora that its streams name.
        """

        def identities(task: Task) -> list[str]:
            found = {
                task.label(value, c.name, c is not corpus)
                for c in (corpus, *auxiliary)
                for value in c.counts(task.column)
            }
            return sorted(found - set(task.ignore))

        tasks = tuple(
            dataclasses.replace(task, labels=identities(task)) if task.identity and not task.labels else task
            for task in self.tasks
        )
        return self.replace(tasks=tasks, first=self.first and self.first.for_corpus(corpus, *auxiliary))

    def override(self, key: str, value: Any) -> "Recipe":
        """A copy with one value changed.

        Args:
            key: dotted, e.g. "config.beta", "optimizer.learning_rate", "streams.noisy.share", "tasks.0.weight", "first.epochs".
            value: of the field's type, or a string holding it as JSON ("0.5", "[1, 2]", "true"), with commas ("white,pink") or
                as plain text.

        Raises:
            KeyError: an unknown key; the message lists its neighbours.
            ValueError: a value of another type.
        """
        return override(self, key, value)

    def set(self, key: str, value: Any) -> "Recipe":
        """`override`; what a cascade's two models must agree on, front end and tasks but the noise, follows in the first.

        Args, Raises: see `override`.
        """
        changed = self.override(key, value)
        room, *rest = key.split(".")
        if self.first is not None and room in ("tasks", "frontend") and rest[:1] != ["noise"]:
            with contextlib.suppress(KeyError):
                changed = changed.override(f"first.{key}", value)
        return changed


def config_class(model: str) -> type:
    """`Config` of a module in `keras_ser.models`."""
    from keras_ser.models import MODELS

    if model not in MODELS:
        raise UserError(f"`model` must be one of {', '.join(MODELS)}. Received: {model!r}.")
    return importlib.import_module(MODELS[model]).Config
