"""Small twins of corpora on disk, in exactly their layouts, for tests of corpora that may not be copied or had.

The audio is that of real recordings where the project's shared data lie beside it, and tones in noise elsewhere.
"""

import struct
from pathlib import Path

import numpy as np
import soundfile

SAMPLE_RATE = 16000
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"

AFEW_EMOTIONS = ("Angry", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise")

EMODB_NAMES = ("03a01Fa", "03a02Wb", "08a01Na", "08b10Ta", "10a04Ad", "16b03Lc", "09a05Ea")
RAVDESS_NAMES = (
    "03-01-01-01-01-01-01",
    "03-01-02-02-02-01-01",
    "03-01-03-01-02-01-07",
    "03-01-03-01-02-02-07",
    "03-01-08-02-01-02-24",
    "03-01-05-01-01-01-24",
)
SLR45_NAMES = ("f0001_us_f0001_00002", "f0001_us_f0001_00014", "m0005_us_m0005_00007")
LIBRISPEECH_NAMES = ("19-198-0000", "19-198-0001", "26-495-0000", "39-121914-0003")


def recordings(count: int, seconds: float = 0.6, seed: int = 0) -> list[np.ndarray]:
    """`count` different clips (samples,), float64, within [-1, 1]."""
    rng = np.random.default_rng(seed)
    samples = round(seconds * SAMPLE_RATE)
    files = sorted((SHARED / "emodb" / "wav").glob("*.flac"))
    clips = []
    for place in range(count):
        if files:
            speech, _ = soundfile.read(files[(7 * place + seed) % len(files)])
            speech = np.tile(speech, 1 + samples // len(speech))
            start = int(rng.integers(0, len(speech) - samples + 1))
            clip = speech[start : start + samples]
        else:
            time = np.arange(samples) / SAMPLE_RATE
            clip = 0.3 * np.sin(2 * np.pi * rng.uniform(90, 400) * time) * (1 + np.sin(2 * np.pi * 4 * time))
        clips.append(0.9 * clip + 0.003 * rng.standard_normal(samples).clip(-3, 3))
    return clips


def write_audio(path: Path, samples: np.ndarray, rate: int = SAMPLE_RATE) -> Path:
    """A 16-bit file, with the folders it needs; .avi gets a black picture as well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".avi":
        return write_avi(path, samples, rate)
    # libsndfile rounds a float differently on its way to .wav and to .flac; whole numbers it leaves alone.
    soundfile.write(path, pcm16(samples), rate, subtype="PCM_16")
    return path


def pcm16(samples: np.ndarray) -> np.ndarray:
    return (np.clip(samples, -1, 1) * 32767).round().astype(np.int16)


def write_avi(path: Path, samples: np.ndarray, rate: int = SAMPLE_RATE) -> Path:
    """A video of a few black pictures with a 16-bit PCM soundtrack, as AFEW's clips are one file of both."""
    import av

    pcm = pcm16(samples)
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        audio = container.add_stream("pcm_s16le", rate=rate, layout="mono")
        for _ in range(max(1, int(25 * len(pcm) / rate))):
            picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            container.mux(video.encode(picture))
        container.mux(video.encode())
        frame = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
        frame.sample_rate = rate
        container.mux(audio.encode(frame))
        container.mux(audio.encode())
    return path


def write_named(root: Path, names, suffix: str = ".wav", folder=lambda name: "", seed: int = 0) -> Path:
    """Clips under the names given, each in the folder that `folder` says."""
    for name, clip in zip(names, recordings(len(names), seed=seed), strict=True):
        write_audio(root / folder(name) / f"{name}{suffix}", clip)
    return root


def write_emodb(root: Path, suffix: str = ".wav") -> Path:
    return write_named(root, EMODB_NAMES, suffix, lambda name: "wav")


def write_ravdess(root: Path, suffix: str = ".wav") -> Path:
    """Six clips of three actors; two of Actor_07 are the same audio, as in the corpus itself."""
    write_named(root, RAVDESS_NAMES, suffix, lambda name: f"Actor_{name[-2:]}")
    folder = root / "Actor_07"
    (folder / f"{RAVDESS_NAMES[3]}{suffix}").write_bytes((folder / f"{RAVDESS_NAMES[2]}{suffix}").read_bytes())
    return root


def write_slr45(root: Path, suffix: str = ".wav") -> Path:
    return write_named(root, SLR45_NAMES, suffix)


def write_librispeech(root: Path, suffix: str = ".flac", seed: int = 0) -> Path:
    """Two subsets of three readers; one reader's name holds the separator of SPEAKERS.TXT."""
    write_named(
        root, LIBRISPEECH_NAMES[:3], suffix, lambda name: "train-clean-100/" + "/".join(name.split("-")[:2]), seed
    )
    write_named(
        root, LIBRISPEECH_NAMES[3:], suffix, lambda name: "dev-clean/" + "/".join(name.split("-")[:2]), seed=seed + 5
    )
    (root / "SPEAKERS.TXT").write_text(
        "; Some pipe(|) separated metadata about all LibriVox readers\n"
        ";ID  |SEX| SUBSET           |MINUTES| NAME\n"
        "14   | F | train-clean-360  | 25.03 | Kristin LeMoine\n"
        "19   | F | train-clean-100  | 25.19 | Kara Shallenberg\n"
        "26   | M | train-clean-100  | 25.08 | Denny Sayers | Boise, Idaho\n"
        "39   | F | dev-clean        | 8.02  | Sherry\n"
    )
    return root


def write_afew(root: Path, suffix: str = ".wav", train: int = 2, val: int = 1, folders=("Train", "Val")) -> Path:
    """`train` and `val` clips of each emotion; the first id of Train is in Val as well (000053760)."""
    clips = iter(recordings(7 * (train + val)))
    for subset, count in zip(folders, (train, val), strict=True):
        for place, emotion in enumerate(AFEW_EMOTIONS):
            for number in range(count):
                stem = f"{53760 + 1040 * place + 97 * number:09d}"
                write_audio(root / subset / emotion / f"{stem}{suffix}", next(clips))
    return root


def avec2016_curve(name: str, dimension: str, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Times (frames,) and gold standard (frames,) of the twin: a different slow curve for every recording."""
    times = np.round(np.arange(0, seconds + 0.02, 0.04), 2)
    seed = sum(map(ord, name + dimension))
    return times, np.round(0.6 * np.sin(times / 3 + seed) + 0.02 * (times - seconds / 2) / seconds, 6)


def write_avec2016(
    root: Path, names=("train_1", "train_2", "dev_1", "test_1"), seconds: float = 12.0, suffix: str = ".wav"
) -> Path:
    """Recordings with their gold standard (none for the test part), and the ratings and features that lie beside
    them."""
    for name, clip in zip(names, recordings(len(names), seconds), strict=True):
        write_audio(root / "recordings_audio" / f"{name}{suffix}", clip)
        for dimension in () if name.startswith("test") else ("arousal", "valence"):
            rows = [
                f"{name},{time:g},{value:.6f}"
                for time, value in zip(*avec2016_curve(name, dimension, seconds), strict=True)
            ]
            folder = root / "ratings_gold_standard" / dimension
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}.arff").write_text(
                f"@relation GOLDSTANDARD_{dimension.upper()}\n\n@attribute Instance_name string\n"
                "@attribute frameTime numeric\n@attribute GoldStandard numeric\n\n@data\n" + "\n".join(rows) + "\n"
            )
    (root / "ratings_individual" / "arousal").mkdir(parents=True)
    (root / "ratings_individual" / "arousal" / "train_1.csv").write_text("time;FM1;FM2\n0.00;0.1;-0.1\n")
    (root / "recordings_video").mkdir()
    return root


IEMOCAP_TURNS = (
    # utterance, code, valence, activation, dominance
    ("Ses01F_impro01_F000", "neu", 2.5, 2.5, 2.5),
    ("Ses01F_impro01_M000", "ang", 1.5, 4.0, 4.5),
    ("Ses01F_script01_1_M012", "xxx", 2.0, 3.0, 3.0),
    ("Ses01M_impro05_F003", "exc", 4.5, 4.0, 3.5),
    ("Ses02M_script03_2_F001", "hap", 4.0, 3.5, 3.0),
    ("Ses03M_impro05a_M007", "sad", 1.6667, 2.0, 2.3333),
    ("Ses03M_impro05a_F002", "fru", 2.0, 3.5, 3.0),
    ("Ses05F_impro02_F010", "sur", 3.0, 4.0, 2.5),
)


def write_iemocap(root: Path, suffix: str = ".wav", turns=IEMOCAP_TURNS) -> Path:
    """Dialogs with their sentences, label files as published, and what macOS and the annotators left beside them."""
    clips = recordings(len(turns))
    files: dict[tuple[str, str], list[str]] = {}
    for (name, code, *values), clip in zip(turns, clips, strict=True):
        session, dialog = f"Session{name[4]}", name[:-5]
        write_audio(root / session / "sentences" / "wav" / dialog / f"{name}{suffix}", clip)
        numbers = ", ".join(f"{value:.4f}" for value in values)
        files.setdefault((session, dialog), []).append(
            f"[6.2901 - 8.2357]\t{name}\t{code}\t[{numbers}]\n"
            "C-E2:\tNeutral;\t()\nC-E3:\tNeutral; Anger;\t(curious)\nC-F1:\tNeutral;\t()\n"
            "A-E3:\tval 3; act 2; dom  2;\t()\nA-F1:\tval 3; act 2; dom  1;\t()\n\n"
        )
    for (session, dialog), blocks in files.items():
        folder = root / session / "dialog" / "EmoEvaluation"
        (folder / "Attribute").mkdir(parents=True, exist_ok=True)
        text = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n" + "".join(blocks)
        (folder / f"{dialog}.txt").write_text(text)
        (folder / f"._{dialog}.txt").write_bytes(struct.pack("<8I", *range(8)))
        (folder / "Attribute" / f"{dialog}_e1_atr.txt").write_text(f"{dialog}_F000 :act  3 :val  2 ; ()\n")
        (root / session / "sentences" / "wav" / dialog / f"._{dialog}_F000.wav").write_bytes(b"\x00\x05\x16\x07")
    return root


MSP_IMPROV_TURNS = (
    # utterance, code, activation (1 = excited), valence, dominance, naturalness; all six speakers and codes
    ("S01A-F01-P-FM01", "N", "3.200000", "3.000000", "2.800000", "3.600000"),
    ("S01A-M01-S-FM01", "A", "1.400000", "1.600000", "4.200000", "4.000000"),
    ("S01A-F01-T-FM01", "X", "2.500000", "2.333333", "3.000000", "NaN"),
    ("S01A-M01-R-MM01", "O", "3.000000", "2.666667", "NaN", "2.750000"),
    ("S20H-F02-R-FF01", "H", "2.000000", "4.500000", "3.250000", "3.750000"),
    ("S07S-M03-S-MF12", "S", "4.600000", "1.800000", "2.000000", "4.400000"),
    ("S13N-F04-S-FM03", "N", "NaN", "3.100000", "2.900000", "3.900000"),
    ("S13N-M05-P-MF02", "H", "2.800000", "4.100000", "3.000000", "4.100000"),
    ("S04A-F06-T-MF01", "A", "1.000000", "1.200000", "4.800000", "3.500000"),
)


def write_msp_improv(
    root: Path, suffix: str = ".wav", labels: str = "Evalution.txt", inner: str = "", turns=MSP_IMPROV_TURNS
) -> Path:
    """Clips of four scenarios, in `inner` below the root, with the label file as published, and what lies beside them."""
    blocks = []
    for (name, code, a, v, d, n), clip in zip(turns, recordings(len(turns), seed=3), strict=True):
        scene, speaker, scenario, _ = name.split("-")
        folder = root / inner / f"session{speaker[-1]}" / scene / scenario
        write_audio(folder / f"MSP-IMPROV-{name}{suffix}", clip)
        (folder / f"MSP-IMPROV-{name}.avi").write_bytes(b"RIFF")
        (folder / f"._MSP-IMPROV-{name}.wav").write_bytes(b"\x00\x05\x16\x07")
        blocks.append(
            f"UTD-IMPROV-{name}.avi; {code}; A:{a}; V:{v}; D:{d} ; N:{n};\n"
            "WORKER-0_12; Neutral; Neutral, Other (calm; bored?); A:3.000000; V:3.000000; D:NaN; N:4.000000;\n"
            "WORKER-0_7; Other; ; A:4.000000; V:2.000000; D:3.000000; N:NaN;\n"
        )
    (root / labels).write_text("\n".join(blocks))
    return root
