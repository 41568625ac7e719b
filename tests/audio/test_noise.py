import numpy as np
import pytest
import soundfile
from scipy import signal

from keras_ser.audio import AudioError
from keras_ser.audio import noise as noise_module
from keras_ser.audio.noise import babble, colour, is_among, load_noises, mix, snr, stretch, without_pauses


@pytest.mark.parametrize(
    ("name", "slope"), [("white", 0), ("pink", -3.01), ("brown", -6.02), ("blue", 3.01), ("violet", 6.02)]
)
def test_slopes(name, slope):
    """Power per octave band from Welch's method, with the band's width divided out: decibels per octave."""
    noise = colour(name, 2**19, 3)
    frequency, density = signal.welch(noise.astype(float), 16000, nperseg=8192)
    edges = 62.5 * 2.0 ** np.arange(8)  # up to 8 kHz
    bands = [np.mean(density[(frequency >= a) & (frequency < b)]) for a, b in zip(edges[:-1], edges[1:], strict=True)]
    measured = np.polyfit(np.arange(7), 10 * np.log10(bands), 1)[0]
    assert measured == pytest.approx(slope, abs=0.15)


@pytest.mark.parametrize(("name", "samples"), [("white", 2), ("pink", 16000), ("brown", 16001)])
def test_colours_have_unit_level_and_a_seed(name, samples):
    noise = colour(name, samples, 5)
    assert noise.dtype == np.float32 and noise.shape == (samples,)
    assert np.sqrt(np.mean(noise.astype(float) ** 2)) == pytest.approx(1, abs=1e-5)
    assert abs(noise.mean(dtype=float)) < 1e-5
    np.testing.assert_array_equal(noise, colour(name, samples, np.random.default_rng(5)))
    assert np.abs(noise - colour(name, samples, 6)).max() > 1e-3 or samples < 4


def test_babble_is_made_of_the_voices(rng):
    """Each talker stands at the same level: regressing on the (single-clip) voices gives equal powers."""
    quiet, loud = rng.normal(scale=0.01, size=4000), rng.normal(scale=1.0, size=4000)
    noise = babble([quiet, loud, np.zeros(300)], 20000, 1)
    assert noise.shape == (20000,) and np.sqrt(np.mean(noise.astype(float) ** 2)) == pytest.approx(1, abs=1e-5)
    spectrum = np.abs(signal.correlate(noise, quiet / quiet.std())), np.abs(signal.correlate(noise, loud / loud.std()))
    peaks = [s.max() for s in spectrum]
    assert 0.3 < peaks[0] / peaks[1] < 3
    np.testing.assert_array_equal(noise, babble([quiet, loud, np.zeros(300)], 20000, 1))
    assert np.abs(noise - babble([quiet, loud], 20000, 2)).max() > 0.1


@pytest.mark.parametrize("snr_db", [-10, 0, 33.3])
def test_mixing_measures_what_was_asked(rng, snr_db):
    speech = rng.normal(size=12345) * np.repeat([0.0, 0.3, 1e-4, 0.1, 0.0], 2469)
    noise = colour("pink", 40000, 1)
    mixed, scaled = mix(speech, noise, snr_db, rng)
    assert mixed.dtype == scaled.dtype == np.float32
    measured = 10 * np.log10(np.sum(speech**2) / np.sum((mixed - speech) ** 2))
    assert measured == pytest.approx(snr_db, abs=0.01)
    assert snr(speech, mixed) == pytest.approx(snr_db, abs=0.01)
    np.testing.assert_allclose(mixed, speech + scaled, atol=1e-6)


def test_short_noise_loops_and_long_noise_starts_anywhere(rng):
    speech, noise = rng.normal(size=1000), rng.normal(size=300)
    _, scaled = mix(speech, noise, 0)
    np.testing.assert_allclose(scaled[300:600], scaled[:300], rtol=1e-6)
    assert np.corrcoef(scaled[:300], noise)[0, 1] == pytest.approx(1)
    ramp = np.arange(1.0, 5001.0)
    starts = set()
    for seed in range(40):
        _, scaled = mix(speech, ramp, 0, rng=np.random.default_rng(seed))
        assert (np.diff(scaled) > 0).all()  # never wrapped
        starts.add(round(scaled[0] / np.diff(scaled.astype(float)).mean()))
    assert len(starts) > 30 and min(starts) >= 1 and max(starts) <= 4001


def test_mix_errors(rng):
    speech = rng.normal(size=500)
    with pytest.raises(ValueError, match="`speech` is silent"):
        mix(0 * speech, speech, 0)
    with pytest.raises(ValueError, match="`noise` is silent"):
        mix(speech, 0 * speech, 0)
    with pytest.raises(ValueError, match="silent in the stretch"):
        mix(speech, np.append(np.zeros(500), speech), 0)
    with pytest.raises(ValueError, match="finite"):
        mix(speech, np.append(speech, np.nan), 0)
    with pytest.raises(ValueError, match="`noise` is silent"):
        mix(speech, np.zeros(0), 0)


def test_snr_of_a_denoiser(rng):
    clean = rng.normal(size=1000)
    assert snr(clean, clean) == np.inf
    # Dropped samples count as zeros: an output of nothing has an error as large as the signal.
    assert snr(clean, np.zeros(1000)) == pytest.approx(0)
    assert snr(clean, 0.9 * clean) == pytest.approx(20)
    with pytest.raises(ValueError, match="same length"):
        snr(clean, clean[1:])
    with pytest.raises(ValueError, match="silent"):
        snr(0 * clean, clean)


def test_stretches_are_apart_and_complete():
    noise = np.arange(1003)
    parts = [stretch(noise, fold) for fold in ("train", "validation", "test")]
    np.testing.assert_array_equal(np.concatenate(parts), noise)
    assert [len(part) for part in parts] == [602, 200, 201]
    with pytest.raises(ValueError, match="must be one of train, validation, test"):
        stretch(noise, "dev")
    with pytest.raises(ValueError, match="at least 5"):
        stretch(noise[:4], "train")


def test_noise_files(tmp_path, rng):
    (tmp_path / "more").mkdir()
    (tmp_path / "README.md").write_text("where these come from")
    pink, hum = rng.normal(scale=0.1, size=4000), rng.normal(scale=0.1, size=3000)
    soundfile.write(tmp_path / "pink.wav", pink, 16000, subtype="FLOAT")
    soundfile.write(tmp_path / "more" / "hum.flac", hum, 16000)
    found = load_noises(tmp_path)
    assert list(found) == ["hum", "pink"]
    np.testing.assert_allclose(found["pink"], pink, atol=1e-7)
    np.testing.assert_allclose(found["hum"], hum, atol=1e-4)
    assert len(load_noises(tmp_path, 8000)["pink"]) == 2000


def test_bad_noise_folders(tmp_path, rng):
    with pytest.raises(AudioError, match="no such folder"):
        load_noises(tmp_path / "nowhere")
    with pytest.raises(AudioError, match="no audio files"):
        load_noises(tmp_path)
    soundfile.write(tmp_path / "a.wav", rng.normal(scale=0.1, size=400), 16000)
    soundfile.write(tmp_path / "a.flac", rng.normal(scale=0.1, size=400), 16000)
    with pytest.raises(AudioError, match="another noise is called 'a'"):
        load_noises(tmp_path)
    soundfile.write(tmp_path / "a.flac", np.zeros(400), 16000)
    (tmp_path / "a.wav").unlink()
    with pytest.raises(AudioError, match="a.flac: the noise is silent"):
        load_noises(tmp_path)
    (tmp_path / "a.flac").write_bytes(b"no audio")
    with pytest.raises(AudioError, match="a.flac: corrupt or not audio"):
        load_noises(tmp_path)


def test_noises_that_share_files():
    """ "factory" is every file of this type; files of one type are different noises."""
    trained = {"factory", "pink", "buccaneer1"}
    seen = [
        name
        for name in ("factory", "factory2", "pink", "buccaneer", "buccaneer1", "buccaneer2")
        if is_among(name, trained)
    ]
    assert seen == ["factory", "factory2", "pink", "buccaneer", "buccaneer1"]


def test_a_noise_as_long_as_the_speech_is_not_wrapped():
    for seed in range(5):
        _, scaled = mix(np.ones(500), np.arange(1.0, 501.0), 0, rng=np.random.default_rng(seed))
        assert (np.diff(scaled) > 0).all()


def test_what_is_shorter_than_a_pause_stays():
    noise = np.ones(1000, "float32")
    noise[100:199], noise[300:400] = 0, 0  # 99 zeros stay, 100 are a pause
    assert len(without_pauses(noise)) == 900


def test_an_offset_of_a_recording_is_not_in_the_babble(rng):
    noise = babble([rng.normal(scale=0.01, size=4000) + 0.5, rng.normal(size=4000) + 0.5], 20000, 1)
    assert abs(noise.mean(dtype=float)) < 0.05


def test_the_level_of_a_talker_is_that_of_the_whole_clip(rng, monkeypatch):
    """Not of the piece that is drawn from it, which may be a quiet one."""
    measured, clip = [], np.concatenate([1e-3 * rng.normal(size=8000), rng.normal(size=8000)])
    rms = noise_module._rms
    monkeypatch.setattr(noise_module, "_rms", lambda x: measured.append(len(x)) or rms(x))
    babble([clip], 200, 0)
    assert set(measured[:-1]) == {16000}, "the last one is that of the sum"
