"""Speaker verification: compare each system's embeddings of test clips by their cosine similarity.

Trials are written to each run's folder as they are scored (verification.csv), and are not scored twice.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from keras_ser.checks import counted, listed
from keras_ser.corpora import Corpus
from keras_ser.errors import UserError
from keras_ser.evaluation.learning import learning_of
from keras_ser.evaluation.verification_trials import (
    check_enrolment,
    enrolled_trials,
    enrolled_vectors,
    score_trials,
    trials,
)
from keras_ser.experiment.planning import by_validity, jobs
from keras_ser.experiment.stored import Step, kept_tables
from keras_ser.experiment.systems import System
from keras_ser.models import is_baseline
from keras_ser.pipelines.records import RecordCache
from keras_ser.pipelines.sources import Source, waveforms
from keras_ser.recipe import Recipe
from keras_ser.reports import Report, verification_report
from keras_ser.splits import LeakageError
from keras_ser.tasks import identity
from keras_ser.training import Data, Run, RunError
from keras_ser.training.heard import heard_speakers
from keras_ser.training.predictions import own_source
from keras_ser.training.run import model_file

TRIALS = 50_000


def check_verifiable(recipes: Iterable[Recipe], corpora: Iterable[Corpus]) -> None:
    """Check that models have embeddings and corpora have speakers.

    Raises:
        UserError: a model is a baseline, or a clip has no speaker.
    """
    for recipe in recipes:
        if is_baseline(recipe):
            raise UserError(
                f"speakers are verified by the embeddings of a network. Received: {recipe.name}, a baseline ({recipe.model}), "
                "which has none. Give the run of a network."
            )
    for corpus in corpora:
        nameless = [u.id for u in corpus if u.speaker is None]
        if nameless:
            raise UserError(
                f"the verification of {corpus.name} needs the speaker of every clip. Received: {len(nameless)} of {len(corpus)} "
                f"without, the first {nameless[0]}. Name them, or verify another corpus."
            )


def run_verification(
    systems: Mapping[str, System],
    data: Data,
    out: Path | str,
    *,
    folds: Sequence[int] | None = None,
    most: int | None = TRIALS,
    paper: Mapping[str, Mapping[str, float]] | None = None,
    title: str = "",
    notes: Sequence[str] = (),
    on_step: Step | None = None,
) -> Report:
    """Score the last protocol's runs of several systems on the same trials, and write the report to `out`.

    Args:
        systems: name -> trained system.
        data: their corpora.
        out: folder of the report.
        folds: see `jobs`.
        most: maximum number of trials per run; None = all pairs of test clips.
        paper, title, notes: see `verification_report`.
        on_step: called with (number, number of steps, description) before each run.

    Raises:
        RunError: no run is finished.
        UserError: see `check_verifiable`; or a test set has no two clips of one speaker.
    """
    check_verifiable((system.recipe for system in systems.values()), [data.corpus])
    todo, missing = [], [sentence for system in systems.values() for sentence in system.missing]
    for name, system in systems.items():
        protocol = by_validity(system.recipe.protocols)[-1].name
        for job in jobs(system.recipe, data, folds):
            folder = system.folder / job.folder
            if job.protocol.name != protocol or (protocol, job.split.fold, job.seed) not in system.runs:
                continue
            if model_file(folder):
                todo.append((name, Run.load(folder)))
            else:
                missing.append(f"{name}: {job.folder} is unfinished and excluded.")
    if not todo:
        raise RunError(f"no run of {', '.join(systems)} is finished. Train them first.")
    asked = {"data": data.digest, "most": most}

    parts = [(run, {"system": name}, asked, partial(trial_scores, run, data, most)) for name, run in todo]
    table = kept_tables("verification", parts, on_step=on_step)
    by_system = {name: [run for other, run in todo if other == name] for name in dict(todo)}
    made = verification_report(
        title or f"Speaker verification on {data.corpus.name}",
        table,
        learned={name: learning_of(runs) for name, runs in by_system.items()},
        paper=paper,
        missing=list(dict.fromkeys(missing)),
        notes=notes,
    )
    made.save(out)
    return made


def run_enrolled(
    systems: Mapping[str, Sequence[Run]],
    corpora: Sequence[tuple[Corpus, RecordCache]],
    out: Path | str,
    *,
    utterances: int = 20,
    notes: Sequence[str] = (),
    on_step: Step | None = None,
) -> Report:
    """Verify speakers not seen in training, each enrolled by some utterances, and write the report.

    Args:
        systems: name -> its runs.
        corpora: the corpora of the speakers, each with its waveforms. Speakers on whom a run of the fold, of whichever system, was
            trained or validated are left out (of its own corpus, those of the test set remain), so that all systems are scored on
            the same trials, and so are speakers with too few clips; the report says so.
        out: where the report goes.
        utterances: number of utterances that enrol a speaker.
        notes, on_step: see `run_verification`.

    Raises:
        UserError: see `check_verifiable`.
        LeakageError: the runs of a fold were trained on all speakers.
        TrialsError: see `enrolled_trials`.
    """
    check_verifiable((run.recipe for runs in systems.values() for run in runs), [corpus for corpus, _ in corpora])
    names = [corpus.name for corpus, _ in corpora]
    digests = [Data(corpus, cache).digest for corpus, cache in corpora]
    heard = _heard_together([run for runs in systems.values() for run in runs], corpora)
    few, parts = set(), []
    for name, runs in systems.items():
        for run in runs:
            known = heard[run.split.protocol, run.split.fold]
            left = [
                identity(u.speaker, corpus.name)
                for (corpus, cache), some in zip(corpora, known, strict=True)
                for u in corpus
                if u.id not in cache.dropped and u.speaker not in some
            ]
            few |= set(check_enrolment(left, utterances))
            asked = {"corpora": names, "data": digests, "utterances": utterances, "heard": list(map(sorted, known))}
            score = partial(_enrolled_scores, run, corpora, known, utterances)
            parts.append((run, {"system": name}, asked, score))
    table = kept_tables(f"enrolled-{'-'.join(names)}", parts, on_step=on_step)
    enrol = f"{counted(utterances, 'utterance')} enrol{'s' * (utterances == 1)} a speaker"
    told = [f"{enrol}; every other utterance is compared with all speakers."]
    for k, (corpus, _) in enumerate(corpora):
        counts = sorted(len(known[k]) for known in heard.values())
        if counts[-1]:
            who = "a run" if len(systems) == 1 else "a run of any system"
            count = f"{counts[0]} to {counts[-1]}" if counts[0] < counts[-1] else f"{counts[0]}"
            every = f"{len(corpus.counts('speaker'))} speakers of {corpus.name}{' in each fold' * (len(counts) > 1)}"
            told.append(f"Left out, since {who} was trained or validated on them: {count} of the {every}.")
    if few:
        who = f"{counted(len(few), 'speaker')}, {listed(sorted(few))}"
        told.append(f"Left out, since they have {counted(utterances, 'clip')} or fewer: {who}.")
    title = f"Verification of speakers of {', '.join(names)}"
    learned = {name: learning_of(runs) for name, runs in systems.items()}
    made = verification_report(title, table, notes=(*told, *notes), learned=learned)
    made.save(out)
    return made


def _heard_together(
    runs: Sequence[Run], corpora: Sequence[tuple[Corpus, RecordCache]]
) -> dict[tuple[str, int], list[set[str]]]:
    """Return (protocol, fold) -> for each corpus, the speakers on whom a run of that fold was trained or validated.

    Raises:
        LeakageError: these are all speakers of all corpora.
    """
    found: dict[tuple[str, int], list[set[str]]] = {}
    by: dict[tuple[str, int], dict[str, None]] = {}
    for run in runs:
        fold = run.split.protocol, run.split.fold
        before = found.get(fold, [set() for _ in corpora])
        mine = [heard_speakers(run, corpus, cache.hashes) for corpus, cache in corpora]
        found[fold] = [a | b for a, b in zip(before, mine, strict=True)]
        if any(mine):
            by.setdefault(fold, {})[run.recipe.name] = None
    for fold, heard in found.items():
        if all(len(some) == len(corpus.counts("speaker")) for some, (corpus, _) in zip(heard, corpora, strict=True)):
            who = f"{listed(list(by[fold]))} {'were together' if len(by[fold]) > 1 else 'was'}"
            every = ", ".join(corpus.name for corpus, _ in corpora)
            raise LeakageError(f"{who} trained on all speakers of {every}. Verify others.")
    return found


def _enrolled_scores(
    run: Run,
    corpora: Sequence[tuple[Corpus, RecordCache]],
    heard: Sequence[set[str]],
    utterances: int,
    step: Callable[[str], None],
) -> pd.DataFrame:
    """Return a row per trial, see `trial_scores`; a is the enrolled speaker, b the clip."""
    step("embeddings")
    parts, clips, named = [], [], []
    for (corpus, cache), known in zip(corpora, heard, strict=True):
        kept = [i for i, u in enumerate(corpus) if u.id not in cache.dropped and u.speaker not in known]
        if kept:
            indices, x = _embedded(run, Source("verification", 0, cache, np.array(kept, "int64"), {}))
            parts.append(x)
            found = [corpus.utterances[i] for i in indices]
            clips += found
            named += [identity(u.speaker, corpus.name) if len(corpora) > 1 else u.speaker for u in found]
    x = np.concatenate(parts)
    enrolled, model, clip = enrolled_trials(named, utterances)
    names, gender = list(enrolled), {name: u.gender or "" for name, u in zip(named, clips, strict=True)}
    vectors = np.concatenate([enrolled_vectors(x, list(enrolled.values())), x])
    speakers = [names[k] for k in model], [named[i] for i in clip]
    return pd.DataFrame(
        {
            "a": [f"{name} (enrolled)" for name in speakers[0]],
            "b": [clips[i].id for i in clip],
            "speaker_a": speakers[0],
            "speaker_b": speakers[1],
            "gender_a": [gender[name] for name in speakers[0]],
            "gender_b": [gender[name] for name in speakers[1]],
            "same": np.array(speakers[0]) == np.array(speakers[1]),
            "score": score_trials(vectors, model, clip + len(names)),
        }
    )


def trial_scores(run: Run, data: Data, most: int | None, step: Callable[[str], None]) -> pd.DataFrame:
    """Return a row per trial of a run's test set: a, b, speaker_a, speaker_b, gender_a, gender_b, same, score.

    The trials depend only on the split, so that all systems share them.
    """
    step("embeddings")
    indices, x = embeddings(run, data)
    clips = [data.corpus.utterances[i] for i in indices]
    a, b, same = trials([clip.speaker for clip in clips], seed=run.split.fold, most=most)
    columns = {}
    for side, chosen in (("a", a), ("b", b)):
        columns[side] = [clips[i].id for i in chosen]
        columns[f"speaker_{side}"] = [clips[i].speaker for i in chosen]
        columns[f"gender_{side}"] = [clips[i].gender or "" for i in chosen]
    return pd.DataFrame({**columns, "same": same, "score": score_trials(x, a, b)})


def embeddings(run: Run, data: Data) -> tuple[np.ndarray, np.ndarray]:
    """Return the embeddings of the test clips, the input of the heads: indices (clips,) and (clips, units)."""
    return _embedded(run, own_source(run, data))


def _embedded(run: Run, source: Source) -> tuple[np.ndarray, np.ndarray]:
    from keras_ser.models.whole_model import recipe_embedder
    from keras_ser.training.inference import forward, gathered

    infer = forward(recipe_embedder(run.recipe, run.model()))
    batches = waveforms(source, source.draw(run.seed))
    found, extra = gathered(({"embedding": infer(given)}, extra) for given, extra in batches)
    return extra["index"], found["embedding"]
