"""The demo corpus: speech-like utterances synthesised from a seed, to try everything without a download.

Each of `speakers` voices (f01, m02, f03, ..: alternately female and male) says each of `sentences` nonsense sentences in each
of AFEW's seven emotions (see `synthesis`). 16 kHz, mono, 16-bit WAV. A speaker's clips do not change when speakers or sentences
are added. The corpus is not speech: scores on it only show that the software works.
"""

import hashlib
import io
import itertools
import json
import re
import shutil
import zlib
from collections.abc import Iterator, Sequence
from numbers import Integral
from pathlib import Path

from keras_ser.checks import listed
from keras_ser.corpora.corpus import Corpus, CorpusError, Utterance
from keras_ser.files import lock, user_cache, user_path

EMOTIONS = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
VERSION = 2  # incremented whenever the synthesiser's output changes, so that older corpora are not reused
INDEX = "demo.json"


def default_root() -> Path:
    """Return the folder that the corpus is written to by default: the user's cache folder."""
    return user_cache()


def _plan(speakers: int, sentences: int, emotions: Sequence[str]) -> Iterator[tuple[Utterance, tuple]]:
    """Yield every utterance with the arguments of `clip` except the seed."""
    for place, emotion, number in itertools.product(range(speakers), emotions, range(sentences)):
        speaker, gender = f"{'fm'[place % 2]}{place + 1:02d}", ("female", "male")[place % 2]
        labels, groups = {"emotion": emotion}, {"sentence": f"s{number + 1}"}
        name = f"{speaker}_{emotion}_s{number + 1}"
        yield (
            Utterance(name, f"{name}.wav", None, None, speaker, gender, labels, groups),
            (place, gender, number, emotion),
        )


def read(
    root: str | Path | None = None,
    speakers: int = 12,
    sentences: int = 5,
    seed: int = 0,
    emotions: Sequence[str] = EMOTIONS,
) -> Corpus:
    """Read the demo corpus; write it under `root` first if it does not exist.

    It has its own folder, named after its parameters, which appears only when it is complete. Each utterance has
    the label `emotion` and the group `sentence`.

    Args:
        root: folder to write to (or the folder of a demo corpus in it), by default `default_root()`.
        speakers, sentences: number of voices, and number of sentences that each says in each emotion; at least 1.
        seed: determines the voices, the sentences and the clips; at least 0.
        emotions: any of `EMOTIONS`, at least one, each once.

    Raises:
        CorpusError: a parameter out of range; the disk is full.
        DiskError: `root` is not writable.
    """
    for name, value, least in (("speakers", speakers, 1), ("sentences", sentences, 1), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
            raise CorpusError(f"demo: `{name}` must be a whole number of at least {least}. Received: {value!r}.")
    speakers, sentences, seed = int(speakers), int(sentences), int(seed)  # NumPy's are not JSON
    strange = [emotion for emotion in emotions if emotion not in EMOTIONS]
    if strange or not emotions or isinstance(emotions, str) or len(set(emotions)) != len(emotions):
        raise CorpusError(f"demo: `emotions` must be some of {listed(EMOTIONS)}, each once. Received: {emotions!r}.")
    emotions = tuple(emotion for emotion in EMOTIONS if emotion in emotions)
    parameters = {
        "version": VERSION,
        "speakers": speakers,
        "sentences": sentences,
        "seed": seed,
        "emotions": list(emotions),
    }
    digest = hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()[:12]
    base = user_path(root) if root is not None else default_root()
    if re.fullmatch(r"demo-[0-9a-f]{12}", base.name):  # the folder of a demo corpus: one level too low
        base = base.parent
    folder = base / f"demo-{digest}"
    plan = list(_plan(speakers, sentences, emotions))
    if not _complete(folder, parameters, plan):
        with lock(folder):  # another process may be writing it
            if not _complete(folder, parameters, plan):
                _write(folder, parameters, plan)
    return Corpus(
        name="demo",
        root=folder,
        utterances=tuple(utterance for utterance, _ in plan),
        vocabulary={"emotion": emotions},
        citation="Synthesised by keras_ser; nothing to cite.",
        expected={
            "utterances": len(plan),
            "speaker": speakers,
            "emotion": dict.fromkeys(emotions, speakers * sentences),
        },
        flaws=("It is synthetic: figures on it say nothing about speech.",),
    )


def clip(speaker: int, gender: str, sentence: int, emotion: str, seed: int) -> bytes:
    """Return the bytes of one WAV file, which depend only on the arguments."""
    import numpy as np
    import soundfile

    from keras_ser.corpora import synthesis

    # Separate random streams: a voice is the same in all its clips, and a sentence the same for all voices.
    voice = synthesis.voice(gender, np.random.default_rng((seed, 1, speaker)))
    words = synthesis.sentence(np.random.default_rng((seed, 2, sentence)))
    rng = np.random.default_rng((seed, 3, speaker, sentence, zlib.crc32(emotion.encode())))
    samples = synthesis.utterance(voice, emotion, words, rng)
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, synthesis.SAMPLE_RATE, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def _complete(folder: Path, parameters: dict, plan: Sequence) -> bool:
    """Return whether the folder holds this corpus and every file has the size with which it was written."""
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        sizes = index["bytes"]
        return index["parameters"] == parameters and all(
            (folder / u.path).stat().st_size == sizes[u.path] for u, _ in plan
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _write(folder: Path, parameters: dict, plan: Sequence) -> None:
    """Write the corpus to a folder beside its final one, then move it there when it is complete."""
    part = folder.with_name(f".{folder.name}")
    try:
        shutil.rmtree(part, ignore_errors=True)  # what a killed process left
        part.mkdir()
        sizes = {}
        for utterance, about in plan:
            data = clip(*about, parameters["seed"])
            (part / utterance.path).write_bytes(data)
            sizes[utterance.path] = len(data)
        index = json.dumps({"parameters": parameters, "bytes": sizes}, indent=1, sort_keys=True)
        (part / INDEX).write_text(index, encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)  # in case a damaged one exists
        part.rename(folder)
    except OSError as error:
        raise CorpusError(
            f"demo: expected to write {len(plan)} clips (about {len(plan) * 0.06:.0f} MB) under {folder.parent}. "
            f"Received: {error.strerror or error}. Free some space or name another root."
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
