"""AVEC 2016, emotion sub-challenge: RECOLA's French dyads with continuous arousal and valence.

27 recordings of five minutes, `train_1` .. `train_9`, `dev_1` .. `dev_9`, `test_1` .. `test_9`:
`recordings_audio/train_1.wav` (or the soundtrack of `recordings_video/train_1.mp4`, through PyAV) and
`ratings_gold_standard/{arousal,valence}/train_1.arff`, 7501 rows of (name, time, value) every 40 ms; none for the test
part.

The corpus has no utterances: recordings are cut into segments of a given length, and a segment's label is the mean of
the gold standard over it. Each recording has a different speaker, so it is used as the speaker's name, unless `metadata` names
one; genders come from `metadata` only. The seven emotion classes that a paper reports "on AVEC 2016" are not in the corpus:
read such labels through `manifest`.

Licence: by agreement with the authors, for research.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from keras_ser import audio
from keras_ser.checks import listed
from keras_ser.corpora.corpus import Corpus, CorpusError, Utterance, check_some
from keras_ser.corpora.layout import AUDIO, VIDEO, audio_files, entries, locate, strays_below, unknown_names
from keras_ser.corpora.table import read_metadata
from keras_ser.errors import UserError

CITATION = (
    "Valstar, M., Gratch, J., Schuller, B., et al. (2016). AVEC 2016: depression, mood, and emotion recognition "
    "workshop and challenge. AVEC '16, 3-10. Ringeval, F., Sonderegger, A., Sauer, J., Lalanne, D. (2013). Introducing "
    "the RECOLA multimodal corpus of remote collaborative and affective interactions. EmoSPACE."
)
EXPECTED_FILE = "recordings_audio/train_1.wav and ratings_gold_standard/arousal/train_1.arff"
DIMENSIONS = ("arousal", "valence")
SUBSETS = ("train", "dev", "test")
STEP_SECONDS = 0.04  # of the gold standard
RECORDINGS = 9  # recordings in each subset


def gold_standard(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Read times (frames,) in seconds and values (frames,) from an .arff file of the gold standard, or raise CorpusError."""
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        start = next(place for place, line in enumerate(lines) if line.strip().lower() == "@data") + 1
        rows = [line.split(",") for line in lines[start:] if line.strip() and not line.startswith("%")]
        table = np.array([[float(row[-2]), float(row[-1])] for row in rows], dtype=np.float64)
        times, values = table[:, 0], table[:, 1]
        if not np.isfinite(table).all() or (np.diff(times) <= 0).any():
            raise UserError("times must rise and values be finite")
    except (OSError, UnicodeDecodeError, StopIteration, ValueError, IndexError) as error:
        raise CorpusError(
            f"avec2016: expected an .arff file with @data rows 'train_1,0.04,0.123456'. Received: {path} "
            f"({type(error).__name__}: {error}). Unpack it again."
        ) from error
    return times, values


def _bounds(duration: float, segment: float) -> list[tuple[float, float]]:
    """Return (start, end) of consecutive segments; a remainder below half a segment is added to the last one."""
    count = max(1, int(np.floor(duration / segment + 0.5 + 1e-9)))
    edges = [round(place * segment, 6) for place in range(count)] + [duration]
    return list(zip(edges[:-1], edges[1:], strict=True))


def _recordings(root: Path) -> dict[str, Path]:
    """Return name -> audio file; a sound file takes precedence over a video of the same name."""
    found: dict[str, Path] = {}
    for folder in ("recordings_audio", "recordings_video"):
        if (root / folder).is_dir():
            for stem, path in audio_files(root / folder, (*AUDIO, *VIDEO)).items():
                found.setdefault(stem, path)
    return found


def read(
    root: str | Path,
    segment_seconds: float = 4.0,
    subsets: Sequence[str] = ("train", "dev"),
    metadata: str | Path | None = None,
) -> Corpus:
    """Read RECOLA as distributed for AVEC 2016, from the folder that holds `recordings_audio` (or that folder, or the one above).

    Each utterance is a segment with the float labels `arousal` and `valence` (except in the test part) and the groups
    `subset` and `origin` (the recording).

    Args:
        root: the folder of the corpus.
        segment_seconds: length of a segment in seconds, >= 0.04. The remainder of a recording is a segment of its own if
            it is at least half as long; otherwise it is added to the previous one.
        subsets: any of "train", "dev" and "test".
        metadata: a CSV file with the column `id` (train_1) and any of speaker, gender, session.

    Raises:
        CorpusError: files or metadata that do not match the corpus; an unknown subset; segments shorter than a
            step of the gold standard, or in a gap of it.
    """
    if not segment_seconds >= STEP_SECONDS:
        raise CorpusError(
            f"avec2016: `segment_seconds` must be at least {STEP_SECONDS}, a step of the gold standard. "
            f"Received: {segment_seconds}."
        )
    check_some("avec2016", "subsets", subsets, SUBSETS)
    root = locate(
        root,
        "avec2016",
        EXPECTED_FILE,
        lambda path: bool(_recordings(path)),
        inner=("recordings_audio", "recordings_video"),
    )
    files = _recordings(root)
    subset_of = {name: name.partition("_")[0] for name in files}
    strays = [files[name].name for name, subset in subset_of.items() if subset not in SUBSETS]
    for folder in ("recordings_audio", "recordings_video"):
        strays += strays_below(
            root / folder, entries(root / folder) if (root / folder).is_dir() else (), (*AUDIO, *VIDEO)
        )
    if strays:
        raise unknown_names("avec2016", strays, "train_1.wav, dev_1.wav, test_1.wav")
    names = [name for name in files if subset_of[name] in subsets]
    gold = {
        name: {dimension: root / "ratings_gold_standard" / dimension / f"{name}.arff" for dimension in DIMENSIONS}
        for name in names
        if subset_of[name] != "test"
    }
    stems = {path.stem for path in (root / "ratings_gold_standard").glob("*/[!.]*.arff")}
    stems = {name for name in stems if name.partition("_")[0] in subsets}
    absent = [path.relative_to(root) for paths in gold.values() for path in paths.values() if not path.is_file()]
    absent += [f"recordings_audio/{name}.wav" for name in sorted(stems - set(files))]
    if absent:
        raise CorpusError(f"avec2016: these files are missing under {root}: {listed(absent)}. Unpack them there.")

    about = read_metadata(metadata, "avec2016", lambda row: _recording_of(row, files, subsets))
    utterances = []
    for name in names:
        curves = {dimension: gold_standard(path) for dimension, path in gold.get(name, {}).items()}
        ends = [times[-1] for times, _ in curves.values()]
        duration = float(min(ends)) if ends else audio.duration(files[name])
        row = about.get(name, {})
        for start, end in _bounds(duration, segment_seconds):
            labels = {}
            for dimension, (times, values) in curves.items():
                rated = values[(times >= start - 1e-9) & (times < end - 1e-9)]
                if not len(rated):
                    raise CorpusError(
                        f"avec2016: every segment must have a gold standard. Received: {gold[name][dimension]}, which has no row "
                        f"from {start:g} to {end:g} s. Unpack it again, or take longer segments."
                    )
                labels[dimension] = float(rated.mean())
            utterances.append(
                Utterance(
                    id=f"{name}/{start:07.2f}-{end:07.2f}",
                    path=files[name].relative_to(root).as_posix(),
                    start=start,
                    end=end,
                    speaker=row.get("speaker") or name,
                    gender=row.get("gender"),
                    labels=labels,
                    groups={"subset": subset_of[name], "origin": name}
                    | ({"session": row["session"]} if row.get("session") else {}),
                )
            )
    return Corpus(
        name="avec2016",
        root=root,
        utterances=tuple(utterances),
        vocabulary={},
        citation=CITATION,
        expected={"origin": RECORDINGS * len(set(subsets))},
        flaws=(
            "The gold standard lags behind the voice by the raters' reaction time (2 to 4 s); nothing is shifted here.",
            "The corpus names no gender, and no speaker beyond its recordings.",
        ),
    )


def _recording_of(row: Mapping[str, str], files: Mapping[str, Path], subsets: Sequence[str]) -> list[str] | None:
    """Return the recording that a metadata row describes, as a list; None for a subset that is not read."""
    subset = row["id"].partition("_")[0]
    if subset in SUBSETS and subset not in subsets:
        return None
    return [row["id"]] if row["id"] in files else []
