"""Parts of a `Recipe`: front end, streams, sampling and optimizer, as frozen values that check themselves. No TensorFlow."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from keras_ser.checks import check_choice, check_least, check_name, check_positive, check_share, shown
from keras_ser.errors import UserError
from keras_ser.tasks import Task
from keras_ser.values import settle

# names and order of `keras_ser.features.Frontend`, which needs Keras
FEATURES = (
    "spectrogram",
    "magnitude",
    "linear_bands",
    "log_mel",
    "mfcc",
    "zero_crossing_rate",
    "energy",
    "pitch",
    "short_term",
    "waveform",
)
KINDS = ("segments", "crop", "whole")
OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES = ("constant", "cosine", "step", "plateau")
LOUDEST = 100.0  # dB
# label of a stream without noises
CLEAN = "clean"
# an extractor's output beside features and masks: the length of each stretch of a clip
STRETCH = "stretch"


def mask_of(name: str) -> str:
    """Return the mask of an input: "mfcc" -> "mask"; "image.log_mel", of the front end "image" -> "image.mask"."""
    prefix, dot, _ = name.rpartition(".")
    return f"{prefix}{dot}mask"


def of_stream(task: Task) -> bool:
    """Return whether the labels of a task come from the stream, not the corpus: the class of the noise mixed into a clip."""
    return task.column == "noise"


def check_frontend_settings(of: Any) -> None:
    """Refuse settings of a front end that do not fit together; `of`, a `FrontendConfig` or a `Frontend`, has them as attributes."""
    strays = [name for name in of.features if name not in FEATURES]
    if strays or not of.features or len(set(of.features)) != len(of.features):
        raise UserError(
            f"`features` must be distinct names from {', '.join(FEATURES)}. Received: {shown(of.features)}."
        )
    check_choice(of, "deltas", (0, 1, 2))
    check_share(of, "preemphasis")
    if of.fft < of.window:
        raise UserError(f"`fft` must be at least `window`. Received: fft={of.fft}, window={of.window}.")
    if "mfcc" in of.features and of.coefficients > of.bins:
        raise UserError(
            f"`coefficients` must be at most `bins`. Received: coefficients={of.coefficients}, bins={of.bins}."
        )
    if of.normalize and of.statistics:
        raise UserError("`normalize` makes every mean 0 and every variance 1: nothing is left for `statistics`.")
    if of.seconds and not of.window <= of.seconds * of.sample_rate < float("inf"):
        raise UserError(f"`seconds` must hold at least one window, or be 0. Received: seconds={of.seconds}.")
    if "waveform" in of.features and of.window != of.hop:
        raise UserError(f"the feature 'waveform' needs window = hop. Received: window={of.window}, hop={of.hop}.")


@dataclass(frozen=True)
class FrontendConfig:
    """Arguments of `keras_ser.features.Frontend`, and a name.

    Defaults follow our reading of the ASP-MTL paper (25 ms windows, 10 ms hop, 40 bands, 13 MFCC). With `seconds`, training takes a
    new random stretch of a longer clip in each epoch, and evaluation takes its middle. `name` is "" for the main front end; the
    features of a further one are the network's inputs "name.feature".

    Raises:
        UserError: a setting is out of range, or settings do not fit together.
    """

    features: tuple[str, ...] = ("mfcc", "zero_crossing_rate", "energy", "pitch")
    sample_rate: int = 16000
    window: int = 400
    hop: int = 160
    fft: int = 512
    bins: int = 40
    coefficients: int = 13
    deltas: int = 2
    preemphasis: float = 0.97
    endpoint: bool = True
    seconds: float = 0.0
    normalize: bool = False
    statistics: bool = False
    compatible: bool = False
    name: str = ""
    lowest: int = 0
    unit: bool = False

    def __post_init__(self):
        settle(self)
        if self.name and not self.name.isidentifier():
            raise UserError(f"the name of a front end must be letters, digits and '_'. Received: {shown(self.name)}.")
        check_least(self, 1, "sample_rate", "window", "hop", "fft", "bins", "coefficients")
        check_least(self, 0, "seconds", "lowest")
        check_frontend_settings(self)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the network's inputs: the features, prefixed with the front end's name if it has one."""
        return tuple(f"{self.name}.{feature}" if self.name else feature for feature in self.features)

    def options(self) -> dict[str, Any]:
        """Return the arguments of `keras_ser.features.Frontend`, with a name for the layer."""
        return {**asdict(self), "name": f"frontend_{self.name}" if self.name else "frontend"}


@dataclass(frozen=True)
class Stream:
    """One source of training examples; a batch mixes the streams, and `task_id` is a stream's number.

    Args:
        name: name of the stream in reports.
        corpus: name of an auxiliary corpus. Default None, the recipe's own corpus.
        noises: noises to mix in, one per clip: colours ("white", "pink", "brown", "blue", "violet"), "babble" (made of the
            training clips), or stems of files under the noise root ("factory" also takes "factory1").
        snr: signal-to-noise ratios in dB, one of which is drawn for each clip.
        share: relative share of each batch. Default 1.
        speakers: number of speakers of an auxiliary corpus to use, drawn once, independently of the seed; 0 = all.
        teaches: use the labels of an auxiliary corpus for the main task as well, not only for identities and other tasks.
        options: ((name, value), ..), arguments for reading an auxiliary corpus.
        redraw: draw noise, stretch and SNR anew in each epoch. By default they are drawn once per run, as for a noisy copy of
            the corpus, and features are computed once.
    """

    name: str
    corpus: str | None = None
    noises: tuple[str, ...] = ()
    snr: tuple[float, ...] = (-10.0, -5.0, 5.0, 10.0)
    share: float = 1.0
    redraw: bool = False
    speakers: int = 0
    teaches: bool = False
    options: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self):
        settle(self)
        check_name("a stream", self.name)
        if "" in self.noises or self.corpus == "":
            raise UserError(
                f"the stream {self.name!r} has an empty name among its noises, or as its corpus. Name it, or leave it out."
            )
        check_positive(self, "share")
        check_least(self, 0, "speakers")
        if (self.speakers or self.teaches or self.options) and not self.corpus:
            raise UserError(
                f"`speakers`, `teaches` and `options` need an auxiliary corpus; the stream {self.name!r} reads the recipe's own."
            )
        if not all(-LOUDEST <= ratio <= LOUDEST for ratio in self.snr):
            raise UserError(
                f"`snr` of stream {self.name!r} must be from {-LOUDEST:g} to {LOUDEST:g} dB. Received: {self.snr}."
            )
        if self.noises and not self.snr:
            raise UserError(f"the stream {self.name!r} mixes in noises and needs at least one `snr` in dB.")

    def chosen(self, corpus: Any) -> set[str]:
        """Return the ids of the clips of an auxiliary corpus that the stream uses, by its number of speakers.

        Raises:
            UserError: the corpus has fewer speakers.
        """
        if not self.speakers:
            return {u.id for u in corpus}
        try:
            return {u.id for u in corpus.of_speakers(self.speakers)}
        except UserError as error:
            raise UserError(f"the stream {self.name!r}: {error} Take fewer (0 = all).") from None


@dataclass(frozen=True)
class Sampling:
    """How clips become training examples.

    Args:
        kind: "segments" (of `frames` frames, cut every `hop`; predictions for a clip are then averaged over its segments),
            "crop" (`frames` frames at a new random position in each epoch) or "whole" (whole clips; one too long for a batch is
            cropped at random in training, see `keras_ser.pipelines.streams.TrainingData`).
        frames, hop: length of a segment or crop, and distance between segments, in frames. An incomplete segment at a clip's end
            is tested, zero-padded, but not trained on unless it is the clip's only one.
        balance: the ASP-MTL paper's data balance for "segments": frequent classes give only the first and the last
            segment, rare ones a segment every `rare_hop` frames, by the class counts of the training split.
        rare_hop: distance between the segments of rare classes, in frames.
        class_weights: weight each example by the inverse frequency of its class of the first task among the examples of its
            stream (mean 1), so that all classes weigh the same.
        seconds: for "segments", cut the waveform into stretches of this length before the front ends, so that several front ends
            see the same stretch, instead of cutting features into `frames`. A remainder below half a stretch is dropped, a longer
            one is zero-padded. Default 0, cut features.
    """

    kind: str = "segments"
    frames: int = 96
    hop: int = 96
    balance: bool = True
    rare_hop: int = 24
    class_weights: bool = False
    seconds: float = 0.0

    def __post_init__(self):
        settle(self)
        check_choice(self, "kind", KINDS, "sampling.")
        check_least(self, 1, "frames", "hop", "rare_hop")
        check_least(self, 0, "seconds")
        if self.seconds and self.kind != "segments":
            raise UserError(f"sampling.seconds cuts segments: set sampling.kind=segments. Received: kind={self.kind}.")
        if self.seconds and self.balance:
            raise UserError(
                "sampling.balance applies to segments of features: with sampling.seconds set sampling.balance=false."
            )


@dataclass(frozen=True)
class OptimizerConfig:
    """Optimizer and learning-rate schedule.

    Args:
        name: "adam", "adamw" or "sgd".
        learning_rate: the base learning rate; with "cosine", the peak.
        weight_decay: for "adam" and "adamw" Keras's own, decoupled from the gradient; for "sgd" added to the gradient of kernels
            (so that it enters the momentum), as is usual in the literature.
        clip_norm: largest global norm of the gradients; 0 = no clipping.
        momentum: momentum of "sgd", in [0, 1).
        schedule: "constant", "cosine" (linear warm-up, then a half cosine to 0), "step" (multiply by `factor` after each of
            `steps`) or "plateau" (when the recipe's patience ends, restore the best epoch and multiply the rate by
            `factor`; training ends when the rate is below `floor`).
        warmup_epochs: length of the warm-up of "cosine", in epochs, at most half of all epochs.
        steps: epochs after which "step" lowers the rate, in rising order.
        factor: factor of "step" and "plateau"; below 1 for the latter.
        floor: lowest learning rate of "plateau".
    """

    name: str = "adam"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    clip_norm: float = 0.0
    schedule: str = "constant"
    warmup_epochs: float = 0.0
    momentum: float = 0.9
    steps: tuple[int, ...] = ()
    factor: float = 0.1
    floor: float = 1e-5

    def __post_init__(self):
        settle(self)
        check_choice(self, "name", OPTIMIZERS, "optimizer.")
        check_choice(self, "schedule", SCHEDULES, "optimizer.")
        check_positive(self, "learning_rate", "factor", "floor")
        check_least(self, 0, "weight_decay", "clip_norm", "warmup_epochs")
        check_share(self, "momentum")
        if list(self.steps) != sorted(set(self.steps)) or (self.steps and self.steps[0] < 1):
            raise UserError(f"`steps` must be epochs in rising order, the first at least 1. Received: {self.steps}.")
        if self.schedule == "plateau" and not self.factor < 1:
            raise UserError(f"the schedule 'plateau' needs optimizer.factor under 1. Received: factor={self.factor}.")
        if self.schedule == "plateau" and self.learning_rate < self.floor:
            raise UserError(
                "the schedule 'plateau' ends below optimizer.floor: set it to at most optimizer.learning_rate. Received: "
                f"floor={self.floor:g}, learning_rate={self.learning_rate:g}."
            )
        if self.schedule == "step" and not self.steps:
            raise UserError("the schedule 'step' needs `steps`: the epochs after which the learning rate falls.")


def check_frontends(every: Sequence[FrontendConfig], sampling: Sampling, augment: Any) -> None:
    """Refuse front ends, the main one first, that are incompatible with each other, the sampling or the augmentation.

    Raises:
        UserError: the settings are incompatible.
    """
    main, *further = every
    if main.name or not all(each.name for each in further):
        raise UserError("the main front end has no name, and each of `frontends` needs one.")
    rates = {each.sample_rate for each in every}
    if len(rates) > 1:
        raise UserError(f"all front ends need one sample rate. Received: {', '.join(map(str, sorted(rates)))} Hz.")
    stretched = sampling.seconds > 0
    if further and sampling.kind != "whole" and not stretched:
        raise UserError(
            "several front ends need stretches of the waveform, or whole clips: set sampling.seconds or "
            f"sampling.kind=whole. Received: sampling.kind={sampling.kind}."
        )
    if (further or stretched) and not augment.off:
        raise UserError(
            f"several front ends, and stretches of sampling.seconds, take no augmentation. Received: {augment}."
        )
    lengths = {each.seconds for each in every}
    if len(lengths) > 1 or (stretched and lengths != {0.0}):
        raise UserError(
            "frontend.seconds must be the same in all front ends, and 0 with sampling.seconds. Received: "
            f"{', '.join(f'{length:g}' for length in sorted(lengths))} with sampling.seconds={sampling.seconds:g}."
        )
    if stretched and any(sampling.seconds * each.sample_rate < each.window for each in every):
        raise UserError(f"sampling.seconds must hold at least one window. Received: {sampling.seconds:g}.")
