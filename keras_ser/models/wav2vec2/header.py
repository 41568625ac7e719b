"""The tensors of a checkpoint, compared with its `config.json` by names and shapes alone, before anything is built.

Here, tensors of a checkpoint are named in a short form: without the prefix of a model with a head
("wav2vec2." or "hubert."), and with weight normalisation's older names, weight_g and weight_v.
"""

import contextlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from keras_ser.checks import listed
from keras_ser.errors import UserError
from keras_ser.files import user_path
from keras_ser.models.tensor_files import Tensors, tensors
from keras_ser.models.wav2vec2.config import Wav2Vec2Config

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
# tensors of pretraining or of another model's head
HEADS = (
    *("quantizer.", "project_q.", "project_hid.", "lm_head.", "projector.", "classifier.", "layer_weights"),
    *("tdnn.", "objective.", "feature_extractor.weight", "feature_extractor.bias"),
)
SPEC_AUGMENT = "masked_spec_embed"
POSITIONAL = "encoder.pos_conv_embed.conv"


def checked_config(folder: str | Path) -> Wav2Vec2Config:
    """Read the settings of a checkpoint, and compare them with the header of its weights, which are not read.

    Raises:
        UserError: see `keras_ser.models.wav2vec2.load`.
    """
    config = Wav2Vec2Config.from_folder(folder)
    with checked_tensors(config, folder):
        return config


@contextlib.contextmanager
def checked_tensors(config: Wav2Vec2Config, folder: str | Path) -> Iterator[tuple[Tensors, tuple[str, ...]]]:
    """Open the tensors of a checkpoint under their short names, with the names of the unused ones.

    Raises:
        UserError: see `keras_ser.models.wav2vec2.load`.
    """
    with tensors(weight_files(user_path(folder))) as found:
        prefix = f"{config.model_type}."
        names = {name: _short(name, found.shapes, prefix) for name in found.shapes}
        twice = [name for name, times in Counter(names.values()).items() if times > 1]
        if twice:
            spelled = [name for name, short in names.items() if short == twice[0]]
            raise UserError(
                f"{folder}: expected each tensor once. Received: {' and '.join(spelled)}, two names of one tensor. Save the "
                "checkpoint again from one model."
            )
        weights = found.renamed(names)
        yield weights, _compare(config, weights.shapes, Path(folder))


def tensor_shapes(config: Wav2Vec2Config) -> dict[str, tuple[int, ...]]:
    """Return the short name and the shape of each tensor that a checkpoint of these settings holds."""
    hidden, inner, channels = config.hidden_size, config.intermediate_size, (1, *config.conv_dim)
    found = {}

    def dense(name: str, after: int, *before: int, bias: bool = True) -> None:
        found[f"{name}.weight"] = (after, *before)
        if bias:
            found[f"{name}.bias"] = (after,)

    for i, kernel in enumerate(config.conv_kernel):
        layer = f"feature_extractor.conv_layers.{i}"
        dense(f"{layer}.conv", channels[i + 1], channels[i], kernel, bias=config.conv_bias)
        if config.feat_extract_norm == "layer" or i == 0:
            dense(f"{layer}.layer_norm", channels[i + 1])
    if config.feat_proj_layer_norm:
        dense("feature_projection.layer_norm", channels[-1])
    dense("feature_projection.projection", hidden, channels[-1])
    frames, groups = config.num_conv_pos_embeddings, config.num_conv_pos_embedding_groups
    found[f"{POSITIONAL}.weight_g"], found[f"{POSITIONAL}.bias"] = (1, 1, frames), (hidden,)
    found[f"{POSITIONAL}.weight_v"] = (hidden, hidden // groups, frames)
    dense("encoder.layer_norm", hidden)
    for i in range(config.num_hidden_layers):
        layer = f"encoder.layers.{i}"
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            dense(f"{layer}.attention.{name}", hidden, hidden)
        dense(f"{layer}.layer_norm", hidden)
        dense(f"{layer}.feed_forward.intermediate_dense", inner, hidden)
        dense(f"{layer}.feed_forward.output_dense", hidden, inner)
        dense(f"{layer}.final_layer_norm", hidden)
    if config.masks_frames:
        found[SPEC_AUGMENT] = (hidden,)
    return found


def _compare(config: Wav2Vec2Config, there: Mapping[str, tuple], folder: Path) -> tuple[str, ...]:
    """Return the names of unused tensors; refuse a checkpoint with missing, unknown or misshapen ones."""
    if config.num_hidden_layers > len(there):  # a list of their tensors may not fit into memory
        raise UserError(
            f"{folder}: expected the tensors of {config.num_hidden_layers} layers (config.json). Received: {len(there)} tensors. "
            "Take config.json and weights from one checkpoint."
        )
    wanted = tensor_shapes(config)
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


def weight_files(folder: Path) -> list[Path]:
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
            "and copy preprocessor_config.json or processor_config.json to OUT."
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
