"""Read the weights of a Hugging Face checkpoint: `config.json` beside `model.safetensors`, or beside its shards.

Here, tensors of a checkpoint are named in a short form: without the prefix of a model with a head
("wav2vec2." or "hubert."), and with weight normalisation's older names, weight_g and weight_v.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_ser.checks import listed
from keras_ser.errors import UserError
from keras_ser.files import user_path
from keras_ser.models.tensor_files import tensors
from keras_ser.models.wav2vec2.config import Wav2Vec2Config
from keras_ser.models.wav2vec2.layer import Wav2Vec2

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
# tensors of pretraining or of another model's head
HEADS = (
    *("quantizer.", "project_q.", "project_hid.", "lm_head.", "projector.", "classifier.", "layer_weights"),
    *("tdnn.", "objective.", "feature_extractor.weight", "feature_extractor.bias"),
)
SPEC_AUGMENT = "masked_spec_embed"
POSITIONAL = "encoder.pos_conv_embed.conv"


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
    layer = Wav2Vec2(Wav2Vec2Config.from_folder(folder), **options)
    assign(layer, folder)
    return layer


def assign(layer: Wav2Vec2, folder: str | Path) -> tuple[str, ...]:
    """Assign the weights of a checkpoint's folder to a layer, all or none; return the names of the unused tensors.

    The vector of SpecAugment, which fine-tuned checkpoints such as wav2vec2-base-960h lack, may be missing: it is 0, the same for
    every seed, and is used in training alone.

    Raises:
        UserError: see `load`.
    """
    if not layer.built:
        layer.build((None, None))
    variables = _variables(layer)
    wanted = {name: tuple(variable.shape[i] for i in axes) for name, (variable, axes) in variables.items()}
    kernel = wanted.pop(f"{POSITIONAL}.weight")
    wanted |= {f"{POSITIONAL}.weight_g": (1, 1, kernel[-1]), f"{POSITIONAL}.weight_v": kernel}
    with tensors(_files(user_path(folder))) as found:
        prefix = f"{layer.config.model_type}."
        weights = found.renamed({name: _short(name, found.shapes, prefix) for name in found.shapes})
        skipped = _compare(wanted, weights.shapes, Path(folder))
        values = []
        for name, (variable, axes) in variables.items():
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
    for file in _files(user_path(folder)):
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


def _compare(wanted: Mapping[str, tuple], there: Mapping[str, tuple], folder: Path) -> tuple[str, ...]:
    """Return the names of unused tensors; refuse a checkpoint with missing, unknown or misshapen ones."""
    rest = [name for name in there if name not in wanted]
    skipped = [name for name in rest if name.startswith(HEADS) or name == SPEC_AUGMENT]
    faults = {
        "missing": [name for name in wanted if name not in there and name != SPEC_AUGMENT],
        "not known": [name for name in rest if name not in skipped],
        "of another shape": [
            f"{name} (expected {wanted[name]}, received {there[name]})"
            for name in wanted
            if name in there and there[name] != wanted[name]
        ],
    }
    found = [f"{len(names)} {kind}: {listed(names, 3)}" for kind, names in faults.items() if names]
    if found:
        raise UserError(
            f"{folder}: expected the {len(wanted)} tensors that its config.json describes. Received: {len(there)}; "
            f"{'; '.join(found)}. Take config.json and weights from one checkpoint."
        )
    return tuple(skipped)


def _files(folder: Path) -> list[Path]:
    """Return the safetensors files of a folder: the single file if it exists, else the shards."""
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if (folder / INDEX).is_file():
        try:
            names = sorted(set(json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values()))
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise UserError(
                f"{folder / INDEX}: expected a JSON object with a weight_map. Download the file again."
            ) from error
        absent = [name for name in names if not (folder / name).is_file()]
        if absent or not names:
            raise UserError(f"{folder}: expected the files that {INDEX} names. Missing: {listed(absent) or 'all'}.")
        return [folder / name for name in names]
    if sorted(folder.glob("pytorch_model*.bin")):
        raise UserError(
            f"{folder}: expected {WEIGHTS}. Received: pytorch_model.bin, which runs code when it is read. Convert it where "
            "PyTorch is: python -c \"from transformers import AutoModel as M; M.from_pretrained('IN').save_pretrained('OUT')\", "
            "and copy preprocessor_config.json to OUT."
        )
    raise UserError(f"{folder}: expected {WEIGHTS}, or {INDEX} and its shards. Received: a folder without them.")


def _short(name: str, all_names: Mapping[str, Any], prefix: str) -> str:
    """Return the short form of a tensor's name."""
    if any(each.startswith(prefix) for each in all_names):
        # "feature_extractor" outside the prefix belongs to a head, not the model
        name = name.removeprefix(prefix) if name.startswith(prefix) else name
    return name.replace("parametrizations.weight.original0", "weight_g").replace(
        "parametrizations.weight.original1", "weight_v"
    )
