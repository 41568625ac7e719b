"""One model on all clips: how long it is trained, what it claims, and that nothing tests it."""

import argparse
import dataclasses
import json
from types import SimpleNamespace

import pytest

from keras_ser.cli import main
from keras_ser.cli.arguments import table_options
from keras_ser.cli.final import as_before
from keras_ser.cli.training import add_training_arguments
from keras_ser.errors import RunError, UserError
from keras_ser.experiment import evaluate
from keras_ser.experiment.final import _of, final_recipe, final_runs, train_final
from keras_ser.models import svm
from keras_ser.recipe import Sampling
from tests.training import tiny


def kept(*epochs):
    return [SimpleNamespace(about={"best_epoch": epoch}) for epoch in epochs]


@pytest.mark.parametrize(("epochs", "expected"), [((3,), 3), ((1, 9, 4), 4), ((2, 5), 4), ((30, 30, 30), 30)])
def test_epochs_are_the_median_of_those_that_were_kept(epochs, expected):
    recipe, said = final_recipe(tiny.SINGLE.replace(patience=5), kept(*epochs))
    assert (recipe.epochs, recipe.patience) == (expected, 0) and f"Epochs: {expected}, the median" in said


def test_model_1_of_a_cascade_is_trained_for_the_median_of_its_own_epochs(tmp_path, monkeypatch):
    monkeypatch.setattr("keras_ser.experiment.final.Run.load", lambda folder: kept(7)[0])
    made, _ = final_recipe(tiny.CASCADE, [SimpleNamespace(about={"best_epoch": 3}, folder=tmp_path)])
    assert (made.epochs, made.first.epochs) == (3, 7)


def test_the_setting_of_a_baseline_is_the_one_that_most_folds_kept():
    config = svm.Config(C=(0.1, 1.0, 10.0), kernel="linear")
    recipe = tiny.SINGLE.replace(
        model="svm", config=config, sampling=Sampling("whole"), augment=tiny.Augment(), monitor=""
    )
    made, said = final_recipe(recipe, kept(3, 2, 3))
    assert made.config == dataclasses.replace(config, C=(10.0,)) and "C=10.0, kept by 2 of 3 runs" in said
    assert final_recipe(recipe, kept(3, 2))[0].config.C == (1.0,)


def test_without_a_cross_validation_the_command_is_named(tmp_path):
    recipe = tiny.SINGLE
    with pytest.raises(UserError, match="Run the same command without --final first"):
        final_runs(recipe, tmp_path)
    (tmp_path / "experiment.json").write_text("{}")
    (tmp_path / "recipe.json").write_text(recipe.replace(epochs=7).to_json())
    with pytest.raises(UserError, match="expected a finished cross-validation of single"):
        final_runs(recipe, tmp_path)
    plateau = recipe.replace(optimizer=dataclasses.replace(recipe.optimizer, schedule="plateau"), patience=1)
    first = tiny.FIRST.replace(optimizer=plateau.optimizer, patience=1)
    for each in (plateau, tiny.CASCADE.replace(first=first)):
        with pytest.raises(UserError, match="lowers its learning rate by the validation set .schedule 'plateau'"):
            final_runs(each, tmp_path)


@pytest.mark.parametrize(("speakers", "said"), [(0, ""), (1, " of 1 speaker"), (4, " of 4 speakers")])
def test_speakers_are_named_where_there_are_any(speakers, said):
    assert _of(speakers) == said


STORED = {
    "root": "/data/clips.csv",
    "noise_root": "/noises",
    "options": {"columns": {"file": "path"}, "audio_root": "/audio", "metadata": "/people.csv"},
}
BEFORE = {
    "corpus_root": "/data/clips.csv",
    "columns": {"file": "path"},
    "audio_root": "/audio",
    "metadata": "/people.csv",
    "noise_root": "/noises",
}


@pytest.mark.parametrize(
    ("words", "changed"),
    [
        ([], {}),
        (["--corpus-root=/moved.csv"], {"corpus_root": "/moved.csv"}),
        (["--corpus-root=manifest=/moved.csv"], {"corpus_root": "/moved.csv"}),
        (["--corpus-root=librispeech=/l"], {}),
        (["--columns=file=wav"], {"columns": {"file": "wav"}}),
        (
            ["--audio-root=/a", "--metadata=/m.csv", "--noise-root=/n"],
            dict(audio_root="/a", metadata="/m.csv", noise_root="/n"),
        ),
        (["--corpus=manifest"], {}),
        (["--corpus=emodb"], dict(corpus_root=None, columns=None, audio_root=None, metadata=None)),
    ],
)
def test_what_the_command_says_goes_before_what_the_experiment_notes(words, changed, tmp_path):
    folder = tmp_path / "renamed"
    folder.mkdir()
    (folder / "experiment.json").write_text(json.dumps(STORED))
    (folder / "recipe.json").write_text(tiny.SINGLE.replace(corpus="manifest").to_json())
    parser = argparse.ArgumentParser()
    add_training_arguments(parser)
    for out in ("elsewhere", None):
        options = parser.parse_args([*words, *([f"--out={out}"] if out else [])])
        as_before(folder, options)
        found = {name: getattr(options, name) for name in ("corpus_root", "audio_root", "metadata", "noise_root")}
        assert found | {"columns": table_options(options).get("columns")} == BEFORE | changed
        assert (options.out, options.experiment) == (out or str(tmp_path), folder)


@pytest.mark.slow
def test_a_final_model_trains_on_every_clip_and_is_not_tested(masked, tmp_path, capsys):
    recipe, data, folder = masked
    renamed = tmp_path / "renamed"
    renamed.symlink_to(folder)
    (run,) = train_final(recipe, data, renamed)
    assert run == renamed / "final" / "seed-0"
    from keras_ser.training import Run

    made = Run.load(run)
    assert set(made.split.train) == {u.id for u in data.corpus} and not made.split.test and made.recipe.epochs == 1
    said = (run / "final.md").read_text()
    assert f"Trained on {len(data.corpus)} clips of 4 speakers" in said and "UAR" in said
    assert "**Not trained to the end:** 1 of 1 underfit" in said
    assert "the cross-validation (speakers, 1 of 4 runs, which is not finished)" in said
    with pytest.raises(RunError, match="cannot be used to test it. Give another corpus"):
        evaluate(run)
    assert main(["evaluate", str(run), "--merge=a=b"]) == 2
    assert "--merge goes with --corpus NAME" in capsys.readouterr().err
