"""Makes the folder of one version: a corpus, a run on it in its experiment, its predictions, and an export (see README.md).

python tests/stored/make.py FOLDER
"""

import csv
import json
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import soundfile

from keras_ser.experiment import experiment_folder, run_experiment
from keras_ser.models.aspmtl import Config
from keras_ser.recipe import FrontendConfig, OptimizerConfig, Recipe, Sampling
from keras_ser.serving import Predictor, export
from keras_ser.splits import Protocol
from keras_ser.tasks import Task
from keras_ser.training import Data, Run

RATE = 8000
RECIPE = Recipe(
    name="stored",
    corpus="manifest",
    tasks=(Task("emotion", ("anger", "sadness")), Task("gender", ("female", "male"))),
    protocols=(Protocol("speakers", "k-fold", folds=2, validation=0),),
    config=Config(encoder="conv", layers=0, filters=(2, 3), kernels=(3, 3), pools=((2, 2), (2, 2)), stem=1, projection=4,
                  dense=0, adversary="label"),
    frontend=FrontendConfig(("log_mel", "energy"), sample_rate=RATE, window=200, hop=80, fft=256, bins=8),
    sampling=Sampling("segments", frames=20, hop=20, rare_hop=5),
    optimizer=OptimizerConfig("adam", 1e-2),
    batch_size=8,
    epochs=3,
    seeds=(0,),
)  # fmt: skip


def voice(pitch: float, seconds: float, seed: int) -> np.ndarray:
    """A few harmonics and a little noise, (samples,) float64."""
    time = np.arange(round(seconds * RATE)) / RATE
    wave = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 6))
    return 0.1 * wave + 0.002 * np.random.default_rng(seed).standard_normal(len(time))


def write_corpus(folder: Path) -> Path:
    """Four speakers, two emotions; a clip lacks its emotion."""
    folder.mkdir(parents=True)
    rows = []
    for i, speaker in enumerate("abcd"):
        for j, emotion in enumerate(("anger", "sadness")):
            name = f"{speaker}_{emotion}.wav"
            soundfile.write(folder / name, voice(110 + 60 * (i % 2) + 40 * j, 0.3 + 0.05 * i, 2 * i + j), RATE)
            gender = ("female", "male")[i // 2]
            rows.append({"file": name, "speaker": speaker, "gender": gender, "emotion": emotion if i or j else ""})
    with open(folder / "clips.csv", "w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    return folder / "clips.csv"


def main(folder: Path) -> None:
    manifest = write_corpus(folder / "corpus")
    recipe, corpus = RECIPE.read(manifest)
    data = Data.load(recipe, corpus, folder / "cache")
    experiment = experiment_folder(recipe, folder)
    run_experiment(recipe, data, experiment, folds=[0], read_options={"root": str(manifest)})
    run = Run.load(experiment / "speakers" / "fold-00-seed-0")
    waveform = voice(150, 0.5, 99).astype("float32")
    (answer,) = Predictor.load(run.folder)([waveform])
    np.savez(
        folder / "answer.npz",
        waveform=waveform,
        **{task: list(answer[task]["probabilities"].values()) for task in ("emotion", "gender")},
    )
    export(run, folder / "exports", max_seconds=2.0)
    shrink(folder, experiment, run.folder)


def shrink(folder: Path, experiment: Path, run: Path) -> None:
    """Keep what a later version reads, compressed, and no path of this machine."""
    with tarfile.open(folder / "exports.tar.xz", "w:xz") as archive:
        archive.add(folder / "exports", "exports")
    for unwanted in (folder / "exports", folder / "cache", run / "tensorboard"):
        shutil.rmtree(unwanted)
    for path in (*experiment.glob("*.png"), *experiment.glob("report.*")):
        path.unlink()
    owner = experiment / "experiment.json"
    owner.write_text(json.dumps(json.loads(owner.read_text()) | {"root": "corpus/clips.csv"}, indent=1) + "\n")
    stored = run / "model.keras"
    with zipfile.ZipFile(stored) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(stored, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
