"""The augmentation settings of a recipe: plain values that need no TensorFlow; `augment.py` applies them."""

from dataclasses import dataclass, fields

from keras_ser.checks import check_least, check_positive, check_share
from keras_ser.errors import UserError
from keras_ser.values import settle

# Features whose bins are a frequency axis, in order.
SPECTRAL = ("log_mel", "spectrogram")
LARGEST_TEMPO = 2.0  # up to e^2 = 7.4 times as many frames


@dataclass(frozen=True)
class Windows:
    """Settings of the sliding-window augmentation of MT-A-DNN, which cuts clips into overlapping windows, each an utterance.

    Args:
        share: length of a window as a share of its clip, in (0, 1].
        hop_seconds: seconds between the beginnings of two windows.
        each: number of windows of each class of the main task, drawn with seed 0; 0 = all.
        fewer: if a class has fewer than `each` windows, take as many of every class as the rarest has, instead of raising an error.
    """

    share: float = 0.85
    hop_seconds: float = 0.03
    each: int = 0
    fewer: bool = False

    def __post_init__(self):
        settle(self)
        check_share(self, "share", closed=True)
        check_positive(self, "share", "hop_seconds")
        check_least(self, 0, "each")


@dataclass(frozen=True)
class Augment:
    """Kinds and amounts of augmentation; all are off by default.

    They are applied in this order: tempo, mel warp, time masks, bin masks, gain. See `keras_ser.pipelines.augment`.

    Args:
        probability: probability of each kind, independently, in [0, 1].
        tempo: `deviation` of `tempo`, at most 2.
        mel_warp_scale, mel_warp_shift: `scale` and `shift` of `mel_warp`.
        gain: `deviation` of `gain`.
        time_masks, time_mask_frames: `masks` and `width` of `mask_time`.
        bin_masks, bin_mask_bins: `masks` and `width` of `mask_bins`.

    Raises:
        UserError: a negative or non-finite value, a probability above 1, or a tempo above 2.
    """

    probability: float = 0.7
    tempo: float = 0.0
    mel_warp_scale: float = 0.0
    mel_warp_shift: float = 0.0
    gain: float = 0.0
    time_masks: int = 0
    time_mask_frames: int = 20
    bin_masks: int = 0
    bin_mask_bins: int = 8

    def __post_init__(self):
        settle(self)
        check_least(self, 0, *(field.name for field in fields(self)))
        check_share(self, "probability", closed=True)
        if self.tempo > LARGEST_TEMPO:
            raise UserError(f"`tempo` must be at most {LARGEST_TEMPO:g}. Received: tempo={self.tempo}.")

    @property
    def off(self) -> bool:
        """True if nothing is changed."""
        amounts = (self.tempo, self.mel_warp_scale, self.mel_warp_shift, self.gain, self.time_masks, self.bin_masks)
        return not (self.probability and any(amounts))

    @property
    def of_bins(self) -> bool:
        """True if bins are changed, not the time axis alone."""
        amounts = (self.mel_warp_scale, self.mel_warp_shift, self.gain, self.bin_masks)
        return bool(self.probability and any(amounts))

    def apply(self, x, seed):
        """Augment one clip's features.

        Args:
            x: {name: (frames, bins)}; the time axis of all features changes alike, and mel warp, bin masks and gain apply to those
                in `SPECTRAL` only.
            seed: integers (2,).

        Returns:
            The same names, with another number of frames if `tempo` is on.
        """
        return {name: self._apply(value, seed, name in SPECTRAL) for name, value in x.items()}

    def _apply(self, x, seed, spectral: bool):
        import tensorflow as tf

        from keras_ser.pipelines.augment import gain, mask_bins, mask_time, mel_warp, tempo

        x, p = tf.convert_to_tensor(x), self.probability
        if self.tempo:
            x = tempo(x, seed, self.tempo, p)
        if spectral and (self.mel_warp_scale or self.mel_warp_shift):
            x = mel_warp(x, seed, self.mel_warp_scale, self.mel_warp_shift, p)
        if self.time_masks:
            x = mask_time(x, seed, self.time_masks, self.time_mask_frames, probability=p)
        if spectral and self.bin_masks:
            x = mask_bins(x, seed, self.bin_masks, self.bin_mask_bins, probability=p)
        if spectral and self.gain:
            x = gain(x, seed, self.gain, p)
        return x
