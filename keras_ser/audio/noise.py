"""Noise (coloured, babble, or read from files), and its mixing into speech at a given signal-to-noise ratio.

The ratio is eq. 23 of ASP-MTL with the noise as the error: SNR = 10 lg(sum s^2 / sum (y - s)^2), in dB, over all
samples of the clip.
"""

import os
from collections.abc import Container, Iterable, Sequence
from pathlib import Path

import numpy as np

from keras_ser.audio.header import AudioError
from keras_ser.audio.io import read
from keras_ser.errors import UserError
from keras_ser.files import visible_files

# Exponent of f in the power spectral density; a step of 1 is 3.01 dB per octave.
COLOURS = {"white": 0, "pink": -1, "brown": -2, "blue": 1, "violet": 2}
STRETCHES = {"train": (0.0, 0.6), "validation": (0.6, 0.8), "test": (0.8, 1.0)}
TALKERS = 8  # of babble
PAUSE = 100  # samples: less than any clip
DOCUMENTS = {"", ".csv", ".html", ".json", ".md", ".pdf", ".tsv", ".txt"}

Seed = int | np.random.Generator


def noise_type(name: str) -> str:
    """Return the type of a noise: its name without a final number, "factory" for "factory1"."""
    return name.rstrip("0123456789")


def is_among(name: str, others: Iterable[str]) -> bool:
    """Return whether a noise shares a file with any of `others`: "factory" means all files of this type, "factory1" one of them."""
    return any(name in (other, noise_type(other)) or other == noise_type(name) for other in others)


def colour(name: str, samples: int, seed: Seed) -> np.ndarray:
    """Generate Gaussian noise with power density S(f) ~ f^k, k = 0, -1, -2, 1, 2 for white, pink, brown, blue, violet.

    White noise is shaped by |f|^(k/2) in the frequency domain, over the whole length at once; the component at 0 Hz is 0.

    Args:
        name: one of `COLOURS`.
        samples: length, at least 2.
        seed: an int, or a generator to draw from.

    Returns:
        float32 (samples,), mean 0, RMS 1. It is periodic in its length, so it loops without a click.
    """
    if name not in COLOURS:
        raise UserError(f"`name` must be one of {', '.join(COLOURS)}. Received: {name!r}.")
    if samples < 2:
        raise UserError(f"`samples` must be at least 2. Received: {samples}.")
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(samples))
    shape = np.arange(spectrum.size, dtype=float)
    shape[1:] **= COLOURS[name] / 2
    shape[0] = 0
    noise = np.fft.irfft(spectrum * shape, samples)
    return (noise / _rms(noise)).astype(np.float32)


def babble(waveforms: Sequence[np.ndarray], samples: int, seed: Seed) -> np.ndarray:
    """Sum eight talkers, each a random sequence of speech clips of equal RMS from a random start.

    For training noise, pass clips of the training split only.

    Args:
        waveforms: clips, (samples,) each; silent ones are skipped.
        samples: length of the babble.
        seed: an int, or a generator to draw from.

    Returns:
        float32 (samples,), RMS 1.
    """
    if samples < 1:
        raise UserError(f"`samples` must be positive. Received: {samples}.")
    # A constant clip is silent once its offset is subtracted.
    clips = [np.asarray(clip, float) - np.mean(clip) for clip in waveforms if np.size(clip) and np.ptp(clip) > 0]
    if not clips:
        raise UserError("`waveforms` must hold at least one clip that is not silent.")
    rng = np.random.default_rng(seed)
    total = np.zeros(samples)
    for _ in range(TALKERS):
        voice, filled = np.empty(samples), 0
        while filled < samples:
            clip = clips[rng.integers(len(clips))]
            first = int(rng.integers(clip.size)) if filled == 0 else 0
            piece = clip[first : first + samples - filled]
            voice[filled : filled + piece.size] = piece / _rms(clip)
            filled += piece.size
        total += voice
    level = _rms(total)
    if level == 0:
        raise UserError("the clips chosen for babble are silent where they were cut; give more or longer clips.")
    return (total / level).astype(np.float32)


def load_noises(
    root: str | os.PathLike, sample_rate: int = 16000, stems: Container[str] | None = None
) -> dict[str, np.ndarray]:
    """Read the noise files under a folder (and its sub-folders) at `sample_rate` Hz: all, or those of some `stems`.

    Hidden files and documents (.md, .txt, .tsv, .. and names without a suffix) are skipped; anything else must be
    audio. A noise shorter than a clip is looped (see `mix`).

    Returns:
        Stem -> float32 (samples,), in alphabetical order.

    Raises:
        AudioError: the folder is missing or holds no audio; a file is not audio or is silent; two share a stem.
    """
    noises: dict[str, np.ndarray] = {}
    for stem, path in noise_files(root).items():
        if stems is not None and stem not in stems:
            continue
        noises[stem] = read(path, sample_rate)
        if noises[stem].min() == noises[stem].max():
            raise AudioError(f"{path}: the noise is silent.")
    return noises


def noise_files(root: str | os.PathLike) -> dict[str, Path]:
    """Return stem -> file of the noises under a folder, in alphabetical order, without decoding; raises as `load_noises`."""
    root = Path(root)
    if not root.is_dir():
        raise AudioError(f"{root}: no such folder of noise files.")
    found: dict[str, Path] = {}
    for path in visible_files(root):
        if path.suffix.lower() in DOCUMENTS:
            continue
        if path.stem in found:
            raise AudioError(f"{path}: another noise is called {path.stem!r} as well; rename one of them.")
        found[path.stem] = path
    if not found:
        raise AudioError(f"{root}: no audio files under it.")
    return dict(sorted(found.items()))


def without_pauses(noise: np.ndarray) -> np.ndarray:
    """Leave out runs of at least `PAUSE` zeros, so that any stretch as long as a clip can be mixed in at an SNR."""
    edges = np.flatnonzero(np.diff(noise == 0, prepend=False, append=False)).reshape(-1, 2)  # (runs, first and end)
    pauses = edges[np.diff(edges, axis=1)[:, 0] >= PAUSE]
    return np.delete(noise, np.concatenate([np.arange(*run) for run in pauses])) if len(pauses) else noise


def stretch(noise: np.ndarray, fold: str) -> np.ndarray:
    """Return the part of a noise (samples,) that one side of a split may use: the first 60 % for training, then 20 % each.

    The parts ("train", "validation", "test") do not overlap, so that no sample of a test noise is used in training.
    """
    if fold not in STRETCHES:
        raise UserError(f"`fold` must be one of {', '.join(STRETCHES)}. Received: {fold!r}.")
    if len(noise) < 5:
        raise UserError(f"`noise` must have at least 5 samples to be split. Received: {len(noise)}.")
    first, last = STRETCHES[fold]
    return noise[round(first * len(noise)) : round(last * len(noise))]


def snr(clean: np.ndarray, noisy: np.ndarray) -> float:
    """Return the signal-to-noise ratio in dB (eq. 23): 10 lg(sum s^2 / sum (y - s)^2); infinite if the two are equal.

    s is `clean`; y is `noisy`: noisy speech or a denoiser's output, with zeros in place of dropped samples. Raises UserError for
    a silent `clean` or different lengths.

    Example:
        >>> round(snr([1.0, -1.0], [1.1, -0.9]), 6)
        20.0
    """
    clean, noisy = np.asarray(clean, float), np.asarray(noisy, float)
    if clean.shape != noisy.shape:
        raise UserError(f"`clean` and `noisy` must have the same length. Received: {clean.shape}, {noisy.shape}.")
    signal, error = np.sum(clean**2), np.sum((noisy - clean) ** 2)
    if signal == 0:
        raise UserError("`clean` is silent: a signal-to-noise ratio is not defined.")
    return float("inf") if error == 0 else float(10 * np.log10(signal / error))


def mix(
    speech: np.ndarray, noise: np.ndarray, snr_db: float, rng: np.random.Generator | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Add noise to speech so that `snr(speech, mixed)` is `snr_db`, to 0.01 dB.

    The speech keeps its level; y = s + g n with g = sqrt(sum s^2 / (10^(snr/10) sum n^2)). A noise shorter than the
    speech is looped. The sum may exceed full scale; it is not clipped.

    Args:
        speech: s, (samples,).
        noise: n, (samples,), of any length.
        snr_db: dB.
        rng: draws the start within the noise; None = its beginning.

    Returns:
        y and g n, both float32 (samples,).

    Raises:
        UserError: the speech or the part of the noise that is mixed in is silent, or an argument is not finite.
    """
    speech, noise = np.asarray(speech, float), np.asarray(noise, float)
    if not (np.isfinite(speech).all() and np.isfinite(noise).all() and np.isfinite(snr_db)):
        raise UserError("`speech`, `noise` and `snr_db` must be finite. Received NaN or infinity.")
    if not speech.any():
        raise UserError("`speech` is silent: a signal-to-noise ratio is not defined.")
    if not noise.any():
        raise UserError("`noise` is silent: it can't be mixed at a signal-to-noise ratio.")
    spare = noise.size - speech.size
    # A noise that is long enough is not wrapped around, to avoid a click where its ends meet.
    first = 0 if rng is None else int(rng.integers(spare + 1 if spare >= 0 else noise.size))
    noise = noise[(first + np.arange(speech.size)) % noise.size]
    power = np.sum(noise**2)
    if power == 0:
        raise UserError("`noise` is silent in the stretch that is mixed in; take another start or a longer noise.")
    noise = noise * np.sqrt(np.sum(speech**2) / power * 10 ** (-snr_db / 10))
    return (speech + noise).astype(np.float32), noise.astype(np.float32)


def _rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x))))
