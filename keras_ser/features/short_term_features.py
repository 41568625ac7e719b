"""The 34 short-term features of Giannakopoulos (pyAudioAnalysis)."""

from typing import Any

import numpy as np
from keras import ops

from keras_ser.errors import UserError
from keras_ser.features.caching import cached_array
from keras_ser.features.descriptors import (
    BLOCKS,
    EPSILON,
    block_energies,
    block_sums,
    centroid_and_spread,
    chroma,
    chroma_matrix,
    entropy,
    rolloff_bin,
    spectral_flux,
)
from keras_ser.features.framing import (
    check_counts,
    float_tensor,
    frame,
    frame_sums,
    mask_samples,
    pad_to_window,
    sums_of_changes,
    valid_lengths,
)
from keras_ser.features.mel import mel_filters, mel_spectrogram, mfcc
from keras_ser.features.prosody import fast_size, zero_crossing_rate
from keras_ser.features.spectrogram import FLOOR, decibels, power_spectrogram, root

SHORT_TERM_FEATURES = (
    "zero_crossing_rate",
    "energy",
    "energy_entropy",
    "spectral_centroid",
    "spectral_spread",
    "spectral_entropy",
    "spectral_flux",
    "spectral_rolloff",
    *(f"mfcc_{i}" for i in range(1, 14)),
    *(f"chroma_{i}" for i in range(1, 13)),
    "chroma_deviation",
)
COEFFICIENTS, MEL_BINS = 13, 40


def in_16_bits(waveform: Any) -> Any:
    """Round to multiples of 2^-15, as read from a 16-bit file; the gradient is that of the waveform.

    The traces that resampling leaves in digital silence become 0.
    """
    return waveform + ops.stop_gradient(ops.round(waveform * 2.0**15) / 2.0**15 - waveform)


def centred_and_scaled(waveform: Any, length: Any) -> Any:
    """Subtract each clip's mean and divide by its largest absolute value: (batch, samples), 0 beyond `length`."""
    count = ops.cast(ops.maximum(length, 1), "float32")
    x = mask_samples(waveform - (ops.sum(waveform, axis=1) / count)[:, None], length)
    return x / (ops.max(ops.abs(x), axis=1, keepdims=True) + 1e-10)


def half_magnitude(frames: Any) -> Any:
    """Return the magnitudes of bins 0 .. window // 2 - 1, divided by window // 2: (batch, frames, window // 2).

    There is no window function and no bin at half the sample rate. Magnitudes below the rounding error of float32 are 0.
    """
    window = frames.shape[-1]
    # Without its first sample's value a constant frame (digital silence minus the clip's mean) is exactly 0 except in bin 0.
    moving = frames - frames[..., :1]
    real, imaginary = ops.rfft(moving, fft_length=window)
    power = (ops.square(real) + ops.square(imaginary))[..., 1 : window // 2]
    # Isolated one-bit clicks in silence have bins that are exactly 0, which a transform in float32 does not reproduce.
    nothing = 4e-14 * ops.sum(ops.square(moving), axis=-1, keepdims=True)
    above = root(ops.where(power > nothing, power, 0.0))
    constant = ops.abs(ops.sum(frames, axis=-1, keepdims=True))
    return ops.concatenate([constant, above], axis=-1) / (window // 2)


def sign_change_rate(waveform: Any, window: int = 400, hop: int = 160) -> Any:
    """Return sum |sgn x[n] - sgn x[n - 1]| / (2 (window - 1)) over each frame's neighbours, sgn 0 = 0: (batch, frames)."""
    signs = ops.sign(pad_to_window(float_tensor(waveform), window))
    return sums_of_changes(ops.abs(signs[:, 1:] - signs[:, :-1]), window, hop) / (2 * (window - 1))


@cached_array
def talkbox_filters(bins: int, sample_rate: int) -> np.ndarray:
    """Return pyAudioAnalysis's filters: 13 triangles every 66.7 Hz from 133 Hz and 27 whose edges grow by 7.1 %, of area 1.

    They come from scikits.talkbox, are designed for a whole spectrum of `bins` (bin k at k sample_rate / bins) and are
    applied to half a spectrum, so that each lies an octave below its nominal frequency: 67 to 3427 Hz.

    Returns:
        (bins, 40) float32.

    Raises:
        UserError: the filters extend beyond the spectrum.
    """
    edges = 133.33 + 200 / 3 * np.arange(13)
    edges = np.concatenate([edges, edges[-1] * 1.0711703 ** np.arange(1, 30)])  # (42,) Hz
    if np.floor(edges[-1] * bins / sample_rate) >= bins:
        raise UserError(
            f"pyAudioAnalysis's filters need a sample rate of more than {edges[-1]:.0f} Hz. "
            f"Received: sample_rate={sample_rate}. Take `compatible=False`."
        )
    frequencies = np.arange(bins)[:, None] * sample_rate / bins
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    filters = np.minimum((frequencies - lower) / (centre - lower), (upper - frequencies) / (upper - centre))
    return (np.maximum(filters, 0.0) * 2.0 / (upper - lower)).astype(np.float32)


def short_term(
    waveform: Any,
    length: Any = None,
    sample_rate: int = 16000,
    window: int = 400,
    hop: int = 160,
    compatible: bool = False,
) -> Any:
    """Compute 34 short-term features of every frame of the padded batch, including frames beyond a clip's end.

    With x the frame's samples, X_k the magnitudes of its spectrum and f_k = (k + 1) / bins, k = 0 .. bins - 1,
    frequencies in units of half the sample rate:

    | feature | definition |
    | --- | --- |
    | zero_crossing_rate | sign changes between neighbours per sample, `zero_crossing_rate` |
    | energy | mean square |
    | energy_entropy | -sum_j s_j lb s_j, s_j the shares of ten equal blocks in the energy |
    | spectral_centroid | C = sum_k f_k X_k / sum_k X_k |
    | spectral_spread | sqrt(sum_k (f_k - C)^2 X_k / sum_k X_k) |
    | spectral_entropy | like energy_entropy, of X_k^2 |
    | spectral_flux | sum_k (X_k / sum X - the same of the previous frame)^2, 0 in the first frame |
    | spectral_rolloff | the first f_k up to which more than 90 % of sum X_k^2 lies |
    | mfcc_1 .. mfcc_13 | MFCC of the log-mel spectrum without pre-emphasis, dB |
    | chroma_1 .. chroma_12 | share of sum X_k^2 nearest to a note A, A#, .. G# of any octave |
    | chroma_deviation | standard deviation of the 12 chroma values |

    The spectrum is this package's: a periodic Hamming window, zero-padded to a fast length of the Fourier transform (512
    for 400), bins 1 .. fft / 2. A frame below -100 dB is silence: all its features but energy and MFCC are 0. No feature
    depends on the whole clip.

    With `compatible`, the results equal those of pyAudioAnalysis 0.3.14 for the waveform in 16 bits (times 2^15,
    by which it divides, so that no scale remains here), to which it is rounded. The definitions above change as follows:

    * Each clip has its mean subtracted and is divided by its largest absolute value + 1e-10: differences in loudness between
      clips are lost, and a click changes every frame. Only the clip's valid samples count, not the batch's padding.
    * Zero crossings are divided by the window - 1 pairs; values of any size count, and a change into or out of an exact 0
      counts half.
    * There is no window function: X consists of bins 0 .. window / 2 - 1, divided by window / 2. In centroid, spread and
      chroma, f_k is the frequency of the next bin (40 Hz too high at 400 samples); the rolloff is k / bins, which is correct.
    * The shares of the ten blocks are relative to the total, including the bins or samples left over by a division by ten.
    * MFCC are taken from log10 of filtered magnitudes, not from power in dB, with the filters of `talkbox_filters`, an octave
      too low: nothing above 3427 Hz is used, at any sample rate.
    * Chroma is folded as in `chroma_matrix`: most bins above 1 kHz are in no class, and the 12 values do not add up to 1.
    * 2.2e-16 is added where a value could be 0, so that digital silence is at -15.7 before the cosine transform.
      There is no other floor, so that in silence with noise of one step of 16 bits the shares are those of the noise.

    Both forms differ from pyAudioAnalysis in two ways: a clip shorter than a window is zero-padded to one frame; and in
    float32 a rolloff may be off by one bin if a bin ends within 1e-6 of 90 % (about one frame in ten thousand).

    Args:
        waveform: (batch, samples) float in [-1, 1].
        length: (batch,) int, valid samples. Default: all.
        sample_rate: Hz.
        window, hop: samples.
        compatible: reproduce pyAudioAnalysis.

    Returns:
        (batch, frames, 34) float32, in the order of `SHORT_TERM_FEATURES`.

    Reference:
        T. Giannakopoulos, "pyAudioAnalysis: An Open-Source Python Library for Audio Signal Analysis", PLoS ONE 10 (2015).
    """
    length = valid_lengths(waveform, length)
    x = mask_samples(waveform, length)
    if compatible:
        x = centred_and_scaled(in_16_bits(x), length)
    energy = frame_sums(ops.square(x), window, hop) / window  # (batch, frames)
    parts = block_energies(x, window, hop)  # (batch, frames, blocks)

    if compatible:
        crossings = sign_change_rate(x, window, hop)
        magnitude = half_magnitude(frame(x, window, hop))  # (batch, frames, bins)
        power, bins = ops.square(magnitude), magnitude.shape[-1]
        mel = mel_spectrogram(magnitude, talkbox_filters(bins, sample_rate))
        log_mel = ops.log(mel + EPSILON) / float(np.log(10.0))
        within, across = energy * window, ops.sum(power, axis=-1)
        rolloff = rolloff_bin(power) / bins
    else:
        fft = fast_size(window)
        crossings = zero_crossing_rate(x, window, hop)
        power = power_spectrogram(x, window, hop, fft)
        log_mel = decibels(mel_spectrogram(power, mel_filters(sample_rate, fft, MEL_BINS)))
        # Shares would be those of noise in resampled digital silence.
        loud = energy > FLOOR
        parts = ops.where(loud[..., None], parts, 0.0)
        power = ops.where(loud[..., None], power[..., 1:], 0.0)  # (batch, frames, bins), bin k at (k + 1) / bins
        magnitude, bins = root(power), fft // 2
        within = across = None
        rolloff = ops.where(loud, (rolloff_bin(power) + 1.0) / bins, 0.0)

    centroid, spread = centroid_and_spread(magnitude, np.arange(1, bins + 1, dtype=np.float32) / bins)
    entropies = entropy(parts, within), entropy(block_sums(power), across)
    classes = chroma(power, chroma_matrix(bins, sample_rate, compatible))
    scalars = [crossings, energy, entropies[0], centroid, spread, entropies[1], spectral_flux(magnitude), rolloff]
    return ops.concatenate(
        [
            ops.stack(scalars, axis=-1),
            mfcc(log_mel, COEFFICIENTS),
            classes,
            root(ops.var(classes, axis=-1, keepdims=True)),
        ],
        axis=-1,
    )


def check_short_term(sample_rate: int, window: int, compatible: bool) -> None:
    """Raise UserError for a window or sample rate at which some feature is undefined."""
    check_counts(sample_rate=sample_rate)
    if window < 2 * BLOCKS:
        raise UserError(f"`window` must hold at least {2 * BLOCKS} samples. Received: window={window}.")
    if compatible:
        talkbox_filters(window // 2, sample_rate)
    else:
        try:
            mel_filters(sample_rate, fast_size(window), MEL_BINS)
        except ValueError:
            raise UserError(
                f"`window` must be long enough for each of {MEL_BINS} mel filters to cover a bin of its spectrum. "
                f"Received: window={window}, sample_rate={sample_rate}. 25 ms is enough at any rate."
            ) from None
    chroma_matrix(window // 2 if compatible else fast_size(window) // 2, sample_rate, compatible)
