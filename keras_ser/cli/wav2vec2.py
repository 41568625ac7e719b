"""The command `wav2vec2`: checkpoints of wav2vec 2.0 and HuBERT."""

import argparse
import math
import sys

from keras_ser.errors import UserError
from keras_ser.files import user_path

ENDINGS = (".keras", ".weights.h5")


def add(commands) -> None:
    """Add these commands to the parser."""
    parser = commands.add_parser(
        "wav2vec2", help="check or convert checkpoints of wav2vec 2.0 and HuBERT (extra: wav2vec2)"
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)

    info = actions.add_parser(
        "info",
        help="check a checkpoint and show its properties",
        description="Check a checkpoint and show its architecture, its size, the digest that reports name, and unused tensors.",
    )
    info.set_defaults(run=_info)
    convert = actions.add_parser(
        "convert",
        help="convert a checkpoint to a Keras model, or to its weights",
        description="Convert a checkpoint to a Keras model (OUT ends in .keras) or to its weights (.weights.h5).",
    )
    for action in (info, convert):
        action.add_argument(
            "folder", metavar="FOLDER", help="folder with config.json and model.safetensors, as on Hugging Face"
        )
    convert.add_argument("output", metavar="OUT", help=f"file to write, {' or '.join(ENDINGS)}")
    convert.add_argument("--overwrite", action="store_true", help="replace an existing file")
    convert.set_defaults(run=_convert)


def _info(options: argparse.Namespace) -> int:
    from keras_ser.models.wav2vec2 import Wav2Vec2, weights_hash
    from keras_ser.models.wav2vec2.checkpoint import assign
    from keras_ser.models.wav2vec2.header import checked_config

    config = checked_config(options.folder)
    layer = Wav2Vec2(config)
    skipped = assign(layer, options.folder)
    parts = (layer.feature_encoder, layer)
    convolutions, total = (sum(math.prod(weight.shape) for weight in part.weights) for part in parts)
    rate = config.sampling_rate
    rows = {
        "architecture": f"{config.model_type}, {config.feat_extract_norm} norm"
        + (", normalised before each block" if config.do_stable_layer_norm else ""),
        "transformer": f"{config.num_hidden_layers} layers, {config.hidden_size} units, {config.num_attention_heads} heads",
        "weights": f"{total:,}, {convolutions:,} of them in the convolutional encoder",
        "waveform": f"{rate} Hz, " + ("normalised by the layer" if config.do_normalize else "used unchanged"),
        "frames": f"every {1000 * config.stride / rate:g} ms, each from {1000 * config.receptive_field / rate:g} ms; a clip has "
        f"at least {config.receptive_field} samples",
        "sha256": f"{weights_hash(options.folder)} (first 12 digits)",
        "not used": ", ".join(skipped) or "nothing",
    }
    print("\n".join(f"{name:14}{value}" for name, value in rows.items()))
    return 0


def _convert(options: argparse.Namespace) -> int:
    output = user_path(options.output)
    if not output.name.endswith(ENDINGS) or output.name in ENDINGS:
        raise UserError(f"expected an OUT that ends in {' or '.join(ENDINGS)}. Received: {output}.")
    if output.exists() and not options.overwrite:
        raise UserError(f"{output} already exists. Give another OUT, or --overwrite.")
    if not output.parent.is_dir():
        raise UserError(
            f"expected an OUT in an existing folder. Received: {output}. Create the folder {output.parent}."
        )

    import keras

    from keras_ser.files import write_whole
    from keras_ser.models.wav2vec2 import load

    layer = load(options.folder, name="wav2vec2")
    waveform, mask = keras.Input((None,), name="waveform"), keras.Input((None,), dtype="bool", name="mask")
    model = keras.Model({"waveform": waveform, "mask": mask}, layer(waveform, mask=mask), name="wav2vec2_model")
    write_whole(output, model.save if output.suffix == ".keras" else model.save_weights)
    print(output)
    print(
        f"{output.stat().st_size / 1e6:.1f} MB; inputs waveform and mask (batch, samples). Import keras_ser.models.wav2vec2 before "
        "loading it",
        file=sys.stderr,
    )
    return 0
