"""`Utterance`, one labelled part of an audio file, and `Corpus`, a collection of them."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np

from keras_ser.checks import listed
from keras_ser.errors import UserError


class CorpusError(UserError):
    """Data on disk that do not match the corpus; the message lists the first ten cases."""


def check_some(name: str, option: str, values: Collection[str], allowed: Collection[str]) -> None:
    """Raise CorpusError unless the option of a corpus's reader holds at least one of the allowed values and nothing else."""
    if isinstance(values, str) or not values or not set(values) <= set(allowed):
        raise CorpusError(f"{name}: `{option}` must be some of {listed(allowed, len(allowed))}. Received: {values!r}.")


@dataclass(frozen=True)
class Utterance:
    """One labelled part of one audio file.

    Args:
        id: id, unique in the corpus and independent of where it is stored.
        path: the audio file, POSIX style, relative to the corpus's root.
        start, end: seconds within the file; None = from its beginning, to its end.
        speaker: name of the speaker, None if unknown.
        gender: "female", "male" or None.
        labels: column -> corpus label (a string, or a float for continuous labels), e.g. {"emotion": "anger"}.
        groups: further columns that may leak from training to test: "session", "sentence", "film", "subset", "origin" (the
            recording that a clip was cut or copied from).

    Raises:
        CorpusError: an absolute `id` or `path`, or another `gender`.
    """

    id: str
    path: str
    start: float | None = None
    end: float | None = None
    speaker: str | None = None
    gender: str | None = None
    labels: Mapping[str, str | float] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self):
        object.__setattr__(self, "labels", MappingProxyType(dict(self.labels)))
        object.__setattr__(self, "groups", MappingProxyType(dict(self.groups)))
        if Path(self.id).is_absolute() or Path(self.path).is_absolute():
            raise CorpusError(f"`id` and `path` must be relative to the corpus. Received: {self.id!r}, {self.path!r}.")
        if self.gender not in (None, "female", "male"):
            raise CorpusError(f"`gender` must be 'female', 'male' or None. Received: {self.gender!r} ({self.id}).")

    def __hash__(self):
        return hash(self.id)

    def __reduce__(self):
        # read-only mappings cannot be pickled
        plain = (self.id, self.path, self.start, self.end, self.speaker, self.gender)
        return type(self), (*plain, dict(self.labels), dict(self.groups))

    def column(self, name: str) -> str | float | None:
        """Return the value of "speaker", "gender", a label or a group; None if the utterance has no value."""
        if name in ("speaker", "gender"):
            return getattr(self, name)
        return self.labels.get(name, self.groups.get(name))


@dataclass(frozen=True, repr=False)
class Corpus:
    """A named, ordered collection of utterances under one root.

    Args:
        name: the adapter's name, e.g. "emodb".
        root: the folder that the utterances' paths are relative to.
        utterances: the utterances; they are sorted by id, and ids are unique.
        vocabulary: column -> the labels that it may hold, in the corpus's own order.
        citation: reference to cite.
        expected: counts of the published corpus, for `corpus check`: {"utterances": 535, "emotion": {"anger": 127,
            ..}}.
        flaws: known flaws of the published corpus, one sentence each.
        notes: deviations that the reader corrected, one sentence each.
        read_by: the arguments of `read_corpus`, including "root", so that an experiment can read the corpus again.

    Raises:
        CorpusError: no utterances, ids that occur more than once, or labels outside the vocabulary.
    """

    name: str
    root: Path
    utterances: tuple[Utterance, ...]
    vocabulary: Mapping[str, tuple[str, ...]]
    citation: str = ""
    expected: Mapping = field(default_factory=dict)
    flaws: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    read_by: Mapping = field(default_factory=dict, compare=False)

    def __post_init__(self):
        object.__setattr__(self, "root", Path(self.root))
        object.__setattr__(self, "utterances", tuple(sorted(self.utterances, key=lambda u: u.id)))
        if not self.utterances:
            raise CorpusError(f"{self.name}: no utterances under {self.root}.")
        twice = [i for i, count in Counter(u.id for u in self.utterances).items() if count > 1]
        if twice:
            raise CorpusError(f"{self.name}: these ids occur more than once: {listed(twice)}.")
        for column, allowed in self.vocabulary.items():
            unknown = [
                f"{u.labels[column]!r} ({u.id})"
                for u in self.utterances
                if isinstance(u.labels.get(column), str) and u.labels[column] not in allowed
            ]
            if unknown:
                raise CorpusError(
                    f"{self.name}: {column} must be one of {', '.join(allowed)}. Received: {listed(unknown)}."
                )

    def __repr__(self) -> str:
        speakers = len(self.counts("speaker"))
        labels = ", ".join(f"{column}: {len(labels)} labels" for column, labels in self.vocabulary.items())
        return f"<Corpus {self.name}: {len(self)} clips, {speakers} speakers{f'; {labels}' if labels else ''}>"

    def __len__(self) -> int:
        return len(self.utterances)

    def __iter__(self):
        return iter(self.utterances)

    def file(self, utterance: Utterance) -> Path:
        """Return the path of an utterance's audio file."""
        return self.root / utterance.path

    def of_speakers(self, count: int) -> "Corpus":
        """Return the corpus with the clips of `count` speakers, drawn once; a larger number includes those of a smaller one.

        Raises:
            CorpusError: the corpus has fewer speakers.
        """
        known = sorted({u.speaker for u in self if u.speaker is not None})
        if not 0 < count <= len(known):
            raise CorpusError(f"{self.name} has {len(known)} speakers. Received: {count} to be drawn.")
        taken = set(np.random.default_rng(0).permutation(known)[:count])
        return replace(self, utterances=tuple(u for u in self if u.speaker in taken), expected={})

    def counts(self, column: str) -> dict[str, int]:
        """Count the utterances with each value of a column, in the vocabulary's order, then by name."""
        values = (utterance.column(column) for utterance in self.utterances)
        found = Counter(str(value) for value in values if value is not None)
        order = [label for label in self.vocabulary.get(column, ()) if label in found]
        return {key: found[key] for key in order + sorted(set(found) - set(order))}


class RowsError(CorpusError):
    """Rows of a table have faults.

    Args:
        message: see `CorpusError`.
        faults: a sentence on each kind of fault.
        corpus: the corpus of all other rows; None if there are none.
    """

    def __init__(self, message: str, faults: Sequence[str], corpus: Corpus | None):
        super().__init__(message)
        self.faults, self.corpus = tuple(faults), corpus
