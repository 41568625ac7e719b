"""`Split`: the training, validation and test sets; and `check_split`, which rejects splits that leak."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_ser.checks import listed
from keras_ser.corpora.corpus import Corpus, CorpusError
from keras_ser.corpora.spelling import comparable, quoted, shown
from keras_ser.errors import UserError
from keras_ser.files import write_json
from keras_ser.splits.recordings import file_of, places
from keras_ser.tasks import identity
from keras_ser.values import plain, settle

SIDES = ("train", "validation", "test")


class LeakageError(UserError):
    """A split that has something on two sides which it promises to keep apart."""


@dataclass(frozen=True, repr=False)
class Split:
    """Three sets of utterance ids, and which columns they keep apart.

    Args:
        protocol: name of the protocol that made the split, as reports print it.
        fold: number of the fold, from 0.
        train, validation, test: utterance ids; validation may be empty (then the last epoch is used).
        apart: columns whose values are on one side only. Without "speaker" the split is speaker-dependent.
        validation_apart: False if the validation set was drawn from the training set's clips: then `apart` only holds
            between the test set and the other two.
        together: False if copies and cuts of one recording may be on several sides (a deliberate leak).
        foreign: True if only other corpora train: the training set is empty.
        chosen_on_test: True if the validation set is the test set (a deliberate leak).
        final: True if every clip may train, and none is tested.

    Raises:
        CorpusError: the training set is empty (with `foreign`: not empty), or the test set is (with `final`: not empty).
        LeakageError: an id occurs twice, or the validation set is not the test set despite `chosen_on_test`.
    """

    protocol: str
    fold: int
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    apart: tuple[str, ...] = ()
    validation_apart: bool = True
    together: bool = True
    foreign: bool = False
    chosen_on_test: bool = False
    final: bool = False

    def __post_init__(self):
        settle(self)
        if self.foreign and self.train:
            raise CorpusError(
                f"split {self.protocol!r}: only other corpora may train. Received: {len(self.train)} training clips of its own."
            )
        if self.chosen_on_test and self.validation != self.test:
            raise LeakageError("a split with `chosen_on_test` must have its test set as its validation set.")
        if self.final and self.test:
            raise CorpusError(
                f"split {self.protocol!r}: a final model tests nothing. Received: {len(self.test)} clips."
            )
        if not (self.train or self.foreign) or not (self.test or self.final):
            empty = "test" if self.train or self.foreign else "train"
            raise CorpusError(
                f"split {self.protocol!r}, fold {self.fold}: the {empty} set is empty. Use another protocol."
            )
        for i, a in enumerate(SIDES):
            twice = sorted(name for name, count in Counter(getattr(self, a)).items() if count > 1)
            if twice:
                raise LeakageError(f"ids must occur once. More than once in {a}: {listed(twice)}.")
            for b in SIDES[i + 1 :]:
                if self.chosen_on_test and (a, b) == ("validation", "test"):
                    continue
                both = sorted(set(getattr(self, a)) & set(getattr(self, b)))
                if both:
                    raise LeakageError(f"ids must be on one side only. Both in {a} and {b}: {listed(both)}.")

    def __repr__(self) -> str:
        sides = ", ".join(f"{side} {len(getattr(self, side))}" for side in SIDES)
        return f"<Split {self.protocol}, fold {self.fold}: {sides} clips; apart: {', '.join(self.apart) or 'nothing'}>"

    @property
    def speaker_dependent(self) -> bool:
        return "speaker" not in self.apart

    def write(self, path: Path) -> None:
        write_json(path, plain(self))


def check_split(
    split: Split,
    corpus: Corpus,
    hashes: Mapping[str, str] | None = None,
    auxiliary: Iterable[tuple[Corpus, Mapping[str, str]]] = (),
) -> None:
    """Raise LeakageError for a split that leaks.

    Values are compared regardless of their spelling (`corpora.spelling.comparable`). Across corpora they are compared by their
    names in `keras_ser.tasks.identity`, "corpus/value": equal names are the same speaker, film, session or sentence only in
    corpora of one adapter, or if the name itself says so ("ravdess/03" in a manifest). An origin that is the name of a file of its
    corpus, or of a clip that windows were cut from, means that one: there the files are compared.

    Args:
        split: the split.
        corpus: the corpus it belongs to.
        hashes: id -> content hash of its clips.
        auxiliary: each auxiliary corpus that is also trained on, with id -> content hash of its clips.

    Raises:
        LeakageError: a value of a column in `split.apart`, an audio content or an origin occurs on two sides; a clip
            has no value in such a column; or an auxiliary corpus holds such a value, the content, or another cut of the
            recording of a validation or test clip.
        CorpusError: ids that are not in the corpus.
    """
    known = {u.id: u for u in corpus}
    strays = [i for side in SIDES for i in getattr(split, side) if i not in known]
    if strays:
        raise CorpusError(f"the split names utterances that {corpus.name} lacks: {listed(strays)}.")
    hashes = hashes or {}
    sides = {i: side for side in SIDES for i in getattr(split, side)}
    where = f"protocol {split.protocol!r}, fold {split.fold}"
    for column in split.apart:
        values = {i: known[i].column(column) for i in sides}
        unknown = [i for i, value in values.items() if value is None]
        if unknown:
            raise LeakageError(
                f"{where}: {column} must be on one side only, and {len(unknown)} clips name none: {listed(unknown)}. "
                f"Name it in the corpus's metadata (of a manifest, the column {column}), or choose a protocol that does not "
                "promise it."
            )
        drawn = {} if split.validation_apart else {"validation": "train"}
        leaks = _on_two_sides(values, {i: drawn.get(side, side) for i, side in sides.items()})
        if leaks:
            spelled = [sorted({str(values[i]) for i in ids}) for ids in leaks]
            names = [" = ".join(map(quoted, each)) if len(each) > 1 else shown(each[0]) for each in spelled]
            way = "Spell each name in one way" if any(len(each) > 1 for each in spelled) else f"Split by {column}"
            raise LeakageError(f"{where}: {column} must be on one side only. On two: {listed(sorted(names))}. {way}.")
    for name, values in (("origin", {i: known[i].column("origin") for i in sides}), ("audio content", hashes)):
        leaks = _on_two_sides(values, sides) if split.together else []
        if leaks:
            raise LeakageError(
                f"{where}: {name} must be on one side only. On two: {listed(i for ids in leaks for i in ids)}. "
                "Split by a column that holds them together, such as the session of two speakers in one recording "
                """(--set 'protocols.0.by="session"')."""
            )
    for other, contents in auxiliary:
        _check_auxiliary(split, corpus, hashes, other, contents, where)


def _check_auxiliary(
    split: Split, corpus: Corpus, hashes: Mapping[str, str], other: Corpus, contents: Mapping[str, str], where: str
) -> None:
    """Raise LeakageError for an auxiliary corpus that holds what the split keeps out of training."""
    known = {u.id: u for u in corpus}
    drawn = (*split.test, *(split.validation if split.validation_apart else ()))
    tested = (*split.validation, *split.test)
    kept = dict.fromkeys(split.apart, drawn) | ({"origin": tested} if split.together else {})
    for column, held_out in kept.items():
        values = {
            v: comparable(identity(v, corpus.name)) for i in held_out if (v := known[i].column(column)) is not None
        }
        names = {v: identity(v, other.name) for u in other if (v := u.column(column)) is not None}
        both = set(values.values()) & set(map(comparable, names.values()))
        if both and column == "origin":
            ours, theirs = places(corpus), places(other)
            both &= {name for value, name in values.items() if value not in ours} | {
                comparable(name) for value, name in names.items() if value not in theirs
            }
        if both:
            raise LeakageError(
                f"{where}: {column} must be on one side only, and the auxiliary corpus {other.name} holds some of the validation "
                f"or test set: {listed(sorted({name for name in names.values() if comparable(name) in both}))}. Take their clips "
                "out of the auxiliary corpus; if they only share a name, write it there as CORPUS/NAME."
            )
    files = {file_of(corpus, known[i].path): i for i in tested}
    cuts = {u.id: files.get(file_of(other, u.path)) for u in other}
    copies = {hashes[i]: i for i in tested if i in hashes}
    cuts |= {i: copies[content] for i, content in contents.items() if content in copies}
    both = [f"{i} = {held_out}" for i, held_out in cuts.items() if held_out]
    if both:
        raise LeakageError(
            f"{where}: the auxiliary corpus {other.name} holds recordings of the validation or test set: {listed(both)}. "
            "Leave them out, or take it from other recordings."
        )


def _on_two_sides(values: Mapping[str, Any], sides: Mapping[str, str]) -> list[list[str]]:
    """Return the ids of each value that occurs on more than one side; spellings of one name are one value."""
    ids: dict[str, list[str]] = {}
    for i in sides:
        if values.get(i) is not None:
            ids.setdefault(comparable(str(values[i])), []).append(i)
    return [found for found in ids.values() if len({sides[i] for i in found}) > 1]
