"""Hidden states of recorded clips, cached on disk, so that a frozen layer computes each of them once."""

import hashlib
import json
from pathlib import Path

import numpy as np
from keras import ops

from keras_ser.checks import check_name
from keras_ser.files import user_path, write_whole
from keras_ser.models.wav2vec2.layer import Wav2Vec2
from keras_ser.values import plain


class EmbeddingCache:
    """Cache of float32 arrays in files FOLDER/KEY-float32/HASH.npy, with a subfolder per layer.

    Files are written atomically: an interrupted computation can be resumed, and several processes may share a folder.

    Args:
        folder: folder of the cache; created when the first array is stored.
        key: identifies the layer that computes the arrays: `layer_hash(layer)`.

    Raises:
        UserError: `key` is not a valid folder name.
    """

    def __init__(self, folder: str | Path, key: str):
        check_name("a cache's key", key)
        self.folder = user_path(folder) / f"{key}-float32"

    def get(self, audio: str) -> np.ndarray | None:
        """Return the array of a clip by the hash of its audio (`keras_ser.audio.waveforms.content_hash`), or None."""
        try:
            return np.load(self._file(audio), allow_pickle=False)
        except (OSError, ValueError, EOFError):  # no file, or a damaged one, whose array is computed again
            return None

    def put(self, audio: str, value: np.ndarray) -> np.ndarray:
        """Store the array of a clip and return it as `get` will.

        Raises:
            DiskError: the file cannot be written.
        """
        kept = np.asarray(value, "float32")
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self._file(audio), lambda path: np.save(path, kept))
        return kept

    def _file(self, audio: str) -> Path:
        return self.folder / f"{audio}.npy"


def layer_hash(layer: Wav2Vec2) -> str:
    """Return 12 hexadecimal digits that identify what a layer computes: hashed settings, output states, dtype and weights."""
    if not layer.built:
        layer.build((None, None))
    settings = {"config": plain(layer.config), "states": layer.states, "dtype": layer.compute_dtype}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for weight in layer.weights:
        digest.update(np.ascontiguousarray(ops.convert_to_numpy(weight), "<f4").data)
    return digest.hexdigest()[:12]
