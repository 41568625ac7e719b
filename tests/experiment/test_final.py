"""One model on all clips: how long it is trained, what it claims, and that nothing tests it."""

import dataclasses
from types import SimpleNamespace

import pytest

from keras_ser.cli import main
from keras_ser.errors import RunError, UserError
from keras_ser.experiment import evaluate
from keras_ser.experiment.final import final_recipe, final_runs, train_final
from keras_ser.models import svm
from keras_ser.recipe import Sampling
from tests.training import tiny


def kept(*epochs):
    return [SimpleNamespace(about={"best_epoch": epoch}) for epoch in epochs]


@pytest.mark.parametrize(("epochs", "expected"), [((3,), 3), ((1, 9, 4), 4), ((2, 5), 4), ((30, 30, 30), 30)])
def test_epochs_are_the_median_of_those_that_were_kept(epochs, expected):
    recipe, said = final_recipe(tiny.SINGLE.replace(patience=5), kept(*epochs))
    assert (recipe.epochs, recipe.patience) == (expected, 0) and f"Epochs: {expected}, the median" in said


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
    plateau = dataclasses.replace(recipe.optimizer, schedule="plateau")
    with pytest.raises(UserError, match="schedule 'plateau'"):
        final_runs(recipe.replace(optimizer=plateau, patience=1), tmp_path)


@pytest.mark.slow
def test_a_final_model_trains_on_every_clip_and_is_not_tested(masked, tmp_path, capsys):
    recipe, data, folder = masked
    home = tmp_path / f"{recipe.name}-{recipe.hash}"
    home.symlink_to(folder)
    (run,) = train_final(recipe, data, tmp_path)
    assert run == home / "final" / "seed-0"
    from keras_ser.training import Run

    made = Run.load(run)
    assert set(made.split.train) == {u.id for u in data.corpus} and not made.split.test and made.recipe.epochs == 1
    said = (run / "final.md").read_text()
    assert f"Trained on {len(data.corpus)} clips" in said and "Nothing tests this model" in said and "UAR" in said
    with pytest.raises(RunError, match="cannot test it. Name another corpus"):
        evaluate(run)
    assert main(["evaluate", str(run), "--merge=a=b"]) == 2
    assert "--merge goes with --corpus NAME" in capsys.readouterr().err
