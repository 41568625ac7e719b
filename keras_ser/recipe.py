"""One experiment as a frozen value: a `Recipe` is one choice from each package, equal after JSON, and its hash names the run.

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

# those say which runs there are, not what a run is
NOT_HASHED = ("name", "protocols", "seeds", "paper")


@dataclass(frozen=True, repr=False)
class Recipe:
    """One experiment.

    Args:
        name: names the run's folder.
        corpus: an adapter's name in `keras_ser.corpora`.
        tasks: what is predicted; the first is the main task.
        protocols: how the corpus is split; each is run and reported.
        model: name of a model (`keras_ser.models.MODELS`, an entry point) or import path of its module; `config` is that module's
            `Config`.
        patience: epochs without a better validation score before training stops; 0 = all epochs are trained.
        patience_steps: optimizer steps without a better one that have to be made as well, so that a large batch on a small corpus,
            a few steps an epoch, is not ended before it has learned.
        smoothing: the compared validation score is the mean of that many epochs, the last of which would be kept: the score of a
            few clips jumps by chance. 1 = each epoch's own.
        monitor: the logged score that chooses the epoch, larger being better (default: the main task's validation UAR or CCC,
            but the last epoch where the learning rate falls to 0, schedule "cosine"). A split without a validation side trains
            all epochs and keeps the last.
        first: the recipe of a first model that finds the noise before this one sees a clip (the cascade).
        shuffle: tasks whose labels are put into random order, on the training and the validation side: a control, whose
            scores on the test side must be chance.
        windows: cut the corpus's clips again, each window an utterance; None = clips as they are.
        discard: how a cascade discards the noise: "drop" its segments, or "mask" it in every frame and bin.
        paper: ((task, metric, value, source), ..): the paper's own figures, printed beside the measured ones.
        labelled: share of the training side's speakers, drawn by the seed, whose labels of the main task are known; those of the
            others weigh 0. What is learned from them all the same is measured by `unlabelled=False`, without their recordings.
        initial: twelve hex digits of the weights that training begins from (`fit(.., initial=RUN)`, --init-from RUN); "" = random
            weights.
        frontends: front ends beside `frontend`, each with a name; their features are the network's inputs "name.feature".
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
        """Whether the last epoch is kept, even with a validation side: the learning rate falls to 0 in it."""
        return self.optimizer.schedule == "cosine" and not self.monitor

    @property
    def every_frontend(self) -> tuple[FrontendConfig, ...]:
        """The main front end, then the further ones."""
        return (self.frontend, *self.frontends)

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
        """Raises: UserError where the text is no JSON of a recipe."""
        return cls.from_dict(read_json(text))

    @property
    def hash(self) -> str:
        """Eight hex digits of all settings that differ from their defaults, but name, protocols, seeds and the paper's figures.

        Those four select which runs to perform, each in a folder of its own, so that an experiment can be extended. The same
        holds for `first`. A field that a later version adds, behaving as before, changes no hash.
        """
        data = {name: value for name, value in differing(self).items() if name not in NOT_HASHED}
        data |= {"model": self.model, "first": self.first and self.first.hash}
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
        """A copy whose tasks without classes have those of the corpora, in order of name.

        Identities are taken from all corpora, other labels from the recipe's own and those that teach the main task.

        Args:
            corpus: the recipe's `keras_ser.corpora.Corpus`.
            *auxiliary: the corpora that its streams name.

        Raises:
            CorpusError: a label with fewer than `task_labels.FEWEST` clips.
        """
        from keras_ser.corpora.task_labels import open_labels

        teaching = {stream.corpus for stream in self.streams if stream.teaches}
        taught = (corpus, *(other for other in auxiliary if other.name in teaching))
        streams = {stream.corpus: stream for stream in self.streams if stream.corpus}
        heard = {c.name: streams[c.name].chosen(c) for c in auxiliary if c.name in streams}

        def identities(task: Task) -> list[str]:
            found = {
                task.label(u.column(task.column), c.name, c is not corpus)
                for c in (corpus, *auxiliary)
                for u in c
                if u.column(task.column) is not None and u.id in heard.get(c.name, {u.id})
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
        """A copy whose tasks of several columns have the clusters of a split's training side (k-means, ten starts)."""
        from keras_ser.corpora.task_labels import clustered

        train = set(split.train)
        tasks = tuple(
            clustered(task, (u for u in corpus if u.id in train)) if task.columns and not task.centres else task
            for task in self.tasks
        )
        return self if tasks == self.tasks else self.replace(tasks=tasks)

    def override(self, key: str, value: Any) -> "Recipe":
        """A copy with one value changed.

        Args:
            key: dotted, e.g. "config.beta", "optimizer.learning_rate", "streams.noisy.share", "tasks.0.weight", "first.epochs".
            value: of the field's type, or a string holding it as JSON ("0.5", "[1, 2]", "true"), with commas ("white,pink") or
                as plain text.

        Raises:
            UnknownKeyError: an unknown key; the message lists its neighbours.
            UserError: a value of another type, or that the recipe refuses.

        Example:
            >>> recipe = Recipe("x", "demo", (Task("emotion", ("a", "b")),), (Protocol("p"),))
            >>> recipe.override("optimizer.learning_rate", "1e-4").optimizer.learning_rate
            0.0001
        """
        return override(self, {key: value})

    def set(self, key: str, value: Any) -> "Recipe":
        """`change` of one value."""
        return self.change({key: value})

    def change(self, changes: Mapping[str, Any]) -> "Recipe":
        """A copy with several values changed, checked when all of them are in place.

        Front end and tasks, but the noise, follow in a cascade's first model, unless that is changed by a key of its own
        ("first.frontend.bins"). Another `model` comes with the defaults of its `config`.

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
        """A dotted key with a task's name instead of its number: the numbers of a cascade's models are not the same."""
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
    """`Config` of a module in `keras_ser.models`."""
    return model_module(model).Config
