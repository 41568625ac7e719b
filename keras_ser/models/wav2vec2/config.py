"""Sizes and settings of a wav2vec 2.0 or HuBERT model, read from the files of a Hugging Face checkpoint. No Keras."""

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_ser.checks import check_choice, check_least, check_positive, check_share, shown
from keras_ser.errors import UserError
from keras_ser.files import user_path
from keras_ser.values import instance, settle

ARCHITECTURES = ("wav2vec2", "hubert")
# unsupported settings of a `config.json`, and the values that turn them off
UNSUPPORTED = {"add_adapter": (False, None), "adapter_attn_dim": (None,), "conv_pos_batch_norm": (False, None)}


@dataclass(frozen=True)
class Wav2Vec2Config:
    """Settings of wav2vec 2.0 and HuBERT, with the names in Hugging Face's `config.json`; defaults: wav2vec 2.0 base.

    Args:
        model_type: "wav2vec2" or "hubert", which has the same graph.
        hidden_size: units per frame of the transformer.
        num_hidden_layers: number of transformer layers.
        num_attention_heads: number of heads per layer; must divide `hidden_size`.
        intermediate_size: units between the two dense layers of a feed-forward block.
        hidden_act, feat_extract_activation: "gelu" (exact).
        hidden_dropout, attention_dropout, activation_dropout, feat_proj_dropout: rates in training, in [0, 1).
        layerdrop: probability that training skips a layer of the transformer, in [0, 1).
        layer_norm_eps: epsilon of the transformer's layer normalisations.
        feat_extract_norm: "group" normalises the channels of the first convolution over time; "layer" the frames of every one.
        feat_proj_layer_norm: normalise the output of the convolutions before the projection.
        conv_dim, conv_stride, conv_kernel: channels, stride and kernel size of each convolution of the feature encoder.
        conv_bias: whether these convolutions have a bias.
        num_conv_pos_embeddings: kernel size of the positional convolution, in frames.
        num_conv_pos_embedding_groups: number of its groups; must divide `hidden_size`.
        do_stable_layer_norm: normalise before attention and feed-forward block instead of after them.
        apply_spec_augment: mask frames and units in training, by the settings that follow.
        mask_time_prob, mask_time_length, mask_time_min_masks: share of frames to mask, frames per span, minimum number of spans.
        mask_feature_prob, mask_feature_length, mask_feature_min_masks: the same for units.
        do_normalize: scale every waveform to zero mean and unit variance.
        sampling_rate: sampling rate of the waveforms in Hz; both are in the preprocessor's file (`preprocessor`).

    Raises:
        UserError: a setting has another type or is out of range, or sizes do not fit each other.
    """

    model_type: str = "wav2vec2"
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout: float = 0.1
    attention_dropout: float = 0.1
    activation_dropout: float = 0.1
    feat_proj_dropout: float = 0.0
    layerdrop: float = 0.1
    layer_norm_eps: float = 1e-5
    feat_extract_norm: str = "group"
    feat_extract_activation: str = "gelu"
    feat_proj_layer_norm: bool = True
    conv_dim: tuple[int, ...] = (512, 512, 512, 512, 512, 512, 512)
    conv_stride: tuple[int, ...] = (5, 2, 2, 2, 2, 2, 2)
    conv_kernel: tuple[int, ...] = (10, 3, 3, 3, 3, 2, 2)
    conv_bias: bool = False
    num_conv_pos_embeddings: int = 128
    num_conv_pos_embedding_groups: int = 16
    do_stable_layer_norm: bool = False
    apply_spec_augment: bool = True
    mask_time_prob: float = 0.05
    mask_time_length: int = 10
    mask_time_min_masks: int = 2
    mask_feature_prob: float = 0.0
    mask_feature_length: int = 10
    mask_feature_min_masks: int = 0
    do_normalize: bool = True
    sampling_rate: int = 16000

    def __post_init__(self):
        settle(self)
        check_choice(self, "model_type", ARCHITECTURES)
        check_choice(self, "feat_extract_norm", ("group", "layer"))
        check_choice(self, "hidden_act", ("gelu",))
        check_choice(self, "feat_extract_activation", ("gelu",))
        check_least(self, 1, "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
        check_least(self, 1, "conv_dim", "conv_stride", "conv_kernel", "sampling_rate")
        check_least(self, 1, "num_conv_pos_embeddings", "num_conv_pos_embedding_groups")
        check_least(self, 1, "mask_time_length", "mask_feature_length")
        check_least(self, 0, "mask_time_min_masks", "mask_feature_min_masks")
        check_positive(self, "layer_norm_eps")
        check_share(self, "hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout", "layerdrop")
        check_share(self, "mask_time_prob", "mask_feature_prob", closed=True)
        if not len(self.conv_dim) == len(self.conv_stride) == len(self.conv_kernel) >= 1:
            raise UserError(
                "`conv_dim`, `conv_stride` and `conv_kernel` must have one entry per convolution. "
                f"Received: {len(self.conv_dim)}, {len(self.conv_stride)}, {len(self.conv_kernel)}."
            )
        for name in ("num_attention_heads", "num_conv_pos_embedding_groups"):
            if self.hidden_size % getattr(self, name):
                raise UserError(
                    f"`{name}` must divide `hidden_size`. Received: {name}={getattr(self, name)}, "
                    f"hidden_size={self.hidden_size}."
                )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Wav2Vec2Config":
        """Make settings from the contents of a `config.json`; unknown keys are ignored.

        Raises:
            UserError: the architecture or a setting is not supported.
        """
        kind = data.get("model_type") if isinstance(data, Mapping) else None
        if kind not in ARCHITECTURES:
            raise UserError(f'expected a "model_type" of {" or ".join(ARCHITECTURES)}. Received: {shown(kind)}.')
        for name, harmless in UNSUPPORTED.items():
            if data.get(name) not in harmless:
                raise UserError(
                    f"`{name}` is not supported; take a checkpoint without it. Received: {name}={shown(data[name])}."
                )
        known = {field.name for field in dataclasses.fields(cls)}
        return instance(cls, {name: value for name, value in data.items() if name in known})

    @classmethod
    def from_folder(cls, folder: str | Path) -> "Wav2Vec2Config":
        """Read the settings of a checkpoint's `config.json` and, if it has one, of its preprocessor's file.

        Raises:
            UserError: the folder or `config.json` is missing, a file is not JSON, or `from_dict` refuses the settings.
        """
        folder = user_path(folder)
        if not folder.is_dir():
            raise UserError(
                f"expected the folder of a Hugging Face checkpoint. Received: {folder}, which is no folder. Nothing is downloaded: "
                "fetch it, e.g. by `hf download facebook/wav2vec2-base-960h --local-dir DIR`."
            )
        file = folder / "config.json"
        if not file.is_file():
            raise UserError(f"expected a Hugging Face checkpoint. Received: {folder}, which has no config.json.")
        data = _read(file)
        _, more = preprocessor(folder)
        own = {name: more[name] for name in ("do_normalize", "sampling_rate") if name in more}
        try:
            return cls.from_dict({**data, **own})
        except UserError as error:
            raise UserError(f"{file}: {error}") from error

    @property
    def stride(self) -> int:
        """Number of samples between frames: 320 in base and large (20 ms at 16 kHz)."""
        return math.prod(self.conv_stride)

    @property
    def receptive_field(self) -> int:
        """Number of samples from which a frame is computed: 400 in base and large (25 ms at 16 kHz)."""
        field, step = 1, 1
        for kernel, stride in zip(self.conv_kernel, self.conv_stride, strict=True):
            field += (kernel - 1) * step
            step *= stride
        return field

    @property
    def masks_frames(self) -> bool:
        """Whether training masks frames or units (SpecAugment)."""
        return self.apply_spec_augment and (self.mask_time_prob > 0 or self.mask_feature_prob > 0)

    def frames(self, samples: int) -> int:
        """Return the number of frames of a waveform of `samples`; 0 below the receptive field."""
        return max(0, (samples - self.receptive_field) // self.stride + 1)

    def check_samples(self, samples: int) -> None:
        """Refuse a waveform too short for a frame.

        Raises:
            UserError: there are fewer samples than the receptive field.
        """
        if samples < self.receptive_field:
            raise UserError(
                f"a waveform must have at least {self.receptive_field} samples, the receptive field of {self.model_type}. "
                f"Received: {samples}. Leave it out, or pad it with silence."
            )


def preprocessor(folder: Path) -> tuple[Path | None, dict]:
    """Return the file of a checkpoint that says how waveforms are prepared, and its settings; (None, {}) if there is none.

    As in transformers, `processor_config.json`, which version 5 writes, goes before `preprocessor_config.json`.
    """
    file = folder / "processor_config.json"
    nested = _read(file).get("feature_extractor") if file.is_file() else None
    if isinstance(nested, dict):
        return file, nested
    file = folder / "preprocessor_config.json"
    return (file, _read(file)) if file.is_file() else (None, {})


def _read(file: Path) -> dict:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file}: expected JSON: {error}. Download the file again.") from error
    if not isinstance(data, dict):
        raise UserError(f"{file}: expected a JSON object. Received: {shown(data)}.")
    return data
