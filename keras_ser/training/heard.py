"""What a run has heard: clips, speakers and audio that trained or validated it, or a run that its weights descend from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_ser.corpora import Corpus
from keras_ser.corpora.spelling import comparable
from keras_ser.errors import UserError
from keras_ser.files import write_json
from keras_ser.recipe import Recipe
from keras_ser.splits import Split
from keras_ser.splits.recordings import recording_names
from keras_ser.tasks import identity
from keras_ser.training.data import Data
from keras_ser.training.run import Run, as_object, stored

HEARD = "heard.json"
DIGITS = 16  # of the content hashes that are stored


@dataclass(frozen=True)
class Heard:
    """Contents of heard.json.

    Args:
        clips: corpus -> ids.
        people: speakers, comparable across corpora (`people_of`).
        audio: content hashes, their first `DIGITS` digits; None = not all are known, of a run of an earlier version.
        recordings: those that the clips are of (`keras_ser.splits.recordings`); runs of earlier versions name none.
    """

    clips: Mapping[str, frozenset[str]]
    people: frozenset[str]
    audio: frozenset[str] | None
    recordings: frozenset[str] = frozenset()

    @classmethod
    def of(cls, told: Mapping[str, Mapping[str, Sequence[str]]]) -> "Heard":
        """Return what the contents of heard.json tell."""
        whole = all("audio" in entry for entry in told.values())
        return cls(
            {name: frozenset(entry["clips"]) for name, entry in told.items()},
            frozenset(person for name, entry in told.items() for person in people_of(entry["speakers"], name)),
            frozenset(content for entry in told.values() for content in entry["audio"]) if whole else None,
            frozenset(name for entry in told.values() for name in entry.get("recordings", ())),
        )

    def copies(self, corpus: Corpus, hashes: Mapping[str, str] | None = None) -> set[str]:
        """Return the clips of a corpus that are of a recording that was heard or, by their content `hashes`, sound like one."""
        alike = {i for i, content in (hashes or {}).items() if content[:DIGITS] in (self.audio or ())}
        return alike | {i for i, names in recording_names(corpus).items() if names & self.recordings}

    def clips_of(self, corpus: Corpus, hashes: Mapping[str, str] | None = None) -> set[str]:
        """Return the ids of a corpus that were heard, by name, as a copy, or as another cut of their recording."""
        return {*self.clips.get(corpus.name, ()), *self.copies(corpus, hashes)}

    def speakers_of(self, corpus: Corpus, hashes: Mapping[str, str] | None = None) -> set[str]:
        """Return the speakers of a corpus who were heard: by name, and those of `clips_of`."""
        clips = self.clips_of(corpus, hashes)
        return {
            u.speaker
            for u in corpus
            if u.speaker and (u.id in clips or people_of([u.speaker], corpus.name) <= self.people)
        }


def to_hear(
    recipe: Recipe, data: Data, split: Split, initial: Path | str | None = None
) -> dict[str, dict[str, list[str]]]:
    """Return the contents of heard.json of a run that is trained on a split from the weights of `initial`."""
    sides = [(data.corpus, data.cache, {*split.train, *split.validation})]
    sides += [(*data.auxiliary[s.corpus], s.chosen(data.auxiliary[s.corpus][0])) for s in recipe.streams if s.corpus]
    found = _stored(Run.find(initial)) if initial else {}
    for corpus, cache, asked in sides:
        names, ids = recording_names(corpus), asked - set(cache.dropped)
        before = found.get(corpus.name, {"clips": [], "speakers": [], "audio": []})
        speakers = {u.speaker for u in corpus if u.id in ids and u.speaker}
        found[corpus.name] = {
            "clips": sorted(ids.union(before["clips"])),
            "speakers": sorted(speakers.union(before["speakers"])),
            "recordings": sorted({name for i in ids for name in names[i]}.union(before.get("recordings", ()))),
        }
        if "audio" in before:
            contents = {cache.hashes[i][:DIGITS] for i in ids if i in cache.hashes}
            found[corpus.name]["audio"] = sorted(contents.union(before["audio"]))
    return found


def save_heard(recipe: Recipe, data: Data, split: Split, out: Path, initial: Path | str | None = None) -> None:
    """Write heard.json of a run, see `to_hear`."""
    write_json(out / HEARD, to_hear(recipe, data, split, initial))


def _stored(folder: Path) -> dict[str, dict[str, list[str]]]:
    """Return heard.json, {} for a run of an earlier version; raise RunError if it is damaged."""

    def read(data: Any) -> dict[str, dict[str, list[str]]]:
        for entry in as_object(data).values():
            if not all(isinstance(as_object(entry).get(name), list) for name in ("clips", "speakers")):
                raise UserError("expected the lists clips and speakers of each corpus.")
        return data

    return stored(folder / HEARD, read) if (folder / HEARD).exists() else {}


def heard_by(run: Run) -> Heard | None:
    """Return what a run has heard; None for a run of an earlier version, which has no heard.json.

    Raises:
        RunError: heard.json is damaged.
    """
    told = _stored(run.folder)
    return Heard.of(told) if told else None


def people_of(speakers: Iterable[str], corpus: str) -> set[str]:
    """Return the names of a corpus's speakers as they are compared with those of other corpora."""
    return {comparable(identity(speaker, corpus)) for speaker in speakers}


def heard_clips(
    run: Run, corpus: Corpus, hashes: Mapping[str, str] | None = None, *, together: bool = True
) -> set[str]:
    """Return the ids of a corpus on which a run was trained or validated; if `together`, also its `Heard.copies`."""
    told = heard_by(run)
    if told:
        return told.clips_of(corpus, hashes) if together else set(told.clips.get(corpus.name, ()))
    used = {*run.split.train, *run.split.validation} if corpus.name == run.recipe.corpus else set()
    for stream in run.recipe.streams:
        used |= stream.chosen(corpus) if stream.corpus == corpus.name else set()
    return used


def heard_speakers(run: Run, corpus: Corpus, hashes: Mapping[str, str] | None = None) -> set[str]:
    """Return the speakers of a corpus on whom a run was trained or validated: by name, and those of `heard_clips`."""
    told = heard_by(run)
    if told:
        return told.speakers_of(corpus, hashes)
    used, ids = heard_clips(run, corpus), {u.id for u in corpus}
    if not used <= ids or not used:
        # another corpus, or other clips under the name of one that was used
        trained = {comparable(label) for task in run.recipe.tasks if task.identity for label in task.labels}
        return {
            u.speaker
            for u in corpus
            if u.speaker and (comparable(identity(u.speaker, corpus.name)) in trained or (used and not trained))
        }
    return {u.speaker for u in corpus if u.speaker and u.id in used}
