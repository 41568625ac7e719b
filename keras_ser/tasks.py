"""Prediction targets: a `Task` names labels (or a range), and converts them to numbers and back."""

import bisect
import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from keras_ser.checks import check_least, check_name, shown
from keras_ser.errors import UserError
from keras_ser.values import instance, settle

MISSING = (None, "")
# columns of a predictions table; FACTS lists those that a task may use as its own
COLUMNS = ("protocol", "fold", "seed", "stream", "id", "group")
FACTS = ("speaker", "gender")
# fields of an answer of `predict` beside those of the tasks
ANSWER = ("file", "problems", "start", "end")


def check_task_name(name: str, column: str | None) -> None:
    """Refuse a task name that is used by the predictions table or the predictions of `predict`.

    Raises:
        UserError: the name is taken or invalid.
    """
    check_name("a task", name)
    taken = ""
    if name in COLUMNS or (name in FACTS and column not in (None, name)):
        taken = "the predictions table has a column of that name"
    elif name in ANSWER:
        taken = "an answer of `keras-ser predict` has a field of that name"
    elif name.startswith("_"):
        taken = "TensorFlow variables cannot begin with '_'"
    if taken:
        raise UserError(
            f"a task cannot be called {name!r}: {taken}. Give it another name, and name its column: column={shown(column or name)}."
        )


def check_labels(name: str, labels: tuple[str, ...]) -> None:
    """Refuse classes that cannot be columns of the predictions table. Spaces and slashes are fine.

    Raises:
        UserError: a label is duplicate, empty or "prediction", or contains a control character or a line break.
    """
    if len(set(labels)) != len(labels) or "" in labels:
        raise UserError(f"labels of task {name!r} must be distinct and not empty. Received: {shown(labels)}.")
    if "prediction" in labels:
        raise UserError(
            f"a label of task {name!r} cannot be called 'prediction': the predictions table has the column {name}/prediction. "
            "Merge it into another name."
        )
    odd = [label for label in labels if any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in label)]
    if odd:
        raise UserError(
            f"labels of task {name!r} must not contain control characters or line breaks. Received: {shown(odd[0])}. "
            "Correct it in the corpus, or merge it into another name."
        )


def identity(value: Any, corpus: str) -> str:
    """Return the name of a person, film, session .. that is unique across corpora: "corpus/value".

    A value with a "/" already names its corpus ("ravdess/03" in a manifest) and is the same identity in every corpus. Corpora of
    one adapter share a name: a speaker "anna" in two manifests is the same person.

    Example:
        >>> identity("03", "emodb"), identity("ravdess/03", "manifest")
        ('emodb/03', 'ravdess/03')
    """
    return str(value) if "/" in str(value) else f"{corpus}/{value}"


@dataclass(frozen=True)
class Task:
    """One thing to predict from an utterance: a class out of `labels`, or a number in [`low`, `high`].

    Args:
        name: name of the task in the model's outputs, losses and reports, e.g. "emotion".
        labels: the classes, in the order of the output's axis. Empty for a continuous task. Without labels and range, the
            classes are all labels of the corpus, in alphabetical order (`Recipe.for_corpus`).
        low, high: bounds of a continuous task, which has no labels.
        merge: corpus label -> label of this task, e.g. {"excited": "happiness"}; stored as a tuple of pairs.
        weight: weight of the task's loss, multiplied by the model's own weights. Default 1.
        column: the utterance's column that contains the label. Default: `name`.
        ignore: corpus labels that are left out on purpose (weight 0, as if missing).
        identity: If True, the classes are identities, e.g. speakers, named "corpus/speaker" (see `identity`). They may be left
            empty, and are then taken from the corpora (`Recipe.for_corpus`). Any other identity is treated as missing
            (weight 0). A label without a corpus ("03") is an identity of the recipe's own corpus. If a split
            keeps `column` apart, no test identity occurs in training, and the task is evaluated by verification instead.
        cuts: thresholds in rising order, one fewer than `labels`, that divide a column of numbers into the labels: the first label
            for values up to and including the first threshold, the second up to the second, ..
        columns: columns of numbers, instead of `column`, that are divided into the `labels` by k-means on the training set, e.g.
            ("valence", "arousal"). The labels name the clusters in rising order of the first column, then the second, ..
        centres: the means of these clusters, one for each label; set by `fit` (`Recipe.for_split`).

    Raises:
        UserError: an argument is invalid, or arguments do not fit together, e.g. labels and a range.

    Example:
        >>> task = Task("emotion", ("anger", "happiness"), merge={"excited": "happiness"}, ignore=("boredom",))
        >>> task.encode("excited"), task.encode("boredom"), task.encode(None)
        ((1, 1.0), (0, 0.0), (0, 0.0))
        >>> Task("arousal", low=-1, high=1).encode("0.5")
        (0.5, 1.0)
    """

    name: str
    labels: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    merge: tuple[tuple[str, str], ...] = ()
    weight: float = 1.0
    column: str | None = None
    ignore: tuple[str, ...] = ()
    identity: bool = False
    cuts: tuple[float, ...] = ()
    columns: tuple[str, ...] = ()
    centres: tuple[tuple[float, ...], ...] = ()

    def __post_init__(self):
        if isinstance(self.labels, str) or isinstance(self.ignore, str):
            raise UserError(f"`labels` and `ignore` must be sequences. Received: {self.labels!r}, {self.ignore!r}.")
        settle(self)
        check_task_name(self.name, self.column)
        bounds = sum(bound is not None for bound in (self.low, self.high))
        ranged = bounds == 2
        if self.identity and bounds:
            raise UserError(
                f"task {self.name!r} is an identity, which has no range. Received: {self.low}, {self.high}."
            )
        if bounds == 1 or (self.labels and ranged):
            raise UserError(
                f"task {self.name!r} needs either labels or low and high, or neither (labels from the corpus). "
                f"Received: labels={shown(self.labels)}, low={self.low}, high={self.high}."
            )
        check_labels(self.name, self.labels)
        if ranged and not -float("inf") < self.low < self.high < float("inf"):
            raise UserError(f"`low` must be under `high`, and both finite. Received: low={self.low}, high={self.high}.")
        strays = [b for _, b in self.merge if self.labels and b not in self.labels]
        if strays:
            raise UserError(f"`merge` of task {self.name!r} must map to its labels. Received: {shown(strays)}.")
        both = [label for label in self.ignore if label in self.labels]
        if both:
            raise UserError(f"`ignore` of task {self.name!r} must not contain its own labels. Received: {shown(both)}.")
        check_least(self, 0, "weight")
        if self.cuts and (
            len(self.cuts) != len(self.labels) - 1 or list(self.cuts) != sorted(set(self.cuts)) or self.identity
        ):
            raise UserError(
                f"`cuts` of task {self.name!r} must be rising numbers, one fewer than its labels. Received: {self.cuts} for "
                f"{len(self.labels)} labels."
            )
        if self.columns and (
            not self.labels or self.identity or self.cuts or self.column not in (None, self.columns[0])
        ):
            raise UserError(
                f"task {self.name!r} has `columns`, so it needs labels, and no cuts, column or identity. "
                f"Received: {shown(self.columns)}."
            )
        if self.centres and [len(centre) for centre in self.centres] != [len(self.columns)] * len(self.labels):
            raise UserError(f"`centres` of task {self.name!r} must have one number per column for each label.")
        if self.column is None and self.columns:
            object.__setattr__(self, "column", self.columns[0])
        if self.column is None:
            object.__setattr__(self, "column", self.name)

    @property
    def continuous(self) -> bool:
        """Whether the task predicts a number."""
        return self.low is not None

    @property
    def open(self) -> bool:
        """Whether the classes have yet to be taken from the corpus (`Recipe.for_corpus`)."""
        return not (self.labels or self.continuous)

    @property
    def strata(self) -> str | None:
        """The column by which splits are stratified, or None if it contains numbers."""
        return None if self.continuous or self.cuts or self.columns else self.column

    @property
    def size(self) -> int:
        """Width of the output's last axis: the number of classes, or 1."""
        return len(self.labels) or 1

    def encode(self, label: Any) -> tuple[float, float]:
        """Convert a corpus label to (value, weight): class index or number, and 1; (0, 0) for a missing or ignored label.

        Raises:
            UserError: the label is neither a class, merged, ignored nor missing, or a number is out of range.
        """
        if label in MISSING or label != label:
            return 0, 0.0
        if self.continuous:
            try:
                value = float(label)
            except (TypeError, ValueError):
                raise UserError(f"{self.name} must be a number. Received: {label!r}.") from None
            if not self.low <= value <= self.high:
                raise UserError(f"{self.name} must be in [{self.low}, {self.high}]. Received: {value}.")
            return value, 1.0
        label = dict(self.merge).get(label, label)
        if label in self.ignore or (self.identity and label not in self.labels):
            return 0, 0.0
        if label not in self.labels:
            raise UserError(
                f"{self.name} must be one of {', '.join(self.labels)}. Received: {label!r}. "
                "Add it to the task's labels, merge or ignore."
            )
        return self.labels.index(label), 1.0

    def label(self, value: Any, corpus: str, auxiliary: bool = False) -> Any:
        """Convert a corpus's value in `column` to a label of this task.

        The label is the value itself, the class of a number (`cuts`), or the qualified name of an identity.

        Args:
            value: the corpus's label.
            corpus: name of the corpus.
            auxiliary: False for the recipe's own corpus, whose identities may be among the labels without the corpus name.
        """
        if value in MISSING or value != value:
            return value
        if self.cuts and value not in self.labels:
            try:
                return self.labels[bisect.bisect_left(self.cuts, float(value))]
            except ValueError:
                return value  # which `encode` refuses
        if not self.identity:
            return value
        merged = dict(self.merge)
        names = [identity(value, corpus)] + ([] if auxiliary else [str(value)])
        names = [merged.get(name, name) for name in names]
        return next((name for name in names if name in self.labels or name in self.ignore), names[0])

    def coordinates(self, utterance: Any) -> tuple[float, ...] | None:
        """Return an utterance's numbers in `columns`, or None if one is missing."""
        found = tuple(utterance.column(column) for column in self.columns)
        return None if any(value in MISSING or value != value for value in found) else tuple(map(float, found))

    def encode_utterance(self, utterance: Any, corpus: str, auxiliary: bool = False) -> tuple[float, float]:
        """Convert an utterance's label to (value, weight); see `encode`.

        Args:
            utterance: a `keras_ser.corpora.Utterance`.
            corpus, auxiliary: see `label`.

        Raises:
            UserError: see `encode`; or the clusters are not fitted.
        """
        if self.columns:
            found = self.coordinates(utterance)
            if found is None:
                return 0, 0.0
            if not self.centres:
                raise UserError(
                    f"the clusters of task {self.name!r} are not fitted: call `recipe.for_split(corpus, split)`."
                )
            distances = [math.dist(found, centre) for centre in self.centres]
            return distances.index(min(distances)), 1.0
        return self.encode(self.label(utterance.column(self.column), corpus, auxiliary))

    def decode(self, value: float) -> str | float:
        """Invert `encode`: return the label of a class index; a number of a continuous task is unchanged."""
        return float(value) if self.continuous else self.labels[int(value)]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a dict."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Task":
        """Make a task from the dict of `to_dict`; raises UserError if a field is unknown, missing or of another type."""
        return instance(cls, data)


def monitors(tasks: Sequence[Task]) -> list[str]:
    """Return the validation scores by which an epoch can be selected: those that are better when larger."""
    return [
        f"val_{task.name}_{score}" for task in tasks for score in (("ccc",) if task.continuous else ("uar", "accuracy"))
    ]
