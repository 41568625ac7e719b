"""IEMOCAP: five sessions of two actors each, improvised and scripted, with classes, valence, arousal and dominance.

Under the root (IEMOCAP_full_release), `Session1/sentences/wav/<dialog>/<utterance>.wav` and
`Session1/dialog/EmoEvaluation/<dialog>.txt`. An utterance is `Ses01F_impro01_F000`: the F or M after the session names
the actor who wore the motion-capture markers, the letter of the *last* field the speaker, so the ten speakers are (session, last
letter). Dimensions are 1 to 5, in the order valence, activation (here: arousal), dominance.

There are 10,039 utterances with eleven codes; `xxx`, no majority among the raters, is the label `undecided`. The usual task has
four classes, with excited counted as happiness: 5531 utterances, which `read(root, emotions=FOUR_EMOTIONS)` returns.

Licence: by agreement with the authors (SAIL, USC), for research.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from keras_ser.checks import listed
from keras_ser.corpora.corpus import Corpus, CorpusError, Utterance, check_some
from keras_ser.corpora.layout import audio_files, entries, locate, strays_below, unknown_names

CITATION = (
    "Busso, C., Bulut, M., Lee, C.-C., et al. (2008). IEMOCAP: interactive emotional dyadic motion capture database. "
    "Language Resources and Evaluation 42, 335-359."
)
EXPECTED_FILE = "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav"
EMOTIONS = {
    "ang": "anger",
    "hap": "happiness",
    "neu": "neutral",
    "sad": "sadness",
    "exc": "excited",
    "fru": "frustration",
    "fea": "fear",
    "sur": "surprise",
    "dis": "disgust",
    "oth": "other",
    "xxx": "undecided",
}
# The labels of the usual task of four classes, which counts excited as happiness.
FOUR_EMOTIONS = ("anger", "happiness", "neutral", "sadness", "excited")
DIMENSIONS = ("valence", "arousal", "dominance")
COUNTS = dict(zip(EMOTIONS.values(), (1103, 595, 1708, 1084, 1041, 1849, 40, 107, 2, 3, 2507), strict=True))
SESSIONS = dict(zip("12345", (1819, 1811, 2136, 2103, 2170), strict=True))
NAME = re.compile(r"(Ses0([1-5])[FM]_(impro|script)\d\d\w*)_([FM])\d{3}")
LINE = re.compile(r"\[(\d+\.\d+) - (\d+\.\d+)\]\t(\w+)\t(\w+)\t\[(\d+(?:\.\d+)?), (\d+(?:\.\d+)?), (\d+(?:\.\d+)?)\]")


def _sessions(folder: Path) -> list[Path]:
    return [path for path in entries(folder) if re.fullmatch(r"Session[1-5]", path.name)]


def _evaluations(session: Path) -> dict[str, tuple[str, tuple[float, ...]]]:
    """Read utterance -> (code, (valence, arousal, dominance)) from the summary lines of a session's EmoEvaluation files."""
    found = {}
    for path in sorted((session / "dialog" / "EmoEvaluation").glob("Ses*.txt")):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            match = LINE.fullmatch(line.strip())
            if match:
                found[match[3]] = (match[4], tuple(float(match[place]) for place in (5, 6, 7)))
            elif line.startswith("["):
                raise CorpusError(
                    f"iemocap: expected '[6.29 - 8.23]\\t<utterance>\\t<code>\\t[V, A, D]' in {path.name}. "
                    f"Received: {line!r}. Unpack it again."
                )
    return found


def read(root: str | Path, emotions: Sequence[str] | None = None) -> Corpus:
    """Read IEMOCAP from the folder that holds `Session1` .. `Session5` (or the folder above).

    Each utterance has the label `emotion` and the float labels `valence`, `arousal` and `dominance`, and the groups
    `session` ("1" .. "5"), `dialog` and `scenario` ("impro" or "script"); speakers are "Ses01F" .. "Ses05M".

    Args:
        root: the folder of the corpus.
        emotions: read only utterances with these labels, e.g. `FOUR_EMOTIONS`; by default all.

    Raises:
        CorpusError: files that do not match the corpus; audio without a label, or a label without audio; unknown codes or emotions.
    """
    wanted = EMOTIONS.values() if emotions is None else emotions
    check_some("iemocap", "emotions", wanted, EMOTIONS.values())
    root = locate(
        root,
        "iemocap",
        EXPECTED_FILE,
        lambda folder: any((session / "sentences" / "wav").is_dir() for session in _sessions(folder)),
    )
    utterances, strays, unlabelled, silent, codes = [], [], [], [], []
    for session in _sessions(root):
        labels = _evaluations(session)
        wavs = session / "sentences" / "wav"
        files = {
            stem: path
            for folder in (entries(wavs) if wavs.is_dir() else ())
            if folder.is_dir()
            for stem, path in audio_files(folder).items()
        }
        strays += [f"{session.name}/sentences/{path}" for path in strays_below(wavs, files.values())]
        silent += [key for key in labels if key not in files]
        for stem, path in files.items():
            match = NAME.fullmatch(stem)
            if not match or match[1] != path.parent.name or f"Session{match[2]}" != session.name:
                strays.append(path.relative_to(root).as_posix())
            elif stem not in labels:
                unlabelled.append(stem)
            elif labels[stem][0] not in EMOTIONS:
                codes.append(f"{labels[stem][0]!r} ({stem})")
            elif EMOTIONS[labels[stem][0]] in wanted:
                code, values = labels[stem]
                utterances.append(
                    Utterance(
                        id=stem,
                        path=path.relative_to(root).as_posix(),
                        speaker=f"Ses0{match[2]}{match[4]}",
                        gender="female" if match[4] == "F" else "male",
                        labels={"emotion": EMOTIONS[code], **dict(zip(DIMENSIONS, values, strict=True))},
                        groups={"session": match[2], "dialog": match[1], "scenario": match[3]},
                    )
                )
    if strays:
        raise unknown_names("iemocap", strays, EXPECTED_FILE)
    if unlabelled or silent:
        raise CorpusError(
            "iemocap: every sentence must have its audio and its line in dialog/EmoEvaluation. "
            f"Without a line: {listed(unlabelled) or 'none'}. Without audio: {listed(silent) or 'none'}. "
            "Unpack both again."
        )
    if codes:
        raise CorpusError(f"iemocap: codes must be among {listed(EMOTIONS, 11)}. Received: {listed(codes)}.")
    counts = {emotion: COUNTS[emotion] for emotion in EMOTIONS.values() if emotion in wanted}
    return Corpus(
        name="iemocap",
        root=root,
        utterances=tuple(utterances),
        vocabulary={"emotion": tuple(EMOTIONS.values())},
        citation=CITATION,
        expected={"utterances": sum(counts.values()), "speaker": 10, "emotion": counts}
        | (
            {"session": SESSIONS, "dialog": 151, "scenario": {"impro": 4784, "script": 5255}}
            if emotions is None
            else {}
        ),
        flaws=(
            "The F or M after the session number is the actor with the markers; the last field's letter is the speaker.",
            "Scripted sentences are spoken in several sessions: their words can reveal the emotion.",
        ),
    )
