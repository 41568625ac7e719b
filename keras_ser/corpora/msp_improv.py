"""MSP-IMPROV: six sessions of two actors each, who improvise scenes around twenty target sentences, with classes, valence,
arousal, dominance and naturalness.

Under the root, there are `session1/S01A/P/MSP-IMPROV-S01A-F01-P-FM01.wav` (in some copies below a folder `Audio`; videos of the
same names are ignored) and one label file, `Evalution.txt` (sic; `Evaluation.txt` is accepted, too). The fields of a name are:
target sentence, 01 to 20, and the emotion that its scene was to elicit (A, H, N, S); the speaker, with the digit of the session;
the scenario: T (target sentence, improvised), R (target sentence, read), S (other turns of an improvisation) or P (natural talk in
the breaks); the turn.

The label file has a block for each clip: a line for the clip, which is read, and a line for each rater, which is not. It names
the clip by its video, UTD-IMPROV-...:

    UTD-IMPROV-S01A-F01-P-FM01.avi; N; A:3.200000; V:3.000000; D:2.800000 ; N:3.600000;

A, V, D and N are means over raters, 1 to 5. **A is 1 for excited and 5 for calm**, the reverse of other corpora: the label
`arousal` is 6 - A, so that 5 is excited, as in IEMOCAP. If a mean is NaN, the clip lacks that label.

There are 8438 clips; `X`, no agreement among the raters, is the label `undecided`. The usual task has four classes: 7798 clips,
which `read(root, emotions=FOUR_EMOTIONS)` returns.

Licence: by agreement with the authors (MSP laboratory, University of Texas at Dallas), for research.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from keras_ser.checks import listed
from keras_ser.corpora.corpus import Corpus, CorpusError, Utterance, check_some
from keras_ser.corpora.label_columns import number, without_value
from keras_ser.corpora.layout import audio_files, entries, locate, unknown_names
from keras_ser.corpora.spelling import quoted

CITATION = (
    "Busso, C., Parthasarathy, S., Burmania, A., AbdelWahab, M., Sadoughi, N., Mower Provost, E. (2017). MSP-IMPROV: An "
    "acted corpus of dyadic interactions to study emotion perception. IEEE Transactions on Affective Computing 8(1), 67-80."
)
LABEL_FILES = ("Evalution.txt", "Evaluation.txt")
EXPECTED_FILE = "session1/S01A/P/MSP-IMPROV-S01A-F01-P-FM01.wav"
EMOTIONS = {"A": "anger", "H": "happiness", "N": "neutral", "S": "sadness", "O": "other", "X": "undecided"}
FOUR_EMOTIONS = ("anger", "happiness", "neutral", "sadness")
DIMENSIONS = {"V": "valence", "A": "arousal", "D": "dominance", "N": "naturalness"}
# Scenario -> clips of each emotion, in the order of `EMOTIONS` (tables 3 and 4 of the paper).
COUNTS = {
    "P": (38, 1372, 1164, 66, 11, 134),
    "R": (169, 88, 241, 80, 3, 39),
    "S": (470, 1048, 1789, 633, 70, 371),
    "T": (115, 136, 283, 106, 1, 11),
}
NAME = re.compile(r"MSP-IMPROV-(S(?:0[1-9]|1\d|20))([AHNS])-(([FM])0([1-6]))-([PRST])-[FM]{2}\d{2,3}")
CLIP = re.compile(r"(?:UTD|MSP)(-IMPROV-[A-Z0-9-]+)\.(?:avi|wav)")
TAG = re.compile(r"([AVDN]):\s*(\S+)")


def _sessions(root: Path) -> list[Path]:
    """Return the folders of the sessions; those in `Audio` take precedence."""
    for folder in (root / "Audio", root):
        found = [path for path in entries(folder) if re.fullmatch("session[1-6]", path.name)] if folder.is_dir() else []
        if found:
            return found
    return []


def _holds(folder: Path) -> bool:
    return any((folder / name).is_file() for name in LABEL_FILES) and bool(_sessions(folder))


def _dimensions(fields: Sequence[str]) -> dict[str, float] | None:
    """Return label -> value without NaN; None unless the fields are the four tags, in any order."""
    matches = [TAG.fullmatch(field) for field in fields if field]
    texts = {match[1]: match[2] for match in matches if match}
    if len(texts) != len(matches) or texts.keys() != DIMENSIONS.keys():
        return None
    values = {tag: number(text) for tag, text in texts.items() if not without_value(text, numeric=True)}
    if None in values.values():
        return None
    return {
        label: round(6 - values[tag], 6) if tag == "A" else values[tag]
        for tag, label in DIMENSIONS.items()
        if tag in values
    }


def _evaluations(path: Path) -> dict[str, tuple[str, dict[str, float]]]:
    """Read clip -> (code, its dimensions) from the first line of each block of the label file."""
    found, broken, twice, begins = {}, [], [], True
    for place, line in enumerate(path.read_text(encoding="utf-8-sig", errors="replace").splitlines(), 1):
        fields = [field.strip() for field in line.split(";")]
        if begins or "-IMPROV-" in fields[0]:
            match, values = CLIP.fullmatch(fields[0]), _dimensions(fields[2:])
            if match and values is not None:
                stem = f"MSP{match[1]}"
                twice += [f"{stem} (line {place})"] if stem in found else []
                found[stem] = fields[1], values
            elif line.strip():
                broken.append(f"line {place}, {quoted(line)}")
        begins = not line.strip()
    if broken:
        raise CorpusError(
            f"msp_improv: {path.name}: a block must begin with 'UTD-IMPROV-<clip>.avi; <code>; A:<mean>; V:<mean>; D:<mean>; "
            f"N:<mean>;'. Received: {listed(broken)}. Unpack it again."
        )
    if twice:
        raise CorpusError(
            f"msp_improv: {path.name} must have one block for a clip. Received a second one for {listed(twice)}. "
            "Unpack it again."
        )
    return found


def _notes(utterances: Sequence[Utterance]) -> tuple[str, ...]:
    """Return a note that A seems reversed if anger is calmer than neutral speech."""
    arousal = {
        emotion: [u.labels["arousal"] for u in utterances if u.labels["emotion"] == emotion and "arousal" in u.labels]
        for emotion in ("anger", "neutral")
    }
    if not all(arousal.values()) or fmean(arousal["anger"]) >= fmean(arousal["neutral"]):
        return ()
    means = ", ".join(f"{emotion} {fmean(values):.2f}" for emotion, values in arousal.items())
    return (f"mean arousal is {means}: A of this label file seems to be 5 for excited, so that `arousal` is reversed.",)


def _audio(root: Path) -> tuple[dict[str, tuple[Path, re.Match]], list[str]]:
    """Return (clip -> its file and the match of its name, files with an unknown name or in the wrong folder)."""
    found, strays = {}, []
    for session in _sessions(root):
        for folder in sorted(path for path in session.glob("**") if path.is_dir() and path.name[0] != "."):
            for stem, path in audio_files(folder).items():
                match = NAME.fullmatch(stem)
                if match and folder == session.parent / f"session{match[5]}" / (match[1] + match[2]) / match[6]:
                    found[stem] = path, match
                else:
                    strays.append(path.relative_to(root).as_posix())
    return found, strays


def read(root: str | Path, emotions: Sequence[str] | None = None) -> Corpus:
    """Read MSP-IMPROV from the folder with the label file and `session1` .. `session6` (or the folder above, or `Audio` in it).

    Each utterance has the labels `emotion` (perceived by raters) and `intended` (the scene was to elicit it), the float labels
    `valence`, `arousal`, `dominance` and `naturalness`, and the groups `session` ("1" .. "6"), `scenario` ("P", "R", "S" or "T"),
    `sentence` ("S01" .. "S20") and `dialog` ("1-S01A": all recordings of a pair for a scene); speakers are "F01" .. "M06".

    Args:
        root: the folder of the corpus.
        emotions: read only utterances with these labels, e.g. `FOUR_EMOTIONS`; by default all.

    Raises:
        CorpusError: files that do not match the corpus; audio without a label, or a label without audio; a clip that is labelled
            twice; unknown codes or emotions.
    """
    wanted = EMOTIONS.values() if emotions is None else emotions
    check_some("msp_improv", "emotions", wanted, EMOTIONS.values())
    root = locate(root, "msp_improv", f"{LABEL_FILES[0]} and {EXPECTED_FILE}", _holds, inner=("Audio",))
    files = [root / name for name in LABEL_FILES if (root / name).is_file()]
    if len(files) > 1:
        raise CorpusError(f"msp_improv: expected one label file. Received: {' and '.join(LABEL_FILES)}. Remove one.")
    labels = _evaluations(files[0])
    audio, strays = _audio(root)
    if strays:
        raise unknown_names("msp_improv", strays, EXPECTED_FILE)
    unlabelled = [stem for stem in audio if stem not in labels]
    silent = [stem for stem in labels if stem not in audio]
    if unlabelled or silent:
        raise CorpusError(
            f"msp_improv: every clip must have its audio and its block in {files[0].name}. "
            f"Without a block: {listed(unlabelled) or 'none'}. Without audio: {listed(silent) or 'none'}. Unpack both again."
        )
    codes = [f"{code!r} ({stem})" for stem, (code, _) in labels.items() if code not in EMOTIONS]
    if codes:
        raise CorpusError(f"msp_improv: codes must be among {listed(EMOTIONS)}. Received: {listed(codes)}.")
    utterances = [
        Utterance(
            id=stem,
            path=path.relative_to(root).as_posix(),
            speaker=match[3],
            gender="female" if match[4] == "F" else "male",
            labels={"emotion": EMOTIONS[labels[stem][0]], "intended": EMOTIONS[match[2]], **labels[stem][1]},
            groups={
                "session": match[5],
                "scenario": match[6],
                "sentence": match[1],
                "dialog": f"{match[5]}-{match[1]}{match[2]}",
            },
        )
        for stem, (path, match) in audio.items()
        if EMOTIONS[labels[stem][0]] in wanted
    ]
    counts = {
        scenario: {emotion: n for emotion, n in zip(EMOTIONS.values(), row, strict=True) if emotion in wanted}
        for scenario, row in COUNTS.items()
    }
    scenarios = {scenario: sum(row.values()) for scenario, row in counts.items()}
    return Corpus(
        name="msp_improv",
        root=root,
        utterances=tuple(utterances),
        vocabulary={"emotion": tuple(EMOTIONS.values()), "intended": FOUR_EMOTIONS},
        citation=CITATION,
        expected={
            "utterances": sum(scenarios.values()),
            "emotion": {emotion: sum(row[emotion] for row in counts.values()) for emotion in counts["P"]},
            "scenario": scenarios,
        }
        | ({"speaker": 12, "session": 6} if emotions is None else {}),
        flaws=(
            "A in the label file is 1 for excited and 5 for calm: `arousal` is 6 - A, so that 5 is excited, as in IEMOCAP.",
            "All speakers say the same target sentences (T, R): their words can reveal the emotion.",
        ),
        notes=_notes(utterances),
    )
