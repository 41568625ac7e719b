"""One experiment as a frozen value: a `Recipe` is one choice from each room, equal after JSON, and its hash names the run.

Nothing here imports TensorFlow. Where the corpus lies on this machine is no part of a recipe: it is handed to `train`.
"""

import dataclasses
import difflib
import hashlib
import importlib
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from keras_ser.splits import Protocol
from keras_ser.tasks import Task


@dataclass(frozen=True)
class FrontendConfig:
    """Arguments of `keras_ser.features.Frontend`; defaults: READING of the ASP-MTL paper (25 ms, 10 ms, 40 bands, 13 MFCC)."""

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


@dataclass(frozen=True)
class Sampling:
    """What one training example is.

    Args:
        kind: "segments" (of `frames` frames, cut every `hop`; a whole clip is then judged by the mean over its segments),
            "crop" (`frames` frames at random, another stretch each epoch) or "whole".
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
            raise ValueError(f"`kind` must be segments, crop or whole. Received: {self.kind!r}.")


@dataclass(frozen=True)
class AugmentConfig:
    """Training-only augmentation of the feature frames (0 = off); see `keras_ser.pipelines.augment`."""

    probability: float = 0.7
    tempo: float = 0.0
    mel_warp_scale: float = 0.0
    mel_warp_shift: float = 0.0
    gain: float = 0.0
    time_masks: int = 0
    time_mask_frames: int = 20
    bin_masks: int = 0
    bin_mask_bins: int = 8


@dataclass(frozen=True)
class OptimizerConfig:
    """Optimizer and schedule. `schedule`: "constant" or "cosine" (linear warm-up, then a half cosine to 0)."""

    name: str = "adam"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    clip_norm: float = 0.0
    schedule: str = "constant"
    warmup_epochs: float = 0.0


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
        first: the recipe of a first model whose noise posterior drops segments before this one sees them (the cascade).
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
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    batch_size: int = 256
    epochs: int = 40
    patience: int = 8
    monitor: str = ""
    precision: str = "float32"
    seeds: tuple[int, ...] = (0, 1, 2)
    first: "Recipe | None" = None
    corpus_options: tuple[tuple[str, Any], ...] = ()
    paper: tuple[tuple[str, str, float, str], ...] = ()

    def __post_init__(self):
        for name in ("tasks", "protocols", "streams", "seeds"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in ("paper", "corpus_options"):
            object.__setattr__(self, name, tuple(tuple(row) for row in getattr(self, name)))
        if self.config is None:
            object.__setattr__(self, "config", config_class(self.model)())
        if not self.tasks or not self.streams or not self.protocols or not self.seeds:
            raise ValueError("a recipe needs at least one task, stream, protocol and seed.")
        for kind, names in (
            ("tasks", [t.name for t in self.tasks]),
            ("streams", [s.name for s in self.streams]),
            ("protocols", [p.name for p in self.protocols]),
        ):
            if len(set(names)) != len(names):
                raise ValueError(f"the {kind} of a recipe need distinct names. Received: {', '.join(names)}.")

    def to_dict(self) -> dict[str, Any]:
        return _plain(self)

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=1)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Recipe":
        return _build(cls, data, config_class(data.get("model", "aspmtl")))

    @classmethod
    def from_json(cls, text: str) -> "Recipe":
        return cls.from_dict(json.loads(text))

    @property
    def hash(self) -> str:
        """Eight hex digits of everything in the recipe but its name, its protocols and its seeds.

        Those three say which runs there are, each in a folder of its own, not what a run is: an experiment can go on with more.
        """
        data = {k: v for k, v in self.to_dict().items() if k not in ("name", "protocols", "seeds", "paper")}
        return hashlib.sha1(json.dumps(data, sort_keys=True).encode()).hexdigest()[:8]

    def replace(self, **changes) -> "Recipe":
        return dataclasses.replace(self, **changes)

    def override(self, key: str, value: Any) -> "Recipe":
        """A copy with one value changed.

        Args:
            key: dotted, e.g. "config.beta", "optimizer.learning_rate", "streams.noisy.share", "tasks.0.weight", "first.epochs".
            value: of the field's type, or a string holding it as JSON ("0.5", "[1, 2]", "true") or as plain text.

        Raises:
            KeyError: an unknown key; the message lists its neighbours.
            ValueError: a value of another type.
        """
        return _override(self, key.split("."), value, key)


def config_class(model: str) -> type:
    """`Config` of a module in `keras_ser.models`."""
    from keras_ser.models import MODELS

    if model not in MODELS:
        raise ValueError(f"`model` must be one of {', '.join(MODELS)}. Received: {model!r}.")
    return importlib.import_module(MODELS[model]).Config


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list | tuple) else value


_NESTED = {
    "frontend": FrontendConfig,
    "sampling": Sampling,
    "augment": AugmentConfig,
    "optimizer": OptimizerConfig,
}
_LISTED = {"tasks": Task, "protocols": Protocol, "streams": Stream}


def _build(cls: type, data: Mapping[str, Any], config: type) -> Recipe:
    known = {f.name for f in dataclasses.fields(cls)}
    strays = sorted(set(data) - known)
    if strays:
        raise ValueError(f"a recipe has no {', '.join(strays)}. It has: {', '.join(sorted(known))}.")
    values: dict[str, Any] = {}
    for name, value in data.items():
        if name == "config" and value is not None:
            value = _instance(config, value)
        elif name == "first" and value is not None:
            value = Recipe.from_dict(value)
        elif name in _NESTED:
            value = _instance(_NESTED[name], value)
        elif name in _LISTED:
            value = tuple(_instance(_LISTED[name], v) for v in value)
        values[name] = _tuples(value) if isinstance(value, list) else value
    return cls(**values)


def _instance(cls: type, data: Mapping[str, Any]) -> Any:
    known = [f.name for f in dataclasses.fields(cls)]
    strays = sorted(set(data) - set(known))
    if strays:
        raise ValueError(f"{cls.__name__} has no {', '.join(strays)}. It has: {', '.join(known)}.")
    return cls(**{name: _tuples(value) for name, value in data.items()})


def _override(owner: Any, path: list[str], value: Any, key: str) -> Any:
    head, rest = path[0], path[1:]
    if isinstance(owner, tuple):
        names = [getattr(item, "name", str(i)) for i, item in enumerate(owner)]
        index = names.index(head) if head in names else int(head) if head.isdigit() and int(head) < len(owner) else None
        if index is None:
            raise KeyError(f"--set {key}: there is no {head!r}. There are: {', '.join(names)}.")
        changed = _override(owner[index], rest, value, key) if rest else _parsed(owner[index], value, key, None)
        return (*owner[:index], changed, *owner[index + 1 :])
    names = [f.name for f in dataclasses.fields(owner)]
    if head not in names:
        close = difflib.get_close_matches(head, names, 3)
        hint = f"Did you mean {' or '.join(close)}? " if close else ""
        raise KeyError(f"--set {key}: {type(owner).__name__} has no {head!r}. {hint}It has: {', '.join(names)}.")
    old = getattr(owner, head)
    if rest:
        if not (dataclasses.is_dataclass(old) or isinstance(old, tuple)):
            raise KeyError(f"--set {key}: {head!r} is a plain value, without {'.'.join(rest)!r}.")
        return dataclasses.replace(owner, **{head: _override(old, rest, value, key)})
    if dataclasses.is_dataclass(old) or (isinstance(old, tuple) and old and dataclasses.is_dataclass(old[0])):
        inner = old if dataclasses.is_dataclass(old) else old[0]
        fields = ", ".join(f.name for f in dataclasses.fields(inner))
        raise KeyError(f"--set {key}: name a field of it: {fields}.")
    hint = typing.get_type_hints(type(owner)).get(head)
    return dataclasses.replace(owner, **{head: _parsed(old, value, key, hint)})


def _parsed(old: Any, value: Any, key: str, hint: Any) -> Any:
    """`value` as the type that `old` has (or that the annotation allows)."""
    if isinstance(value, str) and not (isinstance(old, str) and value not in ("null", "none")):
        try:
            value = json.loads({"none": "null", "True": "true", "False": "false"}.get(value, value))
        except json.JSONDecodeError:
            if isinstance(old, tuple):
                value = value.split(",")
    value = _tuples(value)
    allowed = typing.get_args(hint) if isinstance(hint, types.UnionType) else (type(old),)
    optional = type(None) in allowed
    if value is None and optional:
        return None
    kinds = [typing.get_origin(k) or k for k in allowed if k is not type(None)]
    if float in kinds and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if tuple in kinds and not isinstance(value, tuple):
        value = (value,)
    if not any(isinstance(value, k) and (k is not int or not isinstance(value, bool)) for k in kinds):
        wanted = " or ".join(k.__name__ for k in kinds)
        raise ValueError(f"--set {key}: expected {wanted}, such as {old!r}. Received: {value!r}.")
    return value

