"""The corpora of a recipe, decoded once, and the streams that read them."""

import functools
import hashlib
import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from keras_ser.audio.noise import load_noises, noise_files
from keras_ser.corpora import Corpus, CorpusError
from keras_ser.errors import UserError
from keras_ser.pipelines.balance import rule_table
from keras_ser.pipelines.noises import meant, noise_bank
from keras_ser.pipelines.records import RecordCache, cache
from keras_ser.pipelines.sources import Source, encode_labels
from keras_ser.recipe import Recipe
from keras_ser.settings import CLEAN, Stream, of_stream
from keras_ser.splits import Split
from keras_ser.tasks import Task

BABBLE_CLIPS, BABBLE_SECONDS = 64, 60.0


@dataclass(frozen=True, repr=False)
class Data:
    """A decoded corpus, with its auxiliary corpora and noises.

    Args:
        corpus: the recipe's corpus.
        cache: the waveforms of the corpus.
        auxiliary: name -> (corpus, cache) of the corpora that streams name. Default: none.
        noise_root: folder of noise files, if streams name any. Default None.
    """

    corpus: Corpus
    cache: RecordCache
    auxiliary: Mapping[str, tuple[Corpus, RecordCache]] = field(default_factory=dict)
    noise_root: Path | None = None

    def __repr__(self) -> str:
        others = "".join(f", {name}: {len(corpus)}" for name, (corpus, _) in self.auxiliary.items())
        seconds = self.cache.lengths.sum() / self.cache.sample_rate
        return f"<Data {self.corpus.name}: {len(self.cache)} clips{others}, {seconds / 60:.1f} min at {self.cache.sample_rate} Hz>"

    @functools.cached_property
    def digest(self) -> str:
        """SHA-1 of the corpora: samples, labels and groups of all utterances; not of where and when they were stored."""
        return _sha1(self._facts)

    def digest_of(self, recipe: Recipe) -> str:
        """Return `digest`, of the noise files that the streams of a recipe mix in, too."""
        found = self.noise_hashes(mixed_noises(recipe))
        return _sha1([*self._facts, found]) if found else self.digest

    def noise_hashes(self, names: Iterable[str]) -> dict[str, str]:
        """Return stem -> SHA-1 of the samples of the noise files that names in a stream mean."""
        files = noise_files(self.noise_root) if self.noise_root else {}
        stems = sorted({stem for name in names for stem in meant(name, files)})
        new = set(stems) - set(self._noise_hashes)
        if new:
            self._noise_hashes.update(noise_hashes(load_noises(self.noise_root, self.cache.sample_rate, new)))
        return {stem: self._noise_hashes[stem] for stem in stems}

    @functools.cached_property
    def _noise_hashes(self) -> dict[str, str]:
        return {}

    @functools.cached_property
    def _facts(self) -> list:
        every = {"": (self.corpus, self.cache), **self.auxiliary}
        return [_facts(name, *pair) for name, pair in sorted(every.items())]

    @property
    def readable(self) -> Corpus:
        """The corpus without the clips that could not be read."""
        return replace(self.corpus, utterances=tuple(u for u in self.corpus if u.id not in self.cache.dropped))

    @classmethod
    def load(
        cls,
        recipe: Recipe,
        corpus: Corpus,
        folder: Path,
        auxiliary: Mapping[str, Corpus] | None = None,
        noise_root: Path | None = None,
        **options,
    ) -> "Data":
        """Decode the corpora of a recipe into caches under `folder`, or reuse existing ones.

        Args:
            recipe: its main front end gives the sample rate.
            corpus: the recipe's corpus.
            folder: folder of the caches.
            auxiliary: name -> corpus, for the corpora that streams name.
            noise_root: folder of noise files.
            **options: further arguments of `keras_ser.pipelines.records.cache`.
        """
        rate = recipe.frontend.sample_rate
        decoded = cache(corpus, folder, sample_rate=rate, **options)
        loaded = {n: (c, cache(c, folder, sample_rate=rate, **options)) for n, c in (auxiliary or {}).items()}
        return cls(corpus, decoded, loaded, noise_root)

    def source(self, recipe: Recipe, number: int, split: Split, side: str, seed: int) -> Source:
        """Make the source of stream `number` of a recipe on one side of a split.

        An auxiliary corpus is used as a whole. It trains identities, which are named by corpus, but no other task on the main
        task's column unless the stream `teaches`, since its labels there may have another meaning or unknown names.

        Args:
            recipe: the recipe.
            number: number of the stream.
            split: the split.
            side: "train", "validation" or "test". The balance always comes from the training set.
            seed: draws generated noises, and the labelled speakers.

        Raises:
            UserError: a task does not know a label, or a noise does not exist.
            CorpusError: the side has no readable clip.
        """
        stream = recipe.streams[number]
        corpus, waveforms = self.auxiliary[stream.corpus] if stream.corpus else (self.corpus, self.cache)
        wanted = stream.chosen(corpus) if stream.corpus else set(getattr(split, side))
        indices = np.array(
            [i for i, u in enumerate(corpus) if u.id in wanted and u.id not in waveforms.dropped], "int64"
        )
        if not len(indices):
            raise CorpusError(
                f"{corpus.name} has no readable clip in the {side} set of protocol {split.protocol!r}, fold {split.fold}. "
                "Mend the files, or choose another protocol or fold."
            )
        main, table, rounds = recipe.tasks[0], None, 1.0
        tasks = [task for task in recipe.tasks if not of_stream(task)]
        known = not stream.corpus or stream.teaches
        untaught = [task for task in tasks if not known and task.column == main.column and not task.identity]
        labels = encode_labels(corpus, tasks, untaught, auxiliary=bool(stream.corpus))
        told = None
        if recipe.labelled < 1 and side == "train" and not stream.corpus:
            chosen = labelled_clips(corpus, {corpus.utterances[i].id for i in indices}, recipe.labelled, seed)
            told = np.array([u.id in chosen for u in corpus])
            for task in (task for task in tasks if task.column == main.column and not task.identity):
                values, weights = labels[task.name]
                labels[task.name] = values, np.where(told, weights, 0).astype(weights.dtype)
            if not recipe.unlabelled:
                whole, indices = len(indices), indices[told[indices]]
                rounds = whole / len(indices)
        if known and not main.continuous and main.name in labels:
            counted = wanted if stream.corpus else split.train if told is None else chosen
            table = rule_table(corpus, main, counted, bool(stream.corpus))
            if told is not None:
                table = np.where(told, table, 0).astype(table.dtype)  # a rule of withheld labels would tell them
        bank = []
        if stream.noises:
            speech = self._babble(recipe, split) if "babble" in stream.noises else ()
            bank = noise_bank(stream.noises, side, recipe.frontend.sample_rate, seed, speech, self.noise_root)
        return Source(
            name=stream.name,
            number=number,
            cache=waveforms,
            indices=indices,
            labels=labels,
            share=stream.share,
            rules=table,
            bank=tuple(bank),
            mixed=noise_classes(stream, recipe.tasks),
            snr=stream.snr,
            redraw=stream.redraw,
            rounds=rounds,
            origins=_origins(corpus) if recipe.windows else None,
        )

    def sources(self, recipe: Recipe, streams: Iterable[int], split: Split, side: str, seed: int) -> list[Source]:
        """Make the sources of several streams to train on or to choose an epoch by: in a control, their labels are `shuffled`."""
        found = [self.source(recipe, number, split, side, seed) for number in streams]
        return [shuffled(source, recipe, found, seed) for source in found]

    @property
    def others(self) -> list[tuple[Corpus, Mapping[str, str]]]:
        """The auxiliary corpora with the content hashes of their clips, as arguments of `keras_ser.splits.check_split`."""
        return [(corpus, waveforms.hashes) for corpus, waveforms in self.auxiliary.values()]

    def _babble(self, recipe: Recipe, split: Split) -> list[np.ndarray]:
        """Return speech of the training set: of the recipe's corpus, or of the other corpora that alone train."""
        if not split.foreign:
            return self.speech(split.train)
        found = []
        for stream in (stream for stream in recipe.streams if stream.corpus):
            corpus, waveforms = self.auxiliary[stream.corpus]
            found += Data(corpus, waveforms).speech(sorted(stream.chosen(corpus)))
        return found

    def speech(self, ids: Sequence[str]) -> list[np.ndarray]:
        """Return the speech that babble is made of: the beginnings of up to `BABBLE_CLIPS` evenly spaced clips, (samples,)."""
        wanted = set(ids) - set(self.cache.dropped)
        indices = np.array([i for i, u in enumerate(self.corpus) if u.id in wanted])
        indices = indices[np.unique(np.linspace(0, len(indices) - 1, min(BABBLE_CLIPS, len(indices))).astype(int))]
        most = round(BABBLE_SECONDS * self.cache.sample_rate)
        return [clip["waveform"][:most].copy() for clip in self.cache.dataset(indices).as_numpy_iterator()]


def labelled_clips(corpus: Corpus, train: Collection[str], share: float, seed: int) -> set[str]:
    """Return the training clips, among the ids `train`, of the speakers whose labels are used.

    The number of speakers is `share` of them, rounded up. Their order depends only on the seed, so that a larger share includes
    the speakers of a smaller one.

    Raises:
        UserError: clips lack a speaker.
    """
    speakers = {u.id: u.speaker for u in corpus if u.id in train}
    nameless = sum(speaker is None for speaker in speakers.values())
    if nameless:
        raise UserError(f"`labelled` selects whole speakers, but {nameless} clips of {corpus.name} name none.")
    names = sorted(set(speakers.values()))
    chosen = set(np.random.default_rng([seed, 11]).permutation(names)[: math.ceil(round(share * len(names), 9))])
    return {i for i, speaker in speakers.items() if speaker in chosen}


def shuffled(source: Source, recipe: Recipe, sources: Sequence[Source], seed: int) -> Source:
    """Shuffle the labels of the tasks in `recipe.shuffle`, in the same way for all streams of a corpus.

    Windows of a clip keep a common label: with independent labels there would be nothing to learn. Labels of the mixed-in noise,
    which only the stream knows, are drawn for each clip from the class frequencies.
    """
    labels, indices = dict(source.labels), source.indices
    origins = indices if source.origins is None else source.origins[indices]
    for k, task in enumerate(recipe.tasks):
        if task.name in recipe.shuffle and task.name in labels:
            values, weights = (column.copy() for column in labels[task.name])
            alike = np.stack([origins, values[indices], weights[indices]], axis=1)
            _, first, place = np.unique(alike, axis=0, return_index=True, return_inverse=True)
            order = np.random.default_rng([seed, k]).permutation(indices[first])
            place = place.reshape(-1)  # its shape differs in NumPy 2.0
            values[indices], weights[indices] = values[order][place], weights[order][place]
            labels[task.name] = values, weights
    odds = {}
    for task in recipe.tasks:
        if task.name in recipe.shuffle and task.name in source.mixed:
            mixed = [(s.mixed[task.name], s.share) for s in sources]
            seen = [np.bincount(classes, minlength=task.size) / len(classes) * share for classes, share in mixed]
            odds[task.name] = tuple(np.sum(seen, axis=0) / np.sum(seen))
    return replace(source, labels=labels, odds=odds)


def _origins(corpus: Corpus) -> np.ndarray:
    """Return the number of the recording from which each utterance was cut."""
    return np.unique([u.groups.get("origin", u.id) for u in corpus], return_inverse=True)[1]


def mixed_noises(recipe: Recipe) -> set[str]:
    """Return the noises that a recipe's streams mix in, or those of its model 1, as the streams name them."""
    found = {name for stream in recipe.streams for name in stream.noises}
    return found | (mixed_noises(recipe.first) if recipe.first else set())


def _sha1(facts: list) -> str:
    return hashlib.sha1(json.dumps(facts).encode()).hexdigest()


def noise_hashes(noises: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Return the SHA-1 of the samples of each noise."""
    return {name: hashlib.sha1(np.ascontiguousarray(wave, "<f4")).hexdigest() for name, wave in noises.items()}


def _facts(name: str, corpus: Corpus, waveforms: RecordCache) -> list:
    return [name, waveforms.sample_rate] + [
        [u.id, waveforms.hashes.get(u.id), u.speaker, u.gender, sorted(u.labels.items()), sorted(u.groups.items())]
        for u in corpus
    ]


def noise_classes(stream: Stream, tasks: Sequence[Task]) -> dict[str, tuple[int, ...]]:
    """Return the classes of a stream's noises, or of the clean clips, for each task whose labels come from the stream.

    Raises:
        UserError: a noise is not a class of such a task.
    """
    found = {}
    for task in filter(of_stream, tasks):
        classes = [(name, *task.encode(name)) for name in stream.noises or (CLEAN,)]
        ignored = [name for name, _, weight in classes if not weight]
        if ignored:
            raise UserError(
                f"the task {task.name!r} ignores {ignored[0]!r}, which the stream {stream.name!r} holds. Make it one of its "
                "labels, or merge it."
            )
        found[task.name] = tuple(int(value) for _, value, _ in classes)
    return found
