"""How much a network depends on the recording level: UAR on unseen speakers with the test clips made quieter and louder.

What: 320 clips of the first nine actors of RAVDESS (six emotions, drawn once) as a corpus of one's own, without genders;
`recipes/own.py --systems conv` in five folds, one seed, without and with `--set augment.gain=15`. Each fold's test clips are
predicted by its saved model as they are, and amplified. Takes ten minutes on two cores.

    python benchmarks/levels.py RAVDESS [--out DIR]
"""

import argparse
import csv
import random
import subprocess
import sys
import tempfile
from pathlib import Path

GAINS = (-20, -10, 0, 10, 20)  # dB
EMOTIONS = ("anger", "calm", "happiness", "neutral", "sadness", "surprise")
OWN = Path(__file__).resolve().parents[1] / "recipes" / "own.py"


def write_corpus(root: Path, path: Path) -> None:
    """A table of clips with absolute paths, speakers and emotions."""
    from keras_ser.corpora import read_corpus

    corpus = read_corpus("ravdess", root)
    people = sorted(corpus.counts("speaker"))[:9]
    clips = [u for u in corpus if u.speaker in people and u.labels["emotion"] in EMOTIONS]
    random.Random(1).shuffle(clips)
    with path.open("w", newline="") as file:
        rows = [[corpus.file(u).resolve(), u.speaker, u.labels["emotion"]] for u in clips[:320]]
        csv.writer(file).writerows([["file", "speaker", "emotion"], *rows])


def scores(experiment: Path, corpus: Path) -> dict[int, float]:
    """Gain in dB -> UAR over the test clips of all folds."""
    import soundfile
    from sklearn.metrics import balanced_accuracy_score

    import keras_ser as ks
    from keras_ser.corpora import read_corpus

    clips, truth, found = read_corpus("manifest", corpus), [], {gain: [] for gain in GAINS}
    for folder in sorted(experiment.glob("*/fold-*")):
        run, model = ks.Run.load(folder), ks.load(folder)
        tested = [u for u in clips if u.id in set(run.split.test)]
        truth += [u.labels["emotion"] for u in tested]
        read = [soundfile.read(clips.file(u), dtype="float32") for u in tested]
        for gain, answers in found.items():
            waves = [samples * 10 ** (gain / 20) for samples, _ in read]
            answers += [x["emotion"]["label"] for x in model.predict(waves, sampling_rate=read[0][1], verbose=False)]
    return {gain: balanced_accuracy_score(truth, answers) for gain, answers in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, metavar="RAVDESS")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where the experiments go; finished runs are not repeated"
    )
    options = parser.parse_args()
    out = options.out or Path(tempfile.mkdtemp())
    out.mkdir(parents=True, exist_ok=True)
    write_corpus(options.root, out / "clips.csv")
    print("| UAR, % |", " | ".join(f"{gain:+d} dB" if gain else "as recorded" for gain in GAINS), "|")
    print("| --- |", " | ".join("---" for _ in GAINS), "|")
    for name, changes in (("default", []), ("`augment.gain=15`", ["--set=augment.gain=15"])):
        at = out / name.strip("`")
        command = [
            sys.executable,
            str(OWN),
            f"--corpus-root={out / 'clips.csv'}",
            f"--out={at}",
            "--systems=conv",
            "--quiet",
        ]
        subprocess.run([*command, *changes], check=True, stdout=subprocess.DEVNULL)
        (experiment,) = at.glob("own-conv-*")
        row = scores(experiment, out / "clips.csv").values()
        print(f"| {name} |", " | ".join(f"{100 * value:.1f}" for value in row), "|", flush=True)


if __name__ == "__main__":
    main()
