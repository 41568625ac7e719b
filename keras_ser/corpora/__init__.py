"""Corpora: labelled utterances with their speakers, read from a folder on disk or synthesised (`demo`).

    corpus = read_corpus("emodb", "/data/emodb")
    for utterance in corpus:
        corpus.file(utterance), utterance.speaker, utterance.labels["emotion"]

Conventions of this package:

* An adapter is a module: a description of the corpus, its vocabulary as a constant, and `read(root, **options) -> Corpus`.
  It reads file names and label files and never decodes audio, so reading is fast; `keras_ser.corpora.inspection` inspects the
  audio.
* Every adapter accepts both `.wav` and `.flac`. Hidden files are ignored. Utterances are sorted by id, independently of the
  file system.
* An emotion has the same name in all corpora: anger, boredom, calm, disgust, excited, fear, frustration, happiness, neutral,
  sadness, surprise. A `Task` can merge or ignore labels.
* Names of speakers and groups are those of their corpus. Across corpora they are "corpus/name"
  (`keras_ser.tasks.identity`): "03" of EmoDB and "03" of RAVDESS are two people. Corpora of one adapter share their names,
  so the same name in two manifests is one person. A manifest may name a speaker of another corpus, as "ravdess/03".
* Nothing is dropped silently: a root that is missing, empty or belongs to another corpus, and missing, unknown or extra files
  raise a `CorpusError` that lists the first ten cases.
* A root one level too high (or, if unambiguous, too low) is accepted.

No TensorFlow here.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from keras_ser.checks import listed
from keras_ser.corpora import (
    afew,
    avec2016,
    crema_d,
    demo,
    emodb,
    iemocap,
    librispeech,
    manifest,
    msp_improv,
    ravdess,
    slr45,
)
from keras_ser.corpora.corpus import Corpus, CorpusError, Utterance
from keras_ser.corpora.task_labels import check_task
from keras_ser.files import user_path

__all__ = ["CORPORA", "Corpus", "CorpusError", "Utterance", "check_task", "read_corpus"]

_ADAPTERS = (afew, avec2016, crema_d, demo, emodb, iemocap, librispeech, manifest, msp_improv, ravdess, slr45)
# Name -> reader.
CORPORA: Mapping[str, Callable[..., Corpus]] = MappingProxyType(
    {adapter.__name__.rpartition(".")[2]: adapter.read for adapter in _ADAPTERS}
)


def read_corpus(name: str, root: str | Path | None = None, *, speakers: int = 0, **options: Any) -> Corpus:
    """Read a corpus by its adapter's name.

    Args:
        name: a key of `CORPORA`.
        root: the corpus's folder (`manifest`: its table; `demo`: the folder to write to, by default a cache folder).
        speakers: number of speakers to draw (`Corpus.of_speakers`), or an option of the adapter, as of `demo`; 0 = all.
        **options: further arguments of the adapter's `read`, e.g. `metadata=` for `afew`.

    Returns:
        The corpus; its `read_by` holds the root and the options.

    Raises:
        CorpusError: an unknown name or option; no root; any error of the adapter.
    """
    if name not in CORPORA:
        raise CorpusError(f"the corpus must be one of {listed(CORPORA, len(CORPORA))}. Received: {name!r}.")
    reader = CORPORA[name]
    known = [key for key in inspect.signature(reader).parameters if key != "root"]
    if speakers and "speakers" in known:
        options, speakers = {**options, "speakers": speakers}, 0
    unknown = [key for key in options if key not in known]
    if unknown:
        raise CorpusError(f"{name} takes {listed(known) or 'no options'}. Received: {listed(unknown)}.")
    if root is None and name != "demo":
        raise CorpusError(
            f"{name} is read from disk and needs a root. Received: no root. Give the folder of the corpus."
        )
    corpus = reader(root, **options)
    read_by = {"root": str(user_path(root or corpus.root).resolve())}
    if speakers:
        corpus, read_by["speakers"] = corpus.of_speakers(speakers), speakers
    for key, value in options.items():
        read_by[key] = str(Path(value).resolve()) if key == "metadata" or isinstance(value, Path) else value
    return replace(corpus, read_by=read_by)
