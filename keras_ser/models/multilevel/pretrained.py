"""Files of pretrained weights, and wav2vec 2.0 before the network if it is not trained: computed once for each clip. No Keras."""

from pathlib import Path
from typing import Any

from keras_ser.errors import UserError
from keras_ser.files import user_path
from keras_ser.models.multilevel.config import LEVELS, Config
from keras_ser.models.multilevel.weights import alexnet_weights
from keras_ser.models.paper import Frozen, Inputs
from keras_ser.settings import mask_of

ONE_LENGTH = (
    "this network takes stretches of one length: set sampling.kind=segments, sampling.seconds (the paper: 3) and "
    "frontend.endpoint=false. Received: clips of any length."
)


def outside(config: Config) -> bool:
    """Return whether wav2vec 2.0 is a checkpoint that is not trained: the network takes its frames, see `frozen`."""
    return config.has_checkpoint and not config.wav2vec2_tuned


def frozen(config: Config, inputs: Inputs) -> dict[str, Frozen]:
    """Return wav2vec 2.0 as `Frozen` layers of its level's input, if it is not trained.

    Raises:
        UserError: the checkpoint cannot be read, or the front end gives clips of any length, or other features as well.
    """
    names = [name for name in inputs if name.rpartition(".")[2] == LEVELS["wav2vec2"]]
    if not outside(config) or len(names) != 1:  # `build` refuses other inputs
        return {}
    (name,) = names
    beside = [other for other in inputs if other != name and mask_of(other) == mask_of(name)]
    if beside:
        raise UserError(
            "a frozen wav2vec 2.0 needs the waveform in a front end of its own (`frontends`). Received: "
            f"{', '.join(beside)} with it."
        )
    (frames, hop), own, weighted = inputs[name], checkpoint(config.wav2vec2), config.wav2vec2_states == "weighted"
    if frames is None:
        raise UserError(ONE_LENGTH)

    def prepare(layer: str):
        from keras_ser.models.multilevel.samples import Samples

        return Samples(own.receptive_field, own.stride, name=layer)

    def load():
        from keras_ser.models.wav2vec2 import load

        states = "stacked" if weighted else "last"
        return load(config.wav2vec2, states=states, name="wav2vec2", trainable=False, dtype="float32")

    def cache(layer, folder: Path):
        from keras_ser.models.wav2vec2 import EmbeddingCache, layer_hash

        return EmbeddingCache(folder, layer_hash(layer))

    shape = own.frames(frames * hop), own.hidden_size * (own.num_hidden_layers + 1 if weighted else 1)
    return {name: Frozen(shape, prepare, load, cache)}


def weight_files(config: Config) -> list[Path]:
    """Return the files that pretrained weights come from, whether or not they are still there."""
    from keras_ser.models.wav2vec2.config import preprocessor

    files = [user_path(config.alexnet)] if config.alexnet else []
    if config.has_checkpoint:
        folder = user_path(config.wav2vec2)
        settings = folder / "config.json", preprocessor(folder)[0]
        files += sorted(folder.glob("*.safetensors")) or [folder / "model.safetensors"]
        files += [file for file in settings if file and file.exists()]
    return files


def check(recipe: Any) -> None:
    """Refuse pretrained weights that cannot be read, and a checkpoint of wav2vec 2.0 for another sampling rate than the recipe's.

    Raises:
        UserError: the rates differ, or a file cannot be read.
    """
    config, rate = recipe.config, recipe.frontend.sample_rate
    if config.alexnet:
        alexnet_weights(config.alexnet, config.filters)
    if not config.has_checkpoint:
        return
    from keras_ser.models.wav2vec2.header import checked_config

    if (own := checked_config(config.wav2vec2).sampling_rate) != rate:
        raise UserError(f"{config.wav2vec2} is for waveforms of {own} Hz. Received: a recipe of {rate} Hz.")


def checkpoint(folder: str):
    """Read the settings of a checkpoint."""
    from keras_ser.models.wav2vec2 import Wav2Vec2Config

    return Wav2Vec2Config.from_folder(folder)
