"""Inspect a corpus's files: differences from the published counts, broken or silent audio, and duplicate audio.

`check` decodes every file as training does, one at a time, continues after bad files, and returns a `CorpusReport`.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

import numpy as np

from keras_ser.audio import CANCELLING, CONSTANT_OFFSET, SILENT_CHANNELS, AudioError, read_channels
from keras_ser.audio import problems as oddities
from keras_ser.audio.channels import survey
from keras_ser.audio.waveforms import content_hash
from keras_ser.checks import listed
from keras_ser.corpora.corpus import Corpus
from keras_ser.corpora.spelling import difference, differing_by_zeros, quoted, spellings, zeros
from keras_ser.progress import track

# Peak below which a clip counts as silent (-60 dB re full scale); RAVDESS's softest real clip peaks at 4.5e-3.
SILENCE = 1e-3
RESPELT = "one speaker under several spellings"
PROBLEMS = ("missing", "unreadable", "empty", "too short", "silent", "non-finite", CANCELLING, RESPELT)
ODD = (SILENT_CHANNELS, CONSTANT_OFFSET, "clipped", "far beyond full scale")
SHORTEST_SECONDS = 0.1  # shorter clips are reported
# Clips longer than this many medians and this many seconds are reported, since a batch is as long as its longest clip.
OUTLIER, OUTLIER_SECONDS = 10.0, 60.0
MOST_CLASSES = 20  # of a column of classes; in one of more values, most of them of a single clip, are texts


@dataclass(frozen=True)
class CorpusReport:
    """The findings of `check`."""

    name: str  # name of the corpus
    root: str  # its folder
    utterances: int  # number of utterances
    counts: Mapping[str, Mapping[str, int]]  # column -> value -> utterances, for the labels, the gender and the speaker
    ranges: Mapping[str, tuple[float, float, float]]  # continuous label -> (lowest, mean, highest)
    seconds: Mapping[str, float]  # "total", "min", "median" and "max" over the utterances that could be read
    sample_rates: Mapping[int, int]  # Hz -> number of utterances
    channels: Mapping[int, int]  # number of channels -> number of utterances
    untold: Mapping[str, int] = field(default_factory=dict)  # column -> number of utterances without a value in it
    # kind (of `PROBLEMS`) -> descriptions of the clips
    problems: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    # kind (of `ODD`) -> ids of clips that can be used, although they have a defect
    odd: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    differences: tuple[str, ...] = ()  # differences from the published corpus, one sentence each
    flaws: tuple[str, ...] = ()  # known flaws of the published corpus
    duplicates: tuple[tuple[str, ...], ...] = ()  # groups of ids with the same audio
    notes: tuple[str, ...] = ()  # unexpected but permitted properties, one sentence each

    @property
    def ok(self) -> bool:
        """True if every file can be used and the counts are the published ones."""
        return not self.problems and not self.differences

    def to_dict(self) -> dict[str, Any]:
        """Return the findings as plain values, for JSON."""
        return asdict(self) | {"ok": self.ok}

    def lines(self) -> list[str]:
        """Return the report as lines for a terminal."""
        seconds = self.seconds
        said = [
            f"{self.name}: {self.utterances} utterances under {self.root}",
            f"duration: {seconds['total'] / 3600:.2f} h; shortest {seconds['min']:.2f} s, "
            f"median {seconds['median']:.2f} s, longest {seconds['max']:.2f} s",
            "sample rate: " + ", ".join(f"{rate} Hz {count}" for rate, count in self.sample_rates.items()),
            "channels: " + ", ".join(f"{number} in {count}" for number, count in self.channels.items()),
        ]
        for column, values in self.counts.items():
            shown = [f"{value} {count}" for value, count in values.items()]
            head = f"{column} ({len(values)})" if len(values) > 1 else column
            said.append(f"{head}: {listed(shown, 30)}")
        said += [f"{key}: {low:.3f} to {high:.3f}, mean {mean:.3f}" for key, (low, mean, high) in self.ranges.items()]
        said += [f"no {column}: {count} utterances" for column, count in self.untold.items()]
        said += [f"difference: {text}" for text in self.differences]
        said += [f"{kind} ({len(cases)}): {listed(cases)}" for kind, cases in self.problems.items()]
        said += [f"odd, {kind} ({len(ids)}): {listed(ids)}" for kind, ids in self.odd.items()]
        said += [f"same audio: {' = '.join(ids)}" for ids in self.duplicates]
        said += [f"known flaw: {text}" for text in self.flaws]
        said += [f"note: {text}" for text in self.notes]
        said.append("ok" if self.ok else "not ok: see the differences and problems above")
        return said


def check(corpus: Corpus, progress: bool = False) -> CorpusReport:
    """Decode every utterance and compare the corpus with the published one; `progress` shows a bar."""
    problems: dict[str, list[str]] = {kind: [] for kind in PROBLEMS}
    odd: dict[str, list[str]] = {kind: [] for kind in ODD}
    rates, channels = Counter(), Counter()
    hashes: dict[tuple[int, str], list[str]] = {}
    lengths: dict[str, float] = {}
    for utterance in track(corpus.utterances, "reading", shown=progress):
        try:
            samples, rate = read_channels(corpus.file(utterance), utterance.start, utterance.end)
        except AudioError as error:
            problems[error.kind].append(utterance.id if error.kind == "empty" else f"{utterance.id} ({error})")
            continue
        seconds = lengths[utterance.id] = len(samples) / rate
        rates[rate] += 1
        channels[samples.shape[1]] += 1
        if seconds < SHORTEST_SECONDS:
            problems["too short"].append(f"{utterance.id} ({len(samples)} samples, {seconds:.3f} s)")
        # The range, not the level, since a constant offset is also silence. One sample has no range and is too short anyway.
        if len(samples) > 1 and np.ptp(samples, axis=0).max() / 2 < SILENCE:
            problems["silent"].append(utterance.id)
        else:
            hashes.setdefault((rate, content_hash(survey([samples], rate)(samples))), []).append(utterance.id)
        for kind in oddities(samples, rate):
            if kind == CANCELLING:
                problems[kind].append(f"{utterance.id} ({samples.shape[1]} channels)")
            elif kind in ODD:
                odd[kind].append(utterance.id)

    ranges, counts, untold = _columns(corpus)
    notes = [*corpus.notes]
    if not {*counts, *ranges} - {"speaker"}:
        notes.append("no column holds labels: a model needs one, such as emotion.")
    for column, values in counts.items():
        if len(values) == 1 and column in corpus.vocabulary:
            notes.append(
                f"every label of {column} is {quoted(next(iter(values)))}: a classifier needs at least two classes."
            )
        single = [quoted(value) for value, count in values.items() if count == 1]
        transcript = len(values) > MOST_CLASSES and 2 * len(single) > len(values)
        if single and column != "speaker" and not transcript:
            each = "each " if len(single) > 1 else ""
            notes.append(
                f"only one utterance {each}has the {column} {listed(single)}: it cannot be in training and in test."
            )
    facts = {u.id: u for u in corpus}
    duplicates = sorted(tuple(sorted(ids)) for ids in hashes.values() if len(ids) > 1)
    for ids in duplicates:
        for column in ("speaker", *corpus.vocabulary):
            values = sorted({str(facts[i].column(column)) for i in ids if facts[i].column(column) is not None})
            if len(values) > 1:
                notes.append(f"the same audio has the {column} {listed(values)}: {listed(ids)}.")
    groups = sorted({group for utterance in corpus for group in utterance.groups})
    for column in (*counts, *groups):
        for found in spellings(corpus.counts(column)):
            said = f"{listed(map(quoted, found))} differ by {difference(found)}"
            if column == "speaker":  # every protocol that keeps speakers apart is refused
                problems[RESPELT].append(said)
            else:
                way = f"A split by {column} rejects them." if column in groups else "A task must merge them."
                notes.append(f"{column} is spelt in several ways: {said}. {way}")
    if counts.get("speaker") and untold.get("speaker"):
        notes.append(
            f"{untold['speaker']} of {len(corpus)} utterances name no speaker: a protocol that keeps speakers apart needs one "
            "for each."
        )
    notes += [
        f"speakers that differ by {zeros(found)}: {listed(map(quoted, found))}. Splits take them for several people; if they are "
        "one, spell the name in one way."
        for found in differing_by_zeros(counts.get("speaker", ()))
    ]
    middle = median(lengths.values()) if lengths else 0.0
    long = {i: s for i, s in lengths.items() if s > max(OUTLIER_SECONDS, OUTLIER * middle)}
    if long:
        shown = listed(f"{i} {seconds:.0f} s" for i, seconds in long.items())
        notes.append(f"far longer than the median of {middle:.1f} s, which takes memory in training: {shown}.")
    if len(rates) > 1:
        notes.append(
            f"sample rates are mixed: {listed(f'{rate} Hz {count}' for rate, count in sorted(rates.items()))}."
        )
    return CorpusReport(
        name=corpus.name,
        root=str(corpus.root),
        utterances=len(corpus),
        counts=counts,
        ranges=ranges,
        seconds={
            "total": math.fsum(lengths.values()),
            "min": min(lengths.values(), default=0.0),
            "median": middle,
            "max": max(lengths.values(), default=0.0),
        },
        sample_rates=dict(sorted(rates.items())),
        channels=dict(sorted(channels.items())),
        untold=untold,
        problems={kind: tuple(cases) for kind, cases in problems.items() if cases},
        odd={kind: tuple(ids) for kind, ids in odd.items() if ids},
        differences=tuple(_differences(corpus)),
        flaws=tuple(corpus.flaws),
        duplicates=tuple(duplicates),
        notes=tuple(notes),
    )


def _columns(corpus: Corpus) -> tuple[dict, dict, dict]:
    """Return (ranges of the continuous labels, counts of all other columns, number of utterances without a column)."""
    names = list(dict.fromkeys(["emotion", *corpus.vocabulary, *(key for u in corpus for key in sorted(u.labels))]))
    ranges, counts, untold = {}, {}, {}
    for column in (*names, "gender", "speaker"):
        values = [value for value in (utterance.column(column) for utterance in corpus) if value is not None]
        if len(values) < len(corpus):
            untold[column] = len(corpus) - len(values)
        if values and all(isinstance(value, float) for value in values):
            ranges[column] = (min(values), math.fsum(values) / len(values), max(values))
        elif values:
            counts[column] = corpus.counts(column)
    return ranges, counts, untold


def _differences(corpus: Corpus) -> list[str]:
    """Describe the differences from `corpus.expected`, which holds the number of a column's different values, or their counts."""
    said = []
    for column, expected in corpus.expected.items():
        if column == "utterances":
            if len(corpus) != expected:
                said.append(f"expected {expected} utterances, found {len(corpus)}.")
            continue
        found = corpus.counts(column)
        if not isinstance(expected, Mapping):
            if len(found) != expected:
                said.append(f"{column}: expected {expected} different ones, found {len(found)}.")
            continue
        for value in (*expected, *(value for value in found if value not in expected)):
            if expected.get(value, 0) != found.get(value, 0):
                said.append(f"{column} {value}: expected {expected.get(value, 0)}, found {found.get(value, 0)}.")
    return said
