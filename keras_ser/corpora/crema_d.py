"""CREMA-D: twelve English sentences spoken by 91 actors in six emotions, with crowd-sourced ratings.

Files are `AudioWAV/<actor 1001..1091>_<sentence>_<emotion>_<intensity>.wav`, e.g. `AudioWAV/1001_IEO_ANG_HI.wav`.
16 kHz, mono, 16-bit. Only the sentence IEO was acted in three intensities (LO, MD, HI), except in neutral; all other files have
XX, unspecified. The actors are described in `VideoDemographics.csv`, which many copies of the audio lack: it is in
the authors' repository, github.com/CheyneyComputerScience/CREMA-D. The audio there is stored with Git LFS: a zip download
contains pointers instead. Earlier copies name one file 1040_ITH_SAD_X; it is read as 1040_ITH_SAD_XX.

The label `emotion` is the emotion that the actor was asked to express. Raters often perceived another one (of 7442 clips, 3897
were perceived as neutral): `processedResults/summaryTable.csv`, if present, has the emotion that most raters chose from
the voice alone (`perceived_voice`), the face alone (`perceived_face`) and both together (`perceived`). A clip lacks such a label
if two or more emotions had equally many votes ("A:D").

Ages are 20 to 74 years; `age_group` is the decade, both ends included (20-29, .., 70-79). `race` and `ethnicity` are the
actors' own statements; the race of one actor is unknown, and that actor's clips lack the label.

Licence: Open Database License 1.0 (ODbL); contents under the Database Contents License 1.0 (DbCL).
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from keras_ser.checks import listed
from keras_ser.corpora.corpus import Corpus, CorpusError, Utterance
from keras_ser.corpora.layout import audio_files, locate, strays_below, unknown_names
from keras_ser.corpora.table import read_table

CITATION = (
    "Cao, H., Cooper, D. G., Keutmann, M. K., Gur, R. C., Nenkova, A., Verma, R. (2014). CREMA-D: Crowd-sourced "
    "Emotional Multimodal Actors Dataset. IEEE Transactions on Affective Computing 5(4), 377-390."
)
EXPECTED_FILE = "AudioWAV/1001_DFA_ANG_XX.wav"
DEMOGRAPHICS = "VideoDemographics.csv"
VOTES = "processedResults/summaryTable.csv"
SOURCE = "github.com/CheyneyComputerScience/CREMA-D"

EMOTIONS = {name[:3].upper(): name for name in ("anger", "disgust", "fear", "happiness", "neutral", "sadness")}
INTENSITIES = {"LO": "low", "MD": "medium", "HI": "high", "XX": "unspecified"}
# "It's eleven o'clock", "That is exactly what happened", "I'm on my way to the meeting", ..
SENTENCES = ("IEO", "TIE", "IOM", "IWW", "TAI", "MTI", "IWL", "ITH", "DFA", "ITS", "TSI", "WSI")
GENDERS = ("female", "male")
RACES = {"african american": "african_american", "asian": "asian", "caucasian": "caucasian", "unknown": None}
ETHNICITIES = {"hispanic": "hispanic", "not hispanic": "not_hispanic"}
AGE_GROUPS = tuple(f"{decade}-{decade + 9}" for decade in range(20, 80, 10))
# Label -> the column of summaryTable.csv (in lower case) that it comes from.
PERCEIVED = {"perceived": "multimodalvote", "perceived_voice": "voicevote", "perceived_face": "facevote"}
NAME = re.compile(
    rf"(10(?:0[1-9]|[1-8]\d|9[01]))_({'|'.join(SENTENCES)})_({'|'.join(EMOTIONS)})_({'|'.join(INTENSITIES)})"
)
OLD_NAMES = {"1040_ITH_SAD_X": "1040_ITH_SAD_XX"}  # names of older copies of the corpus -> the published ones
SPEECHLESS = "1076_MTI_SAD_XX"
EXPECTED = {
    "utterances": 7441,
    "speaker": 91,
    "gender": {"female": 3511, "male": 3930},
    "emotion": {"anger": 1271, "disgust": 1271, "fear": 1271, "happiness": 1271, "neutral": 1087, "sadness": 1270},
    "intensity": {"low": 455, "medium": 455, "high": 455, "unspecified": 6076},
    "age_group": {"20-29": 2773, "30-39": 1886, "40-49": 1306, "50-59": 984, "60-69": 410, "70-79": 82},
    "race": 3,
    "ethnicity": {"hispanic": 820, "not_hispanic": 6621},
}
SAME_AUDIO = (
    ("1006_TIE_HAP_XX", "1006_TIE_NEU_XX"),
    ("1013_WSI_DIS_XX", "1013_WSI_SAD_XX"),
    ("1017_IWW_ANG_XX", "1017_IWW_FEA_XX"),
)
FLAWS = (
    f"{SPEECHLESS} has no audible speech and is left out: of the 7442 files published, 7441 are read.",
    "Three recordings are published as two emotions each, byte for byte: "
    + ", ".join(" = ".join(pair) for pair in SAME_AUDIO)
    + ".",
)
VOTE_FLAW = (
    "Raters were most likely played something else than the .wav of 1064_IEO_DIS_MD (a minute of all emotions), "
    "1064_TIE_SAD_XX (no duration) and 1076_MTI_NEU_XX (no sound): these perceived labels are not about this audio."
)


def _holds(folder: Path) -> bool:
    wavs = folder / "AudioWAV"
    return wavs.is_dir() and any(NAME.fullmatch(OLD_NAMES.get(stem, stem)) for stem in audio_files(wavs))


def _actors(root: Path) -> dict[str, tuple[str, dict[str, str | float]]]:
    """Return actor -> (gender, the labels that describe the actor)."""
    path = root / DEMOGRAPHICS
    if not path.is_file():
        raise CorpusError(
            f"crema_d: expected {DEMOGRAPHICS} next to AudioWAV. Received: {root}, which lacks it. "
            f"Copy it there from the authors' repository, {SOURCE}."
        )
    found, wrong = {}, []
    for line, row in read_table(path, "crema_d", required=("actorid", "age", "sex", "race", "ethnicity")):
        said = {key: row[key].lower() for key in ("sex", "race", "ethnicity")}
        age, actor = row["age"], row["actorid"]
        strays = [
            f"{key} {row[key]!r}"
            for key, known in (("sex", GENDERS), ("race", RACES), ("ethnicity", ETHNICITIES))
            if said[key] not in known
        ]
        strays += [] if re.fullmatch(r"[2-7]\d", age) else [f"age {age!r}"]
        strays += [f"a second row for actor {actor}"] if actor in found else []
        if strays:
            wrong.append(f"{' and '.join(strays)} (line {line})")
            continue
        labels = {
            "age_group": AGE_GROUPS[int(age) // 10 - 2],
            "race": RACES[said["race"]],
            "ethnicity": ETHNICITIES[said["ethnicity"]],
            "age": float(age),
        }
        found[actor] = said["sex"], {key: value for key, value in labels.items() if value is not None}
    if wrong:
        raise CorpusError(
            f"crema_d: {DEMOGRAPHICS} must have one row for an actor, with an age of 20 to 79 and the published words "
            f"for sex, race and ethnicity. Received: {listed(wrong)}. Copy it from {SOURCE}."
        )
    return found


def _perceived(root: Path, stems: Iterable[str]) -> dict[str, dict[str, str | None]]:
    """Return stem -> perceived label -> emotion, None for a tie; empty if there is no table."""
    path = root / VOTES
    if not path.is_file():
        return {}
    emotions = {emotion[0].upper(): emotion for emotion in EMOTIONS.values()}
    found, wrong = {}, []
    for line, row in read_table(path, "crema_d", required=("filename", *PERCEIVED.values())):
        stem = OLD_NAMES.get(row["filename"], row["filename"])
        votes = {label: row[column].split(":") for label, column in PERCEIVED.items()}
        strays = [
            f"{row[PERCEIVED[label]]!r} in {PERCEIVED[label]}"
            for label, letters in votes.items()
            if not emotions.keys() >= set(letters)
        ]
        strays += [f"a second row for {stem}"] if stem in found else []
        wrong += [f"{' and '.join(strays)} (line {line})"] if strays else []
        found[stem] = {
            label: emotions.get(letters[0]) if len(letters) == 1 else None for label, letters in votes.items()
        }
    if wrong:
        raise CorpusError(
            f"crema_d: {path.name} must have one row for a clip, its votes being {', '.join(emotions)}, ties joined by "
            f"':'. Received: {listed(wrong)}. Copy it from {SOURCE}."
        )
    absent = [stem for stem in stems if stem not in found]
    if absent:
        raise CorpusError(
            f"crema_d: {path.name} has no row for {listed(absent)}. Copy it from {SOURCE}, or remove it to "
            "read the corpus without perceived labels."
        )
    return found


def _vote_flaws(votes: Iterable[Mapping[str, str | None]]) -> tuple[str, ...]:
    votes = list(votes)
    ties = ", ".join(f"{label} {sum(vote[label] is None for vote in votes)}" for label in PERCEIVED)
    return (f"Raters' votes that ended in a tie, these clips having no such label: {ties}.", VOTE_FLAW)


def read(root: str | Path) -> Corpus:
    """Read CREMA-D from the folder that holds `AudioWAV/` (or `AudioWAV/` itself, or the folder above).

    Each utterance has the labels `emotion`, `intensity`, `age_group`, `race`, `ethnicity` and `age` (in years, a float); if
    `processedResults/summaryTable.csv` exists, also `perceived`, `perceived_voice` and `perceived_face`, except for clips with
    tied votes. The group is `sentence` (IEO, TIE, ..); speakers are "1001" to "1091". 1076_MTI_SAD_XX, which has no audible
    speech, is left out.

    Raises:
        CorpusError: files that do not match the corpus; `VideoDemographics.csv` is missing or lacks an actor; a table that
            differs from the published one.
    """
    root = locate(root, "crema_d", EXPECTED_FILE, _holds, inner=("AudioWAV",))
    files = audio_files(root / "AudioWAV")
    old = [stem for stem in OLD_NAMES if stem in files]
    twice = [f"{files[stem].name} and {files[OLD_NAMES[stem]].name}" for stem in old if OLD_NAMES[stem] in files]
    if twice:
        raise CorpusError(f"crema_d: expected each clip under one name. Received: {listed(twice)}. Remove one.")
    notes = [f"{files[stem].name} has the name of earlier copies and is read as {OLD_NAMES[stem]}." for stem in old]
    files = {OLD_NAMES.get(stem, stem): path for stem, path in files.items()}
    matches = {stem: NAME.fullmatch(stem) for stem in files}
    strays = [files[stem].name for stem, match in matches.items() if not match]
    strays += strays_below(root / "AudioWAV", files.values())
    if strays:
        raise unknown_names("crema_d", strays, EXPECTED_FILE)
    matches.pop(SPEECHLESS, None)
    actors = _actors(root)
    absent = sorted({match[1] for match in matches.values()} - set(actors))
    if absent:
        raise CorpusError(
            f"crema_d: {DEMOGRAPHICS} must have a row for every actor. It has none for {listed(absent)}. "
            f"Copy it from {SOURCE}."
        )
    perceived = _perceived(root, matches)
    utterances = []
    for stem, match in matches.items():
        actor, sentence, emotion, intensity = match.groups()
        gender, about = actors[actor]
        votes = {label: vote for label, vote in perceived.get(stem, {}).items() if vote}
        utterances.append(
            Utterance(
                id=stem,
                path=files[stem].relative_to(root).as_posix(),
                speaker=actor,
                gender=gender,
                labels={"emotion": EMOTIONS[emotion], "intensity": INTENSITIES[intensity]} | votes | about,
                groups={"sentence": sentence},
            )
        )
    emotions = tuple(EMOTIONS.values())
    return Corpus(
        name="crema_d",
        root=root,
        utterances=tuple(utterances),
        vocabulary={"emotion": emotions, "intensity": tuple(INTENSITIES.values())}
        | (dict.fromkeys(PERCEIVED, emotions) if perceived else {})
        | {
            "age_group": AGE_GROUPS,
            "race": tuple(filter(None, RACES.values())),
            "ethnicity": tuple(ETHNICITIES.values()),
        },
        citation=CITATION,
        expected=EXPECTED,
        flaws=FLAWS + (_vote_flaws(perceived[stem] for stem in matches) if perceived else ()),
        notes=tuple(notes),
    )
