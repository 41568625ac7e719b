"""Read the weights of a Hugging Face checkpoint: `config.json` beside `model.safetensors`, or beside its shards."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from keras_ser.files import user_path
from keras_ser.models.wav2vec2.header import POSITIONAL, SPEC_AUGMENT, checked_config, checked_tensors, weight_files
from keras_ser.models.wav2vec2.layer import Wav2Vec2


def load(folder: str | Path, **options: Any) -> Wav2Vec2:
    """Load a layer with the weights of a checkpoint's folder.

    Args:
        folder: folder of a wav2vec 2.0 or HuBERT checkpoint in Hugging Face's layout; nothing is downloaded.
        **options: arguments of `Wav2Vec2` other than `config`.

    Returns:
        The built `Wav2Vec2` layer.

    Raises:
        UserError: the architecture is another one; the safetensors file is missing or damaged; a tensor is missing, unexpected or
            of another shape than the config says; or the package safetensors is not installed.
    """
    layer = Wav2Vec2(checked_config(folder), **options)
    assign(layer, folder)
    return layer


def assign(layer: Wav2Vec2, folder: str | Path) -> tuple[str, ...]:
    """Assign the weights of a checkpoint's folder to a layer, all or none; return the names of the unused tensors.

    The vector of SpecAugment, which fine-tuned checkpoints such as wav2vec2-base-960h lack, may be missing: it is 0, the same for
    every seed, and is used in training alone.

    Raises:
        UserError: see `load`.
    """
    with checked_tensors(layer.config, folder) as (weights, skipped):
        if not layer.built:
            layer.build((None, None))
        values = []
        for name, (variable, axes) in _variables(layer).items():
            if name == SPEC_AUGMENT and name not in weights.shapes:
                value = np.zeros(variable.shape, "float32")
            elif name == f"{POSITIONAL}.weight":
                value = _product(weights[f"{POSITIONAL}.weight_g"], weights[f"{POSITIONAL}.weight_v"])
            else:
                value = weights[name]
            values.append((variable, value.transpose(axes)))
    for variable, value in values:
        variable.assign(value)
    return skipped


def weights_hash(folder: str | Path) -> str:
    """Return the first 12 hexadecimal digits of the SHA-256 of the weights file, or of its shards in the order of their names.

    Raises:
        UserError: the weights are missing.
    """
    digest = hashlib.sha256()
    for file in weight_files(user_path(folder)):
        with file.open("rb") as opened:
            while block := opened.read(2**22):
                digest.update(block)
    return digest.hexdigest()[:12]


def _variables(layer: Wav2Vec2) -> dict[str, tuple[Any, tuple[int, ...]]]:
    """Return {short name: (variable, order of the axes, in both directions)}.

    Kernels are (outputs, inputs, frames) in a checkpoint and (frames, inputs, outputs) in Keras.
    """
    found = {}

    def add(name: str, owner: Any) -> None:
        # a convolution or dense layer has a kernel, a normalisation does not
        weight, bias = (owner.kernel, owner.bias) if hasattr(owner, "kernel") else (owner.gamma, owner.beta)
        found[f"{name}.weight"] = (weight, tuple(reversed(range(len(weight.shape)))))
        if bias is not None:
            found[f"{name}.bias"] = (bias, (0,))

    encoder = layer.feature_encoder
    for i, convolution in enumerate(encoder.convolutions):
        add(f"feature_extractor.conv_layers.{i}.conv", convolution)
    for i, normalization in enumerate(encoder.normalizations):
        add(f"feature_extractor.conv_layers.{i}.layer_norm", normalization)
    if layer.projection_normalization:
        add("feature_projection.layer_norm", layer.projection_normalization)
    add("feature_projection.projection", layer.projection)
    add(POSITIONAL, layer.positional)
    add("encoder.layer_norm", layer.normalization)
    for i, block in enumerate(layer.layers):
        add(f"encoder.layers.{i}.attention.q_proj", block.attention.query)
        add(f"encoder.layers.{i}.attention.k_proj", block.attention.key)
        add(f"encoder.layers.{i}.attention.v_proj", block.attention.value)
        add(f"encoder.layers.{i}.attention.out_proj", block.attention.output_projection)
        add(f"encoder.layers.{i}.layer_norm", block.normalization)
        add(f"encoder.layers.{i}.feed_forward.intermediate_dense", block.intermediate)
        add(f"encoder.layers.{i}.feed_forward.output_dense", block.output_dense)
        add(f"encoder.layers.{i}.final_layer_norm", block.final_normalization)
    if layer.mask_embedding is not None:
        found[SPEC_AUGMENT] = (layer.mask_embedding, (0,))
    return found


def _product(magnitude: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Return the kernel of a weight normalisation: `direction`, scaled to the norm `magnitude` in each frame."""
    return magnitude * direction / np.sqrt(np.sum(np.square(direction), axis=(0, 1), keepdims=True))
