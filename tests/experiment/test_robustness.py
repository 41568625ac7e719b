"""`keras-ser evaluate --noise` on tiny runs: plain, behind a mask, and a cascade with and without its model 1."""

import dataclasses
import json
import shutil

import numpy as np
import pandas as pd
import pytest
import soundfile

from keras_ser.cli import main
from keras_ser.errors import UserError
from keras_ser.experiment import robustness as room
from keras_ser.experiment.rescoring import missing_runs, runs_of
from keras_ser.models.aspmtl import cascade
from keras_ser.models.aspmtl.denoiser import mask_denoiser
from keras_ser.splits import LeakageError
from keras_ser.training import Run, RunError
from keras_ser.training.predictions import predict
from tests.training import tiny

# two runs are trained and scored in every noise
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def found(masked, noise_root, tmp_path_factory):
    out = tmp_path_factory.mktemp("robust")
    runs = runs_of(masked[2])
    room.run_robustness(runs, masked[1], noise_root, out, denoisers=runs, snrs=[10.0, -5.0])
    return pd.read_csv(out / "robustness.csv", keep_default_na=False), out


def test_every_labelled_test_clip_in_every_noise(found, masked):
    table, out = found
    recipe, data, folder = masked
    runs = runs_of(folder)
    assert len(runs) == 1
    labelled = {u.id for u in data.corpus if u.labels.get("emotion")}
    tested = sum(len(labelled & set(run.split.test)) for run in runs)
    assert len(table) == tested * (1 + 2 * 2) * 2
    assert table.groupby("noise")["seen"].all().to_dict() == {"clean": True, "rumble1": False, "white": True}
    assert json.loads((out / "robustness.json").read_text())["areas"]
    assert "**Not trained to the end:** 1 of 1 underfit" in (out / "robustness.md").read_text()


def test_clean_predictions_are_the_runs_own(found, masked):
    table, _ = found
    recipe, data, folder = masked
    run = runs_of(folder)[0]
    own = predict(run.model(), recipe, data, run.split)
    own = own[(own["stream"] == "clean") & (own["emotion"] != "")].set_index("id")["emotion/prediction"]
    clean = table[
        (table["noise"] == "clean") & (table["fold"] == run.split.fold) & (table["system"] == "without model 1")
    ]
    assert clean.set_index("id")["prediction"].to_dict() == own.to_dict()
    infer, mask = run.model(), mask_denoiser(runs_of(folder)[0].model())
    behind = table[
        (table["noise"] == "clean") & (table["fold"] == run.split.fold) & (table["system"] == "with model 1")
    ]
    for _, name, _, wave in room.tested_clips(run, data)[:3]:
        given = {"waveform": wave[None], "length": np.array([len(wave)])}
        p = infer({**given, "waveform": np.asarray(mask(given)["waveform"])}, training=False)["emotion"]
        assert behind.set_index("id")["prediction"][name] == recipe.tasks[0].labels[int(np.argmax(p))]


def test_nothing_is_scored_twice(found, masked, noise_root, tmp_path, monkeypatch):
    monkeypatch.setattr(room, "_in_noise", lambda *a: pytest.fail("scored again"))
    folder = masked[2]
    run = Run.load(folder / "speakers" / "fold-00-seed-0")
    again = room.run_robustness(runs_of(folder), masked[1], noise_root, tmp_path, denoisers=[run], snrs=[10.0, -5.0])
    assert len(again.predictions) == len(found[0])


def test_a_denoiser_that_heard_the_test_speakers_is_refused(masked, noise_root, tmp_path):
    """In training, or in an auxiliary corpus; and of several, for each fold the one that did not is taken."""
    runs, data = runs_of(masked[2]), masked[1]
    other = Run.load(shutil.copytree(runs[0].folder, tmp_path / "other"))
    tested = [u for u in data.corpus if u.id in runs[0].split.test]
    for clips, speakers in (([tested[0].id], []), ([], [tested[0].speaker])):
        heard = {data.corpus.name: {"clips": clips, "speakers": speakers}}
        (other.folder / "heard.json").write_text(json.dumps(heard))
        with pytest.raises(LeakageError, match="test speakers occur in the training of the denoiser"):
            room.run_robustness(runs, data, noise_root, tmp_path, denoisers=[other])
        assert room._unheard(runs[0], [other, runs[0]], data) is runs[0]


def test_a_run_without_a_denoiser_and_unfinished_runs_are_left_out_and_named(found, masked, noise_root, tmp_path):
    """Model 1 has finished fold 0 alone; fold 2 of the run's own experiment failed."""
    recipe, data, folder = masked
    (run,) = runs_of(folder)
    second = dataclasses.replace(run, split=recipe.protocols[0].splits(data.corpus)[1])
    failed = folder / "speakers" / "fold-02-seed-0"
    failed.mkdir()
    (failed / "failed.json").write_text('{"reason": "the loss is nan."}')
    try:
        missing = missing_runs(folder, [run], data)
    finally:
        shutil.rmtree(failed)
    assert missing[1:] == (
        "Failed: speakers, fold 2, seed 0: the loss is nan.",
        "2 of 4 runs are unfinished and excluded from all results: speakers/fold-01-seed-0, speakers/fold-03-seed-0.",
    )
    made = room.run_robustness(
        [run, second], data, noise_root, tmp_path, denoisers=[run], snrs=[10.0, -5.0], missing=missing
    )
    assert set(made.predictions["fold"]) == {0}
    lines = (tmp_path / "robustness.md").read_text().splitlines()
    assert lines[2:5] == [f"- {sentence}" for sentence in missing]
    assert lines[5].startswith("- Fold 1, seed 0 is excluded: ") and "in the training of the denoiser" in lines[5]


def test_another_noise_of_the_same_name_is_scored_anew(masked, noise_root, tmp_path, found, monkeypatch):
    folder = tmp_path / "noises"
    shutil.copytree(noise_root, folder)
    soundfile.write(folder / "white.flac", 0.1 * np.sin(np.arange(30000)), 16000)
    asked = []

    def interrupted(*given):
        asked.extend(given[3])
        raise InterruptedError

    monkeypatch.setattr(room, "_in_noise", interrupted)
    with pytest.raises(InterruptedError):
        room.run_robustness(
            runs_of(masked[2]), masked[1], folder, tmp_path, denoisers=runs_of(masked[2]), snrs=[10.0, -5.0]
        )
    used = next(wave for name, wave, _ in asked if name == "white")
    np.testing.assert_allclose(used, 0.1 * np.sin(np.arange(24000, 30000)), atol=1e-4, err_msg="not the last fifth")


def test_a_cascade_without_its_model_1_is_model_2_alone(rng):
    from keras_ser.features import Frontend
    from keras_ser.recipe import FrontendConfig
    from tests.models import wholes

    settings = {k: v for k, v in wholes.FRONTEND.items()}
    config = FrontendConfig(**settings)
    whole = wholes.cascade()
    bare = cascade.without_first(whole, config)
    waveform, length = wholes.clips(rng)
    features = Frontend(**settings, coefficients=13)(waveform, length)
    expected = whole.get_layer("scorer")(dict(features), training=False)
    got = wholes.run_model(bare, waveform, length)
    assert set(got) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, atol=1e-6)
    assert np.abs(got["emotion"] - wholes.run_model(whole, waveform, length)["emotion"]).max() > 1e-4


def test_options_that_do_not_fit(masked, noise_root, tmp_path, capsys):
    runs, data = runs_of(masked[2]), masked[1]
    assert main(["evaluate", str(masked[2]), "--snr=3"]) == 2
    assert "go with --noise" in capsys.readouterr().err
    with pytest.raises(RunError, match="neither"):
        runs_of(tmp_path)
    recipe = runs[0].recipe.replace(tasks=(tiny.AROUSAL, tiny.NOISE), monitor="")
    continuous = dataclasses.replace(runs[0], recipe=recipe)
    with pytest.raises(ValueError, match="'arousal' is continuous"):
        room.run_robustness([continuous], data, noise_root, tmp_path)
    first = tiny.FIRST.replace(frontend=runs[0].recipe.frontend)
    cascaded = dataclasses.replace(runs[0], recipe=runs[0].recipe.replace(first=first))
    reserved = shutil.copytree(noise_root, tmp_path / "noises")
    shutil.copy(noise_root / "white.flac", reserved / "clean.flac")
    with pytest.raises(
        UserError, match="noises has a noise file called 'clean', which is the name of clips without noise"
    ):
        room.run_robustness(runs, data, reserved, tmp_path)
    with pytest.raises(ValueError, match="a cascade has its own model 1"):
        room.run_robustness([cascaded], data, noise_root, tmp_path, denoisers=runs)
