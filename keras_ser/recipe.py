"""One experiment as a frozen value: a `Recipe` makes one choice from each package, is equal after JSON, and its hash names the run.

Nothing here imports TensorFlow. A recipe does not store the local path of the corpus: pass it to `train`.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from keras_ser.checks import shown
from keras_ser.errors import UnknownKeyError, UserError
from keras_ser.models import model_module
from keras_ser.overrides import lookup, override
from keras_ser.pipelines.augmentation import Augment, Windows
from keras_ser.recipe_checks import check_recipe
from keras_ser.settings import FrontendConfig, OptimizerConfig, Sampling, Stream, of_stream
from keras_ser.splits import Protocol
from keras_ser.tasks import Task
from keras_ser.values import differing, instance, plain, read_json, settle

__all__ = ["FrontendConfig", "OptimizerConfig", "Recipe", "Sampling", "Stream", "config_class"]

# these select which runs to perform and do not define a run
NOT_HASHED = ("name", "protocols", "seeds", "paper", "paper_protocol")


@dataclass(frozen=True, repr=False)
class Recipe:
    """One experiment: a corpus, its tasks and splits, a model and how it is trained.

    Args:
        name: names the run's folder.
        corpus: name of an adapter in `keras_ser.corpora`; `corpus_options` are its arguments, ((name, value), ..).
        tasks: what is predicted; the first is the main task.
        protocols: how the corpus is split; each is run and reported.
        model: name of a model (`keras_ser.models.MODELS`, an entry point) or import path of its module; `config` is that module's
            `Config`.
        frontend: the main front end. `frontends`: further ones, each with a name; their features are the inputs "name.feature".
        streams, sampling, augment, optimizer: see `Stream`, `Sampling`, `Augment` and `OptimizerConfig`.
        batch_size, epochs: training examples per batch, over all streams; the largest number of epochs.
        patience: epochs without a better validation score before training stops; 0 = train all epochs.
        patience_steps: optimizer steps without a better score that are also required, so that a run with few steps per epoch (a
            large batch, a small corpus) does not stop before it has learned.
        smoothing: number of last epochs whose mean validation score is compared, since the score of few clips fluctuates.
        monitor: the logged score that selects the epoch, larger is better. Default: the main task's validation UAR or CCC; with
            schedule "cosine", whose learning rate falls to 0, the last epoch is kept. Without a validation set all epochs are
            trained and the last is kept.
        precision: dtype policy of the network: "float32", "mixed_bfloat16" or "mixed_float16".
        seeds: each is a run of its own on every fold.
        first: recipe of the first model of a cascade, which locates the noise that is discarded before this model.
        discard: how a cascade discards noise: "drop" removes its segments, "mask" masks it in every frame and bin.
        shuffle: tasks whose labels are shuffled on the training and validation sets: a control, which must score at chance on the
            test set.
        windows: cut the clips into windows, each an utterance; None = use clips as they are.
        paper: ((task, metric, value, source), ..): the paper's own scores, beside those of `paper_protocol` (default: of all).
        labelled: share of the training set's speakers, drawn by the seed, whose labels of the main task are used; those of others
            have weight 0. With `unlabelled=False` the recordings of others are left out as well; an epoch has as many steps.
        initial: twelve hex digits that identify the initial weights (`fit(.., initial=RUN)`, --init-from RUN); "" = random weights.

    Raises:
        UserError: a setting is invalid, or settings do not fit together.
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
    patience_steps: int = 200
    smoothing: int = 5
    monitor: str = ""
    precision: str = "float32"
    seeds: tuple[int, ...] = (0, 1, 2)
    first: "Recipe | None" = None
    discard: str = "drop"
    shuffle: tuple[str, ...] = ()
    windows: Windows | None = None
    corpus_options: tuple[tuple[str, Any], ...] = ()
    paper: tuple[tuple[str, str, float, str], ...] = ()
    paper_protocol: str = ""
    frontends: tuple[FrontendConfig, ...] = ()
    labelled: float = 1.0
    unlabelled: bool = True
    initial: str = ""

    earlier: ClassVar[Mapping[str, Any]] = {"patience_steps": 0, "smoothing": 1}

    def __post_init__(self):
        config = config_class(self.model)
        if self.config is None:
            object.__setattr__(self, "config", config())
        if not isinstance(self.config, config | Mapping):
            raise UserError(
                f"`config` must be the Config of the model {self.model!r} ({config.__module__}). Received: {shown(self.config)}."
            )
        settle(self)
        check_recipe(self)

    def __repr__(self) -> str:
        parts = [", ".join(task.name for task in self.tasks), ", ".join(protocol.name for protocol in self.protocols)]
        seeds = f"{len(self.seeds)} seed{'s' * (len(self.seeds) > 1)}"
        cascade = f" after {self.first.model}" if self.first is not None else ""
        return f"<Recipe {self.name}-{self.hash}: {self.model}{cascade} on {self.corpus}; {'; '.join(parts)}; {seeds}>"

    @property
    def keeps_last(self) -> bool:
        """Whether the last epoch is kept even with a validation set, since the learning rate falls to 0 in it."""
        return self.optimizer.schedule == "cosine" and not self.monitor

    @property
    def every_frontend(self) -> tuple[FrontendConfig, ...]:
        """The main front end, followed by the further ones."""
        return (self.frontend, *self.frontends)

    @property
    def inputs(self) -> list[str]:
        """Names of the network's inputs beside their masks: the features of every front end."""
        return [name for frontend in self.every_frontend for name in frontend.inputs]

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as JSON types: dicts for dataclasses, lists for tuples."""
        return plain(self)

    def to_json(self) -> str:
        """Return the recipe as JSON text."""
        return json.dumps(self.to_dict(), indent=1)

    @staticmethod
    def field_types(data: Mapping[str, Any]) -> dict[str, Any]:
        """Return the type of `config`, which depends on the model."""
        return {"config": config_class(data.get("model", Recipe.model)) | None}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Recipe":
        """Make a recipe from the dict of `to_dict`; raises UserError if a field is unknown, missing or of another type."""
        return instance(cls, data)

    @classmethod
    def from_json(cls, text: str) -> "Recipe":
        """Make a recipe from the JSON of `to_json`; raises UserError if the text is not a recipe."""
        return cls.from_dict(read_json(text))

    @property
    def hash(self) -> str:
        """Eight hex digits of all settings that differ from their defaults, except name, protocols, seeds and the paper's scores.

        Those four select which runs to perform, each in its own folder, so that an experiment can be extended. The same holds for
        `first`. Only the names of pretrained files are hashed; a continued run compares their content.
        """
        data = {name: value for name, value in differing(self).items() if name not in NOT_HASHED}
        data |= {"model": self.model, "first": self.first and self.first.hash}
        return hashlib.sha1(json.dumps(data, sort_keys=True).encode()).hexdigest()[:8]

    def replace(self, **changes) -> "Recipe":
        """Return a copy with other fields, checked like a new recipe."""
        return dataclasses.replace(self, **changes)

    def read(self, root: Any = None, auxiliary: Iterable[Any] = (), **options: Any):
        """Read the recipe's corpus, cut into its `windows` if set, and fill in the classes of tasks without labels.

        Args:
            root, **options: arguments of `keras_ser.corpora.read_corpus`; options override the recipe's `corpus_options`.
            auxiliary: the corpora that the streams name.

        Returns:
            (Recipe, Corpus); see `for_corpus`.
        """
        from keras_ser.corpora import read_corpus
        from keras_ser.pipelines.windows import cut_windows

        corpus = read_corpus(self.corpus, root, **{**dict(self.corpus_options), **options})
        if self.windows is not None:
            corpus = cut_windows(corpus, self.windows, self.tasks[0])
        return self.for_corpus(corpus, *auxiliary), corpus

    def for_corpus(self, corpus, *auxiliary) -> "Recipe":
        """Return a copy whose tasks without classes have those of the corpora, in alphabetical order.

        Identities are taken from the corpora that the recipe's streams read, other labels from its own corpus and those that
        teach the main task.

        Args:
            corpus: the recipe's `keras_ser.corpora.Corpus`.
            *auxiliary: the corpora that the streams name.

        Raises:
            CorpusError: a label has fewer than `task_labels.FEWEST` clips.
        """
        from keras_ser.corpora.task_labels import open_labels

        teaching = {stream.corpus for stream in self.streams if stream.teaches}
        taught = (corpus, *(other for other in auxiliary if other.name in teaching))
        read = {c.name: {i for s in self.streams if s.corpus == c.name for i in s.chosen(c)} for c in auxiliary}

        def identities(task: Task) -> list[str]:
            found = {
                task.label(u.column(task.column), c.name, c is not corpus)
                for c in (corpus, *auxiliary)
                for u in c
                if u.column(task.column) is not None and (c is corpus or u.id in read[c.name])
            }
            return sorted(found - set(task.ignore))

        tasks = tuple(
            dataclasses.replace(task, labels=identities(task) if task.identity else open_labels(task, *taught))
            if task.open
            else task
            for task in self.tasks
        )
        return self.replace(tasks=tasks, first=self.first and self.first.for_corpus(corpus, *auxiliary))

    def for_split(self, corpus, split) -> "Recipe":
        """Return a copy in which tasks with `columns` have clusters, fitted on a split's training set (see `clustered`)."""
        from keras_ser.corpora.task_labels import clustered

        train = set(split.train)
        tasks = tuple(
            clustered(task, (u for u in corpus if u.id in train), corpus) if task.columns and not task.centres else task
            for task in self.tasks
        )
        return self if tasks == self.tasks else self.replace(tasks=tasks)

    def override(self, key: str, value: Any) -> "Recipe":
        """Return a copy with one value changed.

        Args:
            key: dotted, e.g. "config.beta", "optimizer.learning_rate", "streams.noisy.share", "tasks.0.weight", "first.epochs".
            value: of the field's type, or a string holding it as JSON ("0.5", "[1, 2]", "true"), with commas ("white,pink") or
                as plain text.

        Raises:
            UnknownKeyError: the key is unknown; the message lists the valid names.
            UserError: the value has another type, or the recipe refuses it.

        Example:
            >>> recipe = Recipe("x", "demo", (Task("emotion", ("a", "b")),), (Protocol("p"),))
            >>> recipe.override("optimizer.learning_rate", "1e-4").optimizer.learning_rate
            0.0001
        """
        return override(self, {key: value})

    def change(self, changes: Mapping[str, Any]) -> "Recipe":
        """Return a copy with several values changed; it is checked once all changes are made.

        Changes of the front end and of tasks other than the noise also apply to a cascade's first model, unless that is changed
        by a key of its own ("first.frontend.bins"). A new `model` gets the default `config`.

        Args:
            changes: key -> value; see `override`.

        Raises:
            UnknownKeyError, UserError: see `override`.
        """
        changes, recipe = dict(changes), self
        if "model" in changes:
            recipe = self.replace(model=changes.pop("model"), config=None)
        following = {}
        if self.first is not None:
            for key, value in changes.items():
                part, *rest = self._by_name(key).split(".")
                if (
                    part in ("tasks", "frontend")
                    and not any(of_stream(task) for task in self.first.tasks if rest[:1] == [task.name])
                    and _has(self.first, ".".join([part, *rest]))
                ):
                    following[".".join(["first", part, *rest])] = value
        return override(recipe, {**following, **changes})

    def _by_name(self, key: str) -> str:
        """Return a dotted key with a task's number replaced by its name, since the models of a cascade number tasks differently."""
        part, *rest = key.split(".")
        names = [task.name for task in self.tasks]
        if part == "tasks" and rest and rest[0] not in names and rest[0] in map(str, range(len(names))):
            rest[0] = names[int(rest[0])]
        return ".".join([part, *rest])


def _has(recipe: Recipe, key: str) -> bool:
    try:
        lookup(recipe, key)
    except UnknownKeyError:
        return False
    return True


def config_class(model: str) -> type:
    """Return the `Config` class of a model."""
    return model_module(model).Config
