"""`Frontend`: waveforms in, named features and their mask out."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_ser.features.configured import FeatureLayer
from keras_ser.features.endpoints import detect_endpoints
from keras_ser.features.framing import (
    check_clips,
    fixed_length,
    frame,
    frame_count,
    frame_mask,
    mask_samples,
    pack,
    valid_lengths,
)
from keras_ser.features.frontend_checks import check_frontend
from keras_ser.features.masking import zero_padding
from keras_ser.features.mel import mel_filters, mel_spectrogram, mfcc, with_deltas
from keras_ser.features.normalization import clip_statistics, normalized, unit_frames
from keras_ser.features.prosody import (
    pitch_features,
    short_time_energy,
    yin,
    yin_span,
    zero_crossing_rate,
)
from keras_ser.features.short_term_features import SHORT_TERM_FEATURES, short_term
from keras_ser.features.spectrogram import (
    decibels,
    linear_bands,
    power_spectrogram,
    preemphasis,
    root,
)

SPECTRAL = ("spectrogram", "magnitude", "linear_bands", "log_mel", "mfcc")


@keras.saving.register_keras_serializable(package="keras_ser")
class Frontend(FeatureLayer):
    """Compute all features between decoded audio and the model: (waveform, length) -> {feature: (batch, frames, bins), "mask"}.

    The steps are pre-emphasis, framing, features and endpoint detection, which removes frames (`pack`). Zero-crossing rate, energy,
    pitch, the short-term features and the endpoint detector use the waveform before pre-emphasis. Deltas are computed before frames
    are removed, so that they are derivatives in time. Clips do not influence each other, samples from `length` on are ignored, and
    computation is float32 for any dtype policy.

    | feature | bins | content |
    | --- | --- | --- |
    | spectrogram | fft // 2 + 1, or `lowest` | power, dB |
    | magnitude | fft // 2, or `lowest` | square root of the power, without the bin at half the sample rate |
    | linear_bands | bins | mean power of bands of equal width up to half the sample rate, dB |
    | log_mel | bins | mel power, dB: 10 lg max(x, 1e-10) |
    | mfcc | coefficients (1 + deltas) | orthonormal DCT of log_mel, delta, delta-delta |
    | zero_crossing_rate | 1 | sign changes per sample |
    | energy | 1 | mean square, dB |
    | pitch | 2 | octaves above `pitch_fmin` where voiced, else 0; and 1 - aperiodicity |
    | short_term | 34 | the features of `short_term` |
    | waveform | hop | the samples; window = hop |

    If `seconds` is set, clips are centre-cropped or zero-padded on the right to that duration, and have one frame for each whole
    hop in it (window - hop zeros are appended).

    Args:
        features: names from the table, in the order of the output.
        sample_rate: Hz.
        window, hop, fft: samples, window <= fft.
        bins: number of mel filters or linear bands.
        coefficients: number of MFCC to keep, including the 0th.
        deltas: highest order of MFCC deltas: 0, 1 or 2.
        fmin, fmax: range of the mel filters, Hz; `fmax` defaults to half the sample rate.
        preemphasis: coefficient in [0, 1); 0 = none.
        endpoint: drop the frames that `detect_endpoints` classifies as silence.
        pitch_fmin, pitch_fmax: range of the pitch search, Hz.
        pitch_voicing: a frame is voiced if YIN's aperiodicity is below this.
        window_shape: "hamming" or "hann".
        area_normalised: scale mel triangles to area 1 instead of height 1.
        endpoint_high, endpoint_low: thresholds as fractions of a clip's range between noise floor and peak in dB.
        endpoint_limit: maximum number of frames by which unvoiced sounds extend speech.
        endpoint_hangover: frames kept on either side of speech.
        seconds: duration to crop or pad every clip to; 0 = keep its length.
        normalize: scale each bin to mean 0 and variance 1 over a clip's frames (Nagrani et al. 2017); silence stays small.
        statistics: return one frame per clip, each bin's mean and variance over its frames, the means first (`clip_statistics`).
        compatible: compute the short-term features exactly as pyAudioAnalysis does.
        lowest: number of bins that spectrogram and magnitude keep, from 0 Hz upwards; 0 = all.
        unit: divide each frame of each feature by its Euclidean norm; frames of zeros stay 0.

    Input shape:
        waveform (batch, samples) float in [-1, 1]; length (batch,) int, valid samples (default: all).

    Output shape:
        A dict: each feature (batch, frames, bins) float32, 0 where the mask is False; "mask" (batch, frames) bool, right-padded.
        frames = 1 + (samples - window) // hop, at least 1; with `seconds`, seconds * sample_rate // hop; with `statistics`, 1.

    Raises:
        UserError: an unknown or repeated feature, or a size that does not fit the others.
    """

    def __init__(
        self,
        features: Sequence[str] = ("mfcc", "zero_crossing_rate", "energy", "pitch"),
        sample_rate: int = 16000,
        window: int = 400,
        hop: int = 160,
        fft: int = 512,
        bins: int = 40,
        coefficients: int = 13,
        deltas: int = 2,
        fmin: float = 20.0,
        fmax: float | None = None,
        preemphasis: float = 0.97,
        endpoint: bool = True,
        pitch_fmin: float = 65.0,
        pitch_fmax: float = 500.0,
        pitch_voicing: float = 0.3,
        window_shape: str = "hamming",
        area_normalised: bool = False,
        endpoint_high: float = 0.5,
        endpoint_low: float = 0.25,
        endpoint_limit: int = 25,
        endpoint_hangover: int = 5,
        seconds: float = 0.0,
        normalize: bool = False,
        statistics: bool = False,
        compatible: bool = False,
        lowest: int = 0,
        unit: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        features = (features,) if isinstance(features, str) else tuple(features)
        self.keep({**locals(), "features": list(features)})
        check_frontend(self)

    @property
    def sizes(self) -> dict[str, int]:
        """Feature name -> bins, in the order of `features`."""
        sizes = {
            "spectrogram": self.lowest or self.fft // 2 + 1,
            "magnitude": self.lowest or self.fft // 2,
            "linear_bands": self.bins,
            "log_mel": self.bins,
            "mfcc": self.coefficients * (1 + self.deltas),
            "zero_crossing_rate": 1,
            "energy": 1,
            "pitch": 2,
            "short_term": len(SHORT_TERM_FEATURES),
            "waveform": self.hop,
        }
        return {name: (1 + self.statistics) * sizes[name] for name in self.features}

    @property
    def names(self) -> dict[str, list[str]]:
        """Feature name -> names of its bins."""
        found = {}
        for name, size in self.sizes.items():
            size //= 1 + self.statistics
            if name == "short_term":
                bins = list(SHORT_TERM_FEATURES)
            else:
                bins = [name] if size == 1 else [f"{name}_{i}" for i in range(size)]
            found[name] = [f"{of} {b}" for of in ("mean", "variance") for b in bins] if self.statistics else bins
        return found

    @property
    def samples(self) -> int:
        """Number of samples that every clip is cropped or padded to; 0 = keep its length."""
        return round(self.seconds * self.sample_rate)

    @property
    def margin(self) -> int:
        """Number of zeros appended to a clip of fixed length, so that its last hop also begins a frame."""
        return max(0, self.window - self.hop)

    def frames(self, length: Any) -> Any:
        """Return the number of frames of a clip of `length` samples (an int, NumPy array or tensor) before any are dropped."""
        if self.samples:
            length = self.samples + self.margin + 0 * length
        return frame_count(length, self.window, self.hop)

    def call(self, waveform, length=None):
        length = valid_lengths(waveform, length)
        if self.samples:
            waveform, length = fixed_length(waveform, length, self.samples, self.margin)
        mask = frame_mask(ops.shape(waveform)[1], length, self.window, self.hop)  # (batch, frames)
        # Mask after pre-emphasis, which depends on past samples only and leaves a value one sample beyond the clip.
        emphasised = mask_samples(preemphasis(waveform, self.preemphasis), length) if self.spectral else None
        waveform = mask_samples(waveform, length) if self.prosodic else waveform
        found = self.framewise(waveform, emphasised)
        if "mfcc" in self.features:
            found["mfcc"] = with_deltas(found["mfcc"], mask, self.deltas)
        if "short_term" in self.features:
            found["short_term"] = short_term(waveform, length, self.sample_rate, self.window, self.hop, self.compatible)
        return self.finish(found, mask)

    @property
    def spectral(self) -> bool:
        """True if any feature uses the pre-emphasised waveform."""
        return bool(set(self.features) & set(SPECTRAL))

    @property
    def prosodic(self) -> bool:
        """True if any feature, or the endpoint detector, uses the waveform without pre-emphasis."""
        return self.endpoint or bool(set(self.features) - set(SPECTRAL))

    @property
    def reach(self) -> tuple[int, int]:
        """Number of samples before a frame's first and after its last one that `framewise` uses."""
        if "pitch" not in self.features:
            return 0, 0
        span = yin_span(self.sample_rate, self.pitch_fmin)
        before = span // 2 - self.window // 2
        return max(0, before), max(0, span - self.window - before)

    def framewise(self, waveform: Any = None, emphasised: Any = None) -> dict[str, Any]:
        """Compute the features that depend on a frame and the samples around it only; MFCC without deltas.

        Args:
            waveform: (batch, samples), 0 beyond each clip; needed if `prosodic`.
            emphasised: (batch, samples), pre-emphasised, 0 beyond each clip; needed if `spectral`.

        Returns:
            Feature -> (batch, frames, bins): all but "short_term", and further ones that `finish` needs.
        """
        found = {}
        if self.spectral:
            power = power_spectrogram(emphasised, self.window, self.hop, self.fft, self.window_shape)
            if "spectrogram" in self.features:
                found["spectrogram"] = decibels(power[..., : self.lowest or self.fft // 2 + 1])
            if "magnitude" in self.features:
                found["magnitude"] = root(power[..., : self.lowest or self.fft // 2])
            if "linear_bands" in self.features:
                found["linear_bands"] = decibels(linear_bands(power, self.bins))
            if "log_mel" in self.features or "mfcc" in self.features:
                filters = mel_filters(self.sample_rate, self.fft, self.bins, self.fmin, self.fmax, self.area_normalised)
                log_mel = decibels(mel_spectrogram(power, filters))
                if "log_mel" in self.features:
                    found["log_mel"] = log_mel
                if "mfcc" in self.features:
                    found["mfcc"] = mfcc(log_mel, self.coefficients)
        if self.endpoint or "zero_crossing_rate" in self.features:
            found["zero_crossing_rate"] = zero_crossing_rate(waveform, self.window, self.hop)[..., None]
        if self.endpoint or "energy" in self.features:
            found["energy"] = short_time_energy(waveform, self.window, self.hop)[..., None]
        if "waveform" in self.features:
            found["waveform"] = frame(waveform, self.window, self.hop)
        if "pitch" in self.features:
            f0, aperiodicity = yin(waveform, self.sample_rate, self.window, self.hop, self.pitch_fmin, self.pitch_fmax)
            found["pitch"] = pitch_features(f0, aperiodicity, self.pitch_fmin, self.pitch_voicing)
        return found

    @property
    def finishes(self) -> bool:
        """True if `finish` does more than select features and zero their padding."""
        return self.endpoint or self.normalize or self.unit or self.statistics

    def finish(self, found: dict[str, Any], mask: Any) -> dict[str, Any]:
        """Apply the last steps: endpoint detection, normalisation over the clip, unit norms, statistics.

        Args:
            found: the result of `framewise`, with the deltas of MFCC and with "short_term" if these are among the features.
            mask: (batch, frames) bool.

        Returns:
            The output of the layer.
        """
        if self.endpoint:
            keep = detect_endpoints(
                found["energy"][..., 0],
                found["zero_crossing_rate"][..., 0],
                mask,
                high=self.endpoint_high,
                low=self.endpoint_low,
                limit=self.endpoint_limit,
                hangover=self.endpoint_hangover,
            )
            kept, mask = pack({name: found[name] for name in self.features}, keep)
        else:
            kept = {name: zero_padding(found[name], mask) for name in self.features}
        if self.normalize:
            kept = {name: normalized(value, mask) for name, value in kept.items()}
        if self.unit:
            kept = {name: unit_frames(value) for name, value in kept.items()}
        if self.statistics:
            kept = {name: clip_statistics(value, mask)[:, None] for name, value in kept.items()}
            mask = mask[:, :1]
        return {**kept, "mask": mask}

    def compute_output_spec(self, waveform, length=None):
        check_clips(waveform, length)
        batch, samples = waveform.shape
        frames = self.frames(samples or 0) if samples or self.samples else None
        frames = 1 if self.statistics else frames
        spec = {name: keras.KerasTensor((batch, frames, bins), dtype="float32") for name, bins in self.sizes.items()}
        return {**spec, "mask": keras.KerasTensor((batch, frames), dtype="bool")}
