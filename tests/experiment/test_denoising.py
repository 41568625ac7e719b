"""Tables 5 to 8 on a tiny experiment: what is scored, on which clips, and `keras-ser denoise`."""

import argparse
import os
import types
from pathlib import Path

import numpy as np
import pytest
import soundfile

from keras_ser.audio import read
from keras_ser.audio.denoise import spectral_subtraction
from keras_ser.audio.noise import snr
from keras_ser.audio.quality import si_sdr
from keras_ser.cli import main, noises
from keras_ser.errors import UserError
from keras_ser.experiment import denoisers, denoising
from keras_ser.models.aspmtl.denoiser import mask_denoiser
from keras_ser.training import Run
from tests import disk
from tests.training import tiny


@pytest.fixture(scope="module")
def made(masked):
    pytest.importorskip("pywt", reason="the package PyWavelets is not installed")
    recipe, data, folder = masked
    steps = []
    found = denoising.run_denoising(
        recipe,
        data,
        folder,
        ("white", "blue"),
        snrs=(10.0, -5.0),
        clips=3,
        folds=[0],
        on_step=lambda *s: steps.append(s),
    )
    assert [s[0] for s in steps] == [1, 2, 3, 4, 5] and {s[1] for s in steps} == {5}
    return found


@pytest.mark.slow
def test_one_row_a_clip_and_method(made, masked):
    recipe, data, _ = masked
    table = made.predictions
    assert len(table) == 2 * 2 * 3 * len(denoisers.METHODS)  # noises, SNRs, clips
    assert set(table["method"]) == set(denoisers.METHODS) == set(made.to_dict()["methods"])
    tested = {fold: set(part["id"]) for fold, part in table.groupby("fold")}
    for fold, ids in tested.items():
        run = Run.load(masked[2] / "speakers" / f"fold-0{fold}-seed-0")
        assert ids <= set(run.split.test)
        assert set(table.loc[table["fold"] == fold, "group"]) == {u.speaker for u in data.corpus if u.id in ids}


@pytest.mark.slow
def test_the_ideal_mask_is_the_limit_and_clean_clips_are_told(made):
    means = made.predictions.groupby(["noise", "snr_in", "method"])["si_sdr"].mean().unstack()
    assert (means["ideal-mask"] > means.drop(columns="ideal-mask").max(axis=1)).all()
    assert any(note.startswith("On 3 clean clips mask has a SI-SDR of") for note in made.notes)
    # noises are mixed at the ratio that is given, and what no training uses is unseen
    plain = made.predictions[made.predictions["method"] == "none"]
    np.testing.assert_allclose(plain["snr_out"], plain["snr_in"], atol=0.01)
    assert made.predictions.groupby("noise")["seen"].all().to_dict() == {"white": True, "blue": False}


def test_batched_gives_each_clip_back_in_its_place(rng):
    waves = [rng.normal(size=n).astype("float32") for n in rng.integers(5, 90, 37)]
    found = denoisers.batched(lambda x, n: 2 * x, waves)
    other = denoisers.batched(lambda x, n, y: x * y, waves, [2 * w for w in waves])
    for wave, twice, product in zip(waves, found, other, strict=True):
        np.testing.assert_array_equal(twice, 2 * wave)
        np.testing.assert_array_equal(product, 2 * wave * wave)


@pytest.mark.slow
def test_a_recording_in_stretches_is_the_recording(masked, rng, monkeypatch):
    run = Run.load(masked[2] / "speakers" / "fold-00-seed-0")
    wave = (0.1 * rng.standard_normal(50001)).astype("float32")
    whole = {method: denoisers.waveform_denoiser(run, method)(wave, 16000) for method in ("mask", "drop")}
    monkeypatch.setattr(denoisers, "STRETCH_SECONDS", 0.7)
    pieces = {method: denoisers.waveform_denoiser(run, method)(wave, 16000) for method in ("mask", "drop")}
    assert all(x.shape == wave.shape and x.dtype == np.float32 for x in (*whole.values(), *pieces.values()))
    # an LSTM that began two segments earlier has forgotten where it began; without what comes before, or after, it is 3e-3
    assert np.abs(whole["mask"] - pieces["mask"]).max() <= 1e-6
    # what nothing survives of is judged stretch by stretch: each is what it would be alone
    drop, stretch = denoisers.waveform_denoiser(run, "drop"), 2 * 30 * 160
    alone = np.concatenate([drop(wave[i : i + stretch], 16000) for i in range(0, len(wave), stretch)])
    np.testing.assert_array_equal(pieces["drop"], alone)


def test_denoise_on_a_full_disk_names_the_folder_and_stops(tmp_path, rng, capsys):
    (tmp_path / "in").mkdir()
    for name in ("a.wav", "b.wav"):
        soundfile.write(tmp_path / "in" / name, 0.1 * rng.standard_normal(16000), 16000)
    out = tmp_path / "out"
    with disk.at_most(1000):
        assert main(["denoise", str(tmp_path / "in"), str(out)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{out}: cannot write a.wav, the file is larger than the system allows" in line
    assert [path.name for path in out.iterdir()] == [".denoise.json"]
    assert main(["denoise", str(tmp_path / "in"), str(out)]) == 0
    assert soundfile.info(out / "b.wav").frames == 16000 and soundfile.info(out / "b.wav").subtype == "FLOAT"
    assert main(["denoise", str(tmp_path / "in"), str(tmp_path / "all.wav")]) == 2
    assert capsys.readouterr().err.endswith(f"OUT that is a folder, as IN is one. Received: {tmp_path / 'all.wav'}.\n")
    assert main(["denoise", str(tmp_path / "in" / "a.wav"), str(tmp_path / "one.flac")]) == 0
    assert soundfile.info(tmp_path / "one.flac").format == "FLAC" and "clipped" not in capsys.readouterr().err
    loud = np.where(np.arange(16000) < 3, 1.5, 0.1 * rng.standard_normal(16000))
    soundfile.write(tmp_path / "in" / "loud.wav", loud, 16000, subtype="FLOAT")
    given = ["denoise", str(tmp_path / "in" / "loud.wav"), str(tmp_path / "loud.flac"), "--beta"]
    assert main([*given, "0"]) == 0  # beta = 0 returns the input
    assert "loud.flac: 3 samples beyond full scale are clipped" in capsys.readouterr().err
    assert main([*given, "-1", "--overwrite"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "keras-ser: error: expected alpha > 0 and beta >= 0. Received: alpha=2.0, beta=-1.0."
    ]


@pytest.mark.slow
def test_keras_ser_denoise(masked, tmp_path, rng, capsys):
    run = masked[2] / "speakers" / "fold-00-seed-0"
    (tmp_path / "in" / "b").mkdir(parents=True)
    wave = 0.1 * np.sin(np.cumsum(rng.uniform(0, 0.5, 12000)))
    soundfile.write(tmp_path / "in" / "a.flac", wave, 16000)
    soundfile.write(tmp_path / "in" / "b" / "c.wav", np.stack([wave, wave], 1), 22050)
    (tmp_path / "in" / "bad.wav").write_bytes(b"no audio")
    for method, more in (("spectral-subtraction", []), ("mask", [f"--model={run}"]), ("drop", [f"--model={run}"])):
        out = tmp_path / method
        assert main(["denoise", str(tmp_path / "in"), str(out), f"--method={method}", *more]) == 1
        assert "1 of 3 files could not be denoised" in (told := capsys.readouterr().err) and "bad.wav" in told
        assert sorted(str(p.relative_to(out)) for p in out.rglob("*.*")) == [".denoise.json", "a.wav", "b/c.wav"]
        info = soundfile.info(out / "b" / "c.wav")
        assert (info.samplerate, info.frames, info.channels) == (22050, 12000, 1)
    one = tmp_path / "one.flac"
    assert main(["denoise", str(tmp_path / "in" / "a.flac"), str(one), "--beta=2"]) == 0
    expected = spectral_subtraction(read(tmp_path / "in" / "a.flac", 16000), 16000, beta=2)
    np.testing.assert_allclose(read(one, 16000), expected, atol=1e-4)
    mask = mask_denoiser(Run.load(run).model())
    y = read(tmp_path / "in" / "a.flac", 16000)
    direct = np.asarray(mask({"waveform": y[None], "length": np.array([y.size])})["waveform"])[0]
    np.testing.assert_allclose(read(tmp_path / "mask" / "a.wav", 16000), direct, atol=1e-5)


def options(noise_root=None, unseen="", **more):
    return argparse.Namespace(**{"noise_root": noise_root, "unseen": unseen, "set": [], **more})


def test_an_unseen_file_of_a_joined_noise_is_not_trained_on(tmp_path, rng):
    """What is called "factory" is factory1 and factory2."""
    for name in ("white", "factory1", "factory2"):
        soundfile.write(tmp_path / f"{name}.flac", 0.1 * rng.standard_normal(9000), 16000)
    assert noises.tested_noises(options(tmp_path)) == ("white", "pink", "babble", "factory")
    for unseen, trained in (
        ("factory1", ("white", "pink", "babble", "factory2")),
        ("factory", ("white", "pink", "babble")),
    ):
        recipe = noises.with_noises(tiny.MASKED, options(tmp_path, unseen))
        assert recipe.streams[1].noises == trained and recipe.tasks[1].labels == ("clean", *trained)
        assert noises.tested_noises(options(tmp_path, unseen)) == (*trained, unseen)
    with pytest.raises(ValueError, match="--unseen factory holds out factory1 as well: name one of the two"):
        noises.tested_noises(options(tmp_path, "factory,factory1"))
    with pytest.raises(ValueError, match="--unseen engine: there is no such noise"):
        noises.tested_noises(options(tmp_path, "engine"))
    with pytest.raises(ValueError, match="not by --set"):
        noises.with_noises(tiny.MASKED, options(set=["streams.noisy.noises=white"]))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--method=mask"], "--method mask needs --model RUN"),
        (["--model=somewhere"], "--model goes with --method drop or mask"),
        (["--beta=-1"], "beta >= 0"),
        (
            ["--beta=1", "--method=wavelet-lms"],
            "--beta goes with --method spectral-subtraction. Received: --method wavelet-lms",
        ),
    ],
)
def test_options_that_do_not_fit(tmp_path, arguments, words, capsys):
    soundfile.write(tmp_path / "a.wav", np.sin(np.arange(9000)) / 3, 16000)
    assert main(["denoise", str(tmp_path / "a.wav"), str(tmp_path / "b.wav"), *arguments]) in (1, 2)
    assert words in capsys.readouterr().err
    assert not (tmp_path / "b.wav").exists()


def test_run_without_noise_task_is_refused_by_name():
    """Labels of the task do not matter, its column does."""
    run = types.SimpleNamespace(folder=Path("runs/x"), recipe=tiny.SINGLE)
    with pytest.raises(UserError, match=r"^runs/x has no 'noise' task: give a model 1 of ASP-MTL"):
        denoisers.inference(run, "drop")


def test_a_file_that_is_there_is_left_alone(tmp_path, capsys):
    soundfile.write(tmp_path / "a.wav", np.sin(np.arange(9000)) / 3, 16000)
    (tmp_path / "b.wav").write_bytes(b"mine")
    ask = ["denoise", str(tmp_path / "a.wav"), str(tmp_path / "b.wav")]
    assert main(ask) == 2 and "--overwrite" in capsys.readouterr().err
    assert (tmp_path / "b.wav").read_bytes() == b"mine"
    assert main([*ask, "--overwrite"]) == 0
    assert snr(read(tmp_path / "a.wav"), read(tmp_path / "b.wav")) > 3


def test_a_folder_again_writes_what_is_missing_or_out_of_date(tmp_path, capsys):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name in ("a.wav", "b.wav"):
        soundfile.write(folder / name, np.sin(np.arange(9000)) / 3, 16000)
    ask = ["denoise", str(folder), str(out)]
    assert main(ask) == 0
    (out / "b.wav").unlink()
    before = (out / "a.wav").stat().st_mtime_ns
    assert main(ask) == 0 and "1 of 2 files are there already" in capsys.readouterr().err
    assert (out / "b.wav").exists() and (out / "a.wav").stat().st_mtime_ns == before
    os.utime(folder / "a.wav", ns=(before + 10**9, before + 10**9))
    assert main(ask) == 0 and (out / "a.wav").stat().st_mtime_ns > before
    for other in ([*ask, "--beta=1"], ["denoise", str(out), str(out)]):
        assert main(other) == 2 and "already exists. Give another OUT, or --overwrite" in capsys.readouterr().err
    (folder / "c.wav").write_bytes(b"no audio")
    assert main([*ask, "--beta=1", "--overwrite"]) == 1, (
        "not all are written anew: the settings of the folder are unknown"
    )
    (folder / "c.wav").unlink()
    assert main([*ask, "--beta=1"]) == 2 and "already exists" in capsys.readouterr().err
    assert main([*ask, "--beta=1", "--overwrite"]) == 0 == main([*ask, "--beta=1"])
    (folder / "a.flac").write_bytes(b"")
    capsys.readouterr()
    assert main([*ask[:2], str(tmp_path / "new")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert all(str(path) in line for path in (folder / "a.flac", folder / "a.wav", tmp_path / "new" / "a.wav"))


@pytest.mark.slow
def test_si_sdr_is_measured_between_the_right_clips(made, masked):
    """One cell again, from the pieces."""
    run = Run.load(masked[2] / "speakers" / "fold-00-seed-0")
    tested = denoising.tested_clips(run, masked[1], 3)
    part = made.predictions.query("fold == 0 and noise == 'white' and snr_in == -5.0")
    from keras_ser.audio.noise import mix
    from keras_ser.pipelines.noises import noise_bank

    (bank,) = noise_bank(("white",), "test", 16000, run.seed)
    for i, (_, name, _, wave) in enumerate(tested):
        noisy = mix(wave, bank, -5.0, rng=np.random.default_rng([run.seed, 0, 1, i]))[0]
        for method, estimate in (("none", noisy), ("spectral-subtraction", spectral_subtraction(noisy, 16000))):
            row = part[(part["id"] == name) & (part["method"] == method)]
            assert row["si_sdr"].item() == pytest.approx(si_sdr(wave, estimate), abs=1e-3)
