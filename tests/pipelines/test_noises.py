import numpy as np
import pytest
import soundfile

from keras_ser.audio import AudioError, read
from keras_ser.pipelines.noises import is_generated, noise_bank

RATE = 8000
SIDES = ("train", "validation", "test")


def test_a_stretch_that_is_silent_is_named(tmp_path, rng):
    """Nothing would be mixed in, and the clip still be called noisy."""
    wave = 0.1 * rng.standard_normal(1000)
    wave[800:] = 0
    soundfile.write(tmp_path / "engine.wav", wave, 16000)
    assert len(noise_bank(("engine",), "train", 16000, 0, root=tmp_path)[0]) == 600
    with pytest.raises(AudioError, match="'engine' is silent from 80 to 100 % of its length, its test stretch"):
        noise_bank(("engine",), "test", 16000, 0, root=tmp_path)


def test_digital_silence_is_left_out_of_noises(tmp_path, rng, caplog):
    """Bursts, and 2 s of zeros between them: a clip may fall into any stretch, on every side."""
    wave = 0.1 * rng.standard_normal((10, 400))
    bursts = np.concatenate([np.concatenate([burst, np.zeros(600)]) for burst in wave])
    soundfile.write(tmp_path / "dog.wav", bursts, RATE, subtype="DOUBLE")
    found = {side: noise_bank(("dog",), side, RATE, 0, root=tmp_path)[0] for side in SIDES}
    np.testing.assert_allclose(np.concatenate([*found.values()]), wave.ravel(), atol=1e-7)
    assert [len(part) for part in found.values()] == [2400, 800, 800]
    assert "the noise 'dog': digital silence, 60.0 % of its test stretch, is left out" in caplog.text


@pytest.fixture
def root(tmp_path):
    """Noises whose samples tell where they come from: a slow ramp each, in a band of its own."""
    for i, name in enumerate(("factory1", "factory2", "volvo", "white")):
        soundfile.write(
            tmp_path / f"{name}.wav", np.linspace(0.2 * i + 0.01, 0.2 * i + 0.19, RATE * (2 + i)), RATE, subtype="FLOAT"
        )
    return tmp_path


@pytest.fixture
def speech(rng):
    return [rng.normal(size=n).astype("float32") * a for n, a in ((4000, 0.1), (9000, 0.5), (6001, 0.02))]


def bank(names, side="train", seed=0, **more):
    return noise_bank(names, side, RATE, seed, seconds=1.5, **more)


def test_noises_depend_on_seed_and_side(speech):
    for name in ("white", "brown", "babble"):
        (a,), (again,) = (bank([name], speech=speech) for _ in range(2))
        np.testing.assert_array_equal(a, again)
        others = [bank([name], side, speech=speech)[0] for side in SIDES[1:]] + [bank([name], seed=1, speech=speech)[0]]
        for i, b in enumerate([a, *others]):
            for c in [a, *others][:i]:
                assert np.abs(b - c).max() > 0.1
    first, second = bank(["white", "white"])
    assert np.abs(np.corrcoef(first, second)[0, 1]) < 0.05


def test_babble_is_made_of_the_speech_it_is_given():
    """Pure tones babble in pure tones."""
    time = np.arange(4000) / RATE
    tones = [np.sin(2 * np.pi * f * time).astype("float32") for f in (440.0, 1000.0)]  # whole periods: no seams
    for side in SIDES:
        (wave,) = bank(["babble"], side, speech=tones)
        power = np.abs(np.fft.rfft(wave * np.hanning(len(wave)))) ** 2
        frequencies = np.fft.rfftfreq(len(wave), 1 / RATE)
        near = np.min(np.abs(frequencies[:, None] - [440.0, 1000.0]), axis=1) < 30
        assert power[near].sum() > 0.9 * power.sum()


def test_files_are_cut_in_time(root):
    """No side has a sample of another side's, and each has samples of every file it asked for."""
    whole = {path.stem: read(path, RATE) for path in root.glob("*.wav")}
    for name in ("factory1", "volvo"):
        parts = [bank([name], side, root=root)[0] for side in SIDES]
        for earlier, later in zip(parts, parts[1:], strict=False):
            assert earlier.max() < later.min()
        np.testing.assert_array_equal(np.concatenate(parts), whole[name])
        assert [len(part) / len(whole[name]) for part in parts] == pytest.approx([0.6, 0.2, 0.2], abs=1e-3)


def test_a_name_takes_all_its_numbers(root):
    both = bank(["factory"], "validation", root=root)[0]
    one, two = bank(["factory1", "factory2"], "validation", root=root)
    np.testing.assert_array_equal(both, np.concatenate([one, two]))


def test_a_file_goes_before_a_colour_of_its_name(root):
    (file,) = bank(["white"], root=root)
    assert len(file) == pytest.approx(0.6 * 5 * RATE)
    np.testing.assert_array_equal(file, read(root / "white.wav", RATE)[: len(file)])
    (made,) = bank(["white"])
    assert made.min() < -1


@pytest.mark.parametrize(
    ("name", "generated"), [("white", False), ("factory", False), ("factory2", False), ("babble", True), ("pink", True)]
)
def test_what_is_generated(root, name, generated):
    assert is_generated(name, root) is generated and is_generated(name, None)


def test_a_file_that_differs_in_case_is_not_taken_for_a_colour(tmp_path, root):
    (root / "white.wav").rename(tmp_path / "White.wav")
    with pytest.raises(ValueError, match="noise 'white' is no file, but there is 'White'"):
        bank(["white"], root=tmp_path)
    (tmp_path / "White.wav").rename(root / "white.wav")


def test_unknown_noises_are_errors(root):
    with pytest.raises(
        ValueError, match=r"noise 'pub' is neither .* There are: white, .*violet, .*factory1.*--noise-root.*--set"
    ):
        bank(["white", "pub"], root=root)
    with pytest.raises(ValueError, match="'factory' is neither"):
        bank(["factory"])
    with pytest.raises(ValueError, match="'babble' is neither .* There are: white, pink, brown, blue, violet. "):
        bank(["babble"])
    with pytest.raises(AudioError, match="no such folder"):
        bank(["white"], root=root / "nowhere")
    with pytest.raises(ValueError, match="`side` must be train, validation or test. Received: 'dev'"):
        bank(["white"], "dev")
