"""Settings of the Multilevel network. No Keras."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from keras_ser.checks import check_choice, check_least, check_positive, check_share, shown
from keras_ser.errors import UserError
from keras_ser.values import settle

# level -> feature of the front end
LEVELS = {"mfcc": "mfcc", "spectrogram": "spectrogram", "wav2vec2": "waveform"}
EXTRACTORS = ("own", "nlinear", "dlinear")
RANDOM = "random"
SPACE = ("config.level_heads=0.1:1:log", "config.center=0.001:0.1:log", "config.dropout=0:0.5")
CONVOLUTIONS = 5  # of AlexNet


@dataclass(frozen=True)
class Config:
    """Multilevel's settings. "paper": given by the paper or by the code of its base network; "ours": both are silent.

    Args:
        levels: inputs of the network, in any order: "mfcc", "spectrogram", "wav2vec2" (paper: all three; ours: without the
            last, which needs a checkpoint). A single level is classified alone.
        extractor: extractor of each level: "own" (BiLSTM, AlexNet, the frames of wav2vec 2.0), or "nlinear" or "dlinear".
        gender_prior: MF: the head of the main task also takes the posterior of a gender head on the fused features. No
            gradient flows back through that posterior, so that the gender head learns gender only (ours).
        level_heads: MTL: weight of the additional classifiers of the main task on each level (ours); 0 = none.
        center: CR: weight of the centre loss on the fused features (ours); 0 = none.
        center_rate: step size of the centres (Wen et al.: 0.5).
        normalize: softmax over the co-attention's weights (ours); False = ReLU, as in the base network's code, which can set all
            of them to 0.
        units: units of each direction of the two LSTM layers (paper: 256).
        lstm_dropout: rate between those layers (paper: 0.5).
        image: height and width to which the spectrogram is resized, in pixels (paper: 256 x 384).
        filters: channels of AlexNet's convolutions (paper: 64, 192, 384, 256, 256).
        alexnet: a safetensors file of torchvision's AlexNet; "" = random weights (paper: ImageNet's).
        wav2vec2: folder of a checkpoint; "random" = random weights; "" = no such level.
        wav2vec2_size: hidden units and transformer layers of "random" (those of the base model: 768, 12).
        wav2vec2_tuned: fine-tune wav2vec 2.0, except for the convolutions of a checkpoint (paper: all of it); False = freeze it. A
            frozen checkpoint is computed once for each training and validation clip, and its frames are kept in the cache folder
            (but not with noises); each run computes those of its test clips. "random" weights are stored with the run, also frozen.
        wav2vec2_rate: factor on the learning rate of its trainable weights (paper: 1).
        wav2vec2_states: its output: the "last" hidden state (paper), or "weighted", the sum of all with learned weights.
        steps: number of frames to which NLinear and DLinear map a level (ours).
        dense: width of each level's vector and of the fused layers (paper: 128).
        dropout: rate before each dense layer (paper: 0.1).
    """

    levels: tuple[str, ...] = ("mfcc", "spectrogram")
    extractor: str = "own"
    gender_prior: bool = False
    level_heads: float = 0.0
    center: float = 0.0
    center_rate: float = 0.5
    normalize: bool = True
    units: int = 256
    lstm_dropout: float = 0.5
    image: tuple[int, int] = (256, 384)
    filters: tuple[int, ...] = (64, 192, 384, 256, 256)
    alexnet: str = ""
    wav2vec2: str = ""
    wav2vec2_size: tuple[int, int] = (768, 12)
    wav2vec2_tuned: bool = True
    wav2vec2_states: str = "last"
    wav2vec2_rate: float = 1.0
    steps: int = 32
    dense: int = 128
    dropout: float = 0.1

    files: ClassVar[tuple[str, ...]] = ("alexnet", "wav2vec2")

    def __post_init__(self):
        settle(self)
        strays = [level for level in self.levels if level not in LEVELS]
        if strays or not self.levels or len(set(self.levels)) != len(self.levels):
            raise UserError(
                f"`levels` must be distinct names out of {', '.join(LEVELS)}. Received: {shown(self.levels)}."
            )
        if ("wav2vec2" in self.levels) != bool(self.wav2vec2):
            raise UserError(
                "the level 'wav2vec2' and `wav2vec2`, a checkpoint's folder or 'random', go together: set both or neither. "
                f"Received: levels={','.join(self.levels)}, wav2vec2={self.wav2vec2!r}."
            )
        check_choice(self, "extractor", EXTRACTORS)
        check_positive(self, "wav2vec2_rate")
        check_choice(self, "wav2vec2_states", ("last", "weighted"))
        if self.wav2vec2 == RANDOM and not self.wav2vec2_tuned and self.wav2vec2_states == "weighted":
            raise UserError(
                "`wav2vec2_states` 'weighted' learns weights of the states: 'random' needs wav2vec2_tuned=true."
            )
        check_least(self, 0, "level_heads", "center")
        check_share(self, "lstm_dropout", "dropout")
        if not 0 < self.center_rate <= 1:
            raise UserError(f"`center_rate` must be over 0, up to 1. Received: center_rate={self.center_rate}.")
        check_least(self, 1, "units", "image", "filters", "wav2vec2_size", "steps", "dense")
        if len(self.filters) != CONVOLUTIONS:
            raise UserError(f"`filters` must be five numbers of channels. Received: filters={self.filters}.")
        if min(after_pools(size) for size in self.image) < 1:
            raise UserError(f"`image` must be at least 63 high and wide for AlexNet. Received: image={self.image}.")
        if self.alexnet and ("spectrogram" not in self.levels or self.extractor != "own"):
            raise UserError("`alexnet` names weights, but no level here uses AlexNet: leave it empty.")

    @property
    def has_checkpoint(self) -> bool:
        """Whether wav2vec 2.0 has the weights of a checkpoint."""
        return self.wav2vec2 not in ("", RANDOM)


def after_pools(size: int) -> int:
    """Return the output size of AlexNet's convolutions and pools for `size`; < 1 = empty."""
    size = (size + 4 - 11) // 4 + 1
    for _ in range(3):
        size = (size - 3) // 2 + 1
    return size


def note(config: Config) -> str:
    """Return a remark for a report's first line: where the paper's pretrained parts come from, and those that are missing."""
    found, tuned = [], "fine-tuned" if config.wav2vec2_tuned else "frozen"
    if config.has_checkpoint:
        found.append(f"wav2vec 2.0 {tuned} from {Path(config.wav2vec2).name}")
    elif config.wav2vec2:
        found.append(f"wav2vec 2.0 from random weights{'' if config.wav2vec2_tuned else ', which are frozen'}")
    elif len(config.levels) > 1:
        found.append("without wav2vec 2.0")
    if "spectrogram" in config.levels and config.extractor == "own":
        found.append(f"AlexNet from {Path(config.alexnet).name or 'random weights'}")
    return ", ".join(found)
