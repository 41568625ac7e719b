"""`Protocol`: the rule by which a corpus is split, deterministic for a corpus and a seed."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from keras_ser.checks import check_choice, check_least, check_name, listed
from keras_ser.corpora.corpus import Corpus, CorpusError
from keras_ser.corpora.manifest_formats import official_side
from keras_ser.corpora.spelling import shown
from keras_ser.errors import UserError
from keras_ser.splits.drawing import drawn, held_together
from keras_ser.splits.matching import matched
from keras_ser.splits.split import SIDES, Split
from keras_ser.values import settle

KINDS = ("random", "leave-one-out", "k-fold", "stratified-k-fold", "matched", "stated", "cross-corpus")


@dataclass(frozen=True)
class Protocol:
    """The rule by which a corpus is split. A corpus and a seed always give the same folds.

    Args:
        name: name that reports print, e.g. "leave-one-speaker-out".
        kind: "random" (one stratified random split of the clips), "leave-one-out" (one fold for each value of `by`),
            "k-fold" (`folds` folds of the values of `by`, drawn by the seed), "stratified-k-fold" (`folds` folds of the clips,
            each with clips of every value of `by` and with class shares as equal as possible), "matched" (`test` values of `by`
            are tested, chosen such that the columns `match` have similar distributions on both sides), "stated" (`stated` lists
            the tested values of `by` for each fold) or "cross-corpus" (the streams of other corpora train; a share `validation`
            of the values of `by`, drawn by the seed, is used to choose the epoch, and the other values are tested).
        by: the column that is split: "speaker", "session", "film", "subset", .. (unused by "random").
        folds: number of folds for "k-fold" and "stratified-k-fold".
        test: for "random", the share of clips to test (cuts of one recording stay together and count as one); for "matched", the
            number (or share) of values of `by` to test.
        match: columns for "matched", e.g. ("gender", "age_group"): among many random choices (drawn by the seed), the one whose
            sides differ least is taken, by the sum of the columns' total variation distances between training and test set;
            each value of `by` counts once.
        stated: for "stated", a tuple of test values for each fold.
        validation: size of the side that is used to choose the model, taken from the training set. Below 1: a share of its
            clips, drawn by the seed (their speakers are also trained on). 1 or more (not for "random"): a number of values of
            `by`, those that follow the tested ones, so that they rotate with the folds (of the column "subset", first the official
            validation part); for "stratified-k-fold", a number of folds. 0 = no validation set.
        apart: further columns, besides `by`, whose values must be on one side only.
        within: a column; values of `by` that share its value with the tested ones are the first to be used for validation, e.g.
            "session" for the other speaker of a dialogue. "" = use the order alone.
        chosen_on_test: use the test set as the validation set, so that it chooses the model, as in some published code. The
            scores are too high, and reports mark them. Requires validation=0.
        together: keep copies and cuts of one recording on one side. False = a split that leaks, as in some papers ("random"
            only); reports mark it.
    """

    name: str
    kind: str = "random"
    by: str = "speaker"
    folds: int = 5
    test: float = 0.2
    stated: tuple[tuple[str, ...], ...] = ()
    validation: float = 0.1
    apart: tuple[str, ...] = ()
    match: tuple[str, ...] = ()
    together: bool = True
    within: str = ""
    chosen_on_test: bool = False

    def __post_init__(self):
        folds = self.stated if isinstance(self.stated, list | tuple) else (None,)
        if any(isinstance(fold, str) or not isinstance(fold, Collection) or not len(fold) for fold in folds):
            raise UserError(f"`stated` must hold a tuple of tested values for each fold. Received: {self.stated!r}.")
        object.__setattr__(self, "stated", tuple(tuple(str(v) for v in fold) for fold in self.stated))
        if isinstance(self.match, str):
            raise UserError(f"`match` must be a tuple of columns. Received: {self.match!r}.")
        settle(self)
        check_name("a protocol", self.name)
        check_least(self, 0, "test", "validation")
        check_choice(self, "kind", KINDS)
        if self.kind == "cross-corpus" and not 0 < self.validation < 1:
            raise UserError(
                f"`validation` of kind 'cross-corpus' must be a share of the {self.by}s, in (0, 1). Received: {self.validation}."
            )
        if self.kind == "stated" and not self.stated:
            raise UserError("a stated protocol needs `stated`: the tested values of each fold.")
        if self.kind == "random" and not (0 < self.test < 1 and 0 <= self.validation < 1):
            raise UserError(
                f"`test` and `validation` must be shares in (0, 1) and [0, 1). Received: {self.test}, {self.validation}."
            )
        if not self.together and self.kind != "random":
            raise UserError(f"only a random split may leak (together=False). Received: kind={self.kind!r}.")
        if self.within and (self.kind in ("random", "stratified-k-fold") or self.validation < 1):
            raise UserError(
                f"`within` ranks the values of {self.by!r} for validation: it needs folds by them and validation=1 or more. "
                f"Received: kind={self.kind!r}, validation={self.validation:g}."
            )
        if self.chosen_on_test and self.validation:
            raise UserError(
                "`chosen_on_test` makes the test set the validation set: it needs validation=0. "
                f"Received: validation={self.validation:g}."
            )
        if (self.kind == "matched") != bool(self.match):
            raise UserError(
                f"`match` names the columns of kind 'matched'. Received: kind={self.kind!r}, match={self.match}."
            )
        if self.kind == "matched" and not (0 < self.test < 1 or (self.test >= 1 and self.test == int(self.test))):
            raise UserError(
                f"`test` must be a whole number of values of {self.by!r}, or a share under 1. Received: {self.test}."
            )
        if self.kind == "random" and self.apart:
            raise UserError(
                f"a random split of clips keeps nothing apart. Received: apart={self.apart}. Use kind='k-fold' with by="
                f"{self.apart[0]!r}."
            )
        if self.kind in ("k-fold", "stratified-k-fold") and self.folds < 2:
            raise UserError(f"`folds` must be at least 2. Received: {self.folds}.")
        if self.kind == "stratified-k-fold" and (self.apart or self.validation not in range(self.folds - 1)):
            raise UserError(
                "stratified folds keep nothing apart; `validation` is a number of folds, and one must be left to train on. "
                f"Received: apart={self.apart}, folds={self.folds}, validation={self.validation:g}."
            )
        if self.validation >= 1 and self.validation != int(self.validation):
            raise UserError(
                f"`validation` must be a share under 1 or a whole number of values of {self.by!r}. Received: {self.validation}."
            )

    @property
    def columns_apart(self) -> tuple[str, ...]:
        own = () if self.kind in ("random", "stratified-k-fold") else (self.by,)
        return tuple(dict.fromkeys((*own, *self.apart)))

    @property
    def speaker_dependent(self) -> bool:
        return "speaker" not in self.columns_apart

    def splits(
        self, corpus: Corpus, seed: int = 0, hashes: Mapping[str, str] | None = None, stratify: str | None = None
    ) -> tuple[Split, ...]:
        """Return the folds of a corpus.

        Args:
            corpus: the corpus.
            seed: seed of all random choices.
            hashes: id -> content hash; clips with equal content are kept on one side.
            stratify: the column, e.g. "emotion", whose shares are kept equal on sides that are drawn clip by clip.

        Raises:
            CorpusError: an utterance lacks the column `by`, a stated value does not occur, or there are too few values or clips.
        """
        folds = self._splits(corpus, seed, hashes, stratify)
        if self.chosen_on_test:
            folds = (dataclasses.replace(split, validation=split.test, chosen_on_test=True) for split in folds)
        return tuple(folds)

    def _splits(self, corpus: Corpus, seed: int, hashes: Mapping[str, str] | None, stratify: str | None):
        if self.kind == "random":
            return (self._random(corpus, seed, hashes or {}, stratify),)
        values = self._values(corpus)
        if self.kind == "stratified-k-fold":
            return self._stratified(corpus, values, seed, hashes or {}, stratify)
        names = sorted(set(values.values()))
        if self.kind == "cross-corpus":
            return (self._cross(values, names, seed),)
        if self.kind == "leave-one-out":
            tested = [(name,) for name in names]
        elif self.kind == "k-fold":
            if len(names) < self.folds:
                raise CorpusError(
                    f"{self.folds} folds by {self.by} need as many values. Received: {len(names)} ({listed(names)})."
                )
            names = [names[i] for i in np.random.default_rng(seed).permutation(len(names))]
            tested = [tuple(names[i :: self.folds]) for i in range(self.folds)]
            names = [name for fold in tested for name in fold]
        elif self.kind == "matched":
            count = int(self.test) if self.test >= 1 else round(self.test * len(names))
            if not 0 < count < len(names):
                raise CorpusError(
                    f"the protocol {self.name!r} tests {count} values of {self.by}, and the corpus has {len(names)}. Choose "
                    "another `test`."
                )
            tested = [matched(corpus, self.by, names, count, self.match, seed)]
            rest = [name for name in names if name not in tested[0]]
            names = [*tested[0], *(rest[i] for i in np.random.default_rng(seed).permutation(len(rest)))]
        else:
            tested = list(self.stated)
            strays = sorted({v for fold in tested for v in fold} - set(names))
            if strays:
                raise CorpusError(
                    f"the protocol {self.name!r} tests {self.by} {listed(map(shown, strays))}, which the corpus lacks. "
                    f"It has: {listed(map(shown, names))}."
                )
            names = list(dict.fromkeys([*(name for fold in tested for name in fold), *names]))
        beside = self._beside(corpus, values)
        folds = (self._fold(i, set(fold), names, values, beside) for i, fold in enumerate(tested))
        if 0 < self.validation < 1:
            folds = (self._share(split, corpus, seed, hashes or {}, stratify) for split in folds)
        return tuple(folds)

    def _beside(self, corpus: Corpus, values: Mapping[str, str]) -> dict[str, set[str]]:
        """Return value of `by` -> the values of `within` that its clips have."""
        found: dict[str, set[str]] = {}
        for u in corpus:
            if self.within and u.column(self.within) is not None:
                found.setdefault(values[u.id], set()).add(str(u.column(self.within)))
        return found

    def _values(self, corpus: Corpus) -> dict[str, str]:
        lacking = [u.id for u in corpus if u.column(self.by) is None]
        if lacking:
            raise CorpusError(
                f"the protocol {self.name!r} needs a {self.by} for each utterance; {len(lacking)} of {len(corpus)} have "
                f"none: {listed(lacking)}. Name it in the corpus's metadata (of a manifest, the column {self.by}), or choose "
                "--protocol random."
            )
        return {u.id: str(u.column(self.by)) for u in corpus}

    def _fold(
        self,
        fold: int,
        tested: set[str],
        names: list[str],
        values: Mapping[str, str],
        beside: Mapping[str, set[str]],
    ) -> Split:
        last = max(names.index(name) for name in tested)
        following = [names[(last + i) % len(names)] for i in range(1, len(names))]
        shared = set().union(*(beside.get(name, ()) for name in tested))
        unofficial = {name for name in names if self.by == "subset" and official_side(name) != "validation"}
        following.sort(key=lambda name: (name in unofficial, not shared & beside.get(name, set())))  # stable
        chosen = set([name for name in following if name not in tested][: int(self.validation)])
        side = {
            name: "test" if name in tested else "validation" if name in chosen else "train"
            for name in sorted(set(names))
        }
        ids = {s: tuple(i for i, value in values.items() if side[value] == s) for s in SIDES}
        return Split(self.name, fold, ids["train"], ids["validation"], ids["test"], self.columns_apart)

    def _share(self, split: Split, corpus: Corpus, seed: int, hashes: Mapping[str, str], stratify: str | None) -> Split:
        """Draw the validation set from the clips of the training set; only the test set is kept apart."""
        train = set(split.train)
        # clips that are also in the test set stay here, for `check_split` to find
        units = [[i for i in ids if i in train] for ids in held_together(corpus, hashes)]
        sides = drawn([ids for ids in units if ids], {"validation": self.validation}, corpus, seed, stratify)
        return dataclasses.replace(split, train=sides["train"], validation=sides["validation"], validation_apart=False)

    def _cross(self, values: Mapping[str, str], names: Sequence[str], seed: int) -> Split:
        """Use some values of `by` for validation and test the others; no clip of the corpus trains."""
        count = max(1, round(self.validation * len(names)))
        if count >= len(names):
            raise CorpusError(f"the protocol {self.name!r} needs at least two {self.by}s. Received: {listed(names)}.")
        chosen = {names[i] for i in np.random.default_rng(seed).permutation(len(names))[:count]}
        sides = [tuple(i for i, value in values.items() if (value in chosen) == inside) for inside in (True, False)]
        return Split(self.name, 0, (), *sides, self.columns_apart, foreign=True)

    def _stratified(
        self, corpus: Corpus, values: Mapping[str, str], seed: int, hashes: Mapping[str, str], stratify: str | None
    ) -> tuple[Split, ...]:
        """Deal the clips of each value of `by`, class by class: each to the fold with the fewest of that value, of that class
        among those, and in total."""
        classes = {u.id: str(u.column(stratify)) if stratify else "" for u in corpus}
        strata: dict[str, dict[str, list[Sequence[str]]]] = {}
        for ids in held_together(corpus, hashes):
            strata.setdefault(values[ids[0]], {}).setdefault(classes[ids[0]], []).append(ids)
        few = sorted(name for name, found in strata.items() if sum(map(len, found.values())) < self.folds)
        if few:
            raise CorpusError(
                f"{self.folds} folds with every {self.by} in each need {self.folds} recordings of each; {len(few)} have fewer: "
                f"{listed(few)}. Choose fewer folds, or leave them out."
            )
        rng = np.random.default_rng(seed)
        folds: list[list[str]] = [[] for _ in range(self.folds)]
        dealt: dict[str, np.ndarray] = {label: np.zeros(self.folds) for label in set(classes.values())}
        for name in sorted(strata):
            mine = np.zeros(self.folds)
            for label in sorted(strata[name]):
                units = strata[name][label]
                for i in rng.permutation(len(units)):
                    fold = np.lexsort((list(map(len, folds)), dealt[label], mine))[0]
                    folds[fold] += units[i]
                    mine[fold] += 1
                    dealt[label][fold] += len(units[i])
        made = []
        for fold in range(self.folds):
            order = [folds[(fold + i) % self.folds] for i in range(self.folds)]
            chosen = [i for part in order[1 : 1 + int(self.validation)] for i in part]
            rest = [i for part in order[1 + int(self.validation) :] for i in part]
            made.append(Split(self.name, fold, *(tuple(sorted(ids)) for ids in (rest, chosen, order[0]))))
        return tuple(made)

    def _random(self, corpus: Corpus, seed: int, hashes: Mapping[str, str], stratify: str | None) -> Split:
        # the validation share is relative to the clips that are not in the test set
        shares = {"test": self.test, "validation": self.validation * (1 - self.test)}
        units = held_together(corpus, hashes) if self.together else [[u.id] for u in corpus]
        sides = drawn(units, shares, corpus, seed, stratify)
        return Split(self.name, 0, *(sides[side] for side in SIDES), self.apart, together=self.together)


# the protocol of `--protocol random`: a fifth of the clips is tested, and their speakers are also trained on
RANDOM = Protocol("random", "random", test=0.2, validation=0.1)
