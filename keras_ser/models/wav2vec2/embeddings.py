"""Hidden states of recorded clips, cached on disk, so that a frozen layer computes each of them once."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from keras import ops

from keras_ser.audio.waveforms import content_hash
from keras_ser.checks import check_choice, check_name
from keras_ser.errors import UserError
from keras_ser.files import user_path, write_whole
from keras_ser.models.wav2vec2.layer import Wav2Vec2
from keras_ser.values import plain


class EmbeddingCache:
    """Cache of arrays in files FOLDER/KEY-DTYPE/HASH.npy, with a subfolder per layer and precision.

    Files are written atomically: an interrupted computation can be resumed, and several processes may share a folder.

    Args:
        folder: folder of the cache; created when the first array is stored.
        key: identifies the layer that computes the arrays: `layer_hash(layer)`.
        dtype: "float32" (default), or "float16", which needs half the disk space and keeps 3 digits.

    Raises:
        UserError: `dtype` is another one, or `key` is not a valid folder name.
    """

    def __init__(self, folder: str | Path, key: str, dtype: str = "float32"):
        self.key, self.dtype = key, dtype
        check_choice(self, "dtype", ("float32", "float16"))
        check_name("a cache's key", key)
        self.folder = user_path(folder) / f"{key}-{dtype}"

    def get(self, audio: str) -> np.ndarray | None:
        """Return the array of a clip, float32, by the hash of its audio (`keras_ser.audio.waveforms.content_hash`), or None."""
        try:
            return np.load(self._file(audio), allow_pickle=False).astype("float32")
        except (OSError, ValueError, EOFError):  # no file, or a damaged one, whose array is computed again
            return None

    def put(self, audio: str, value: np.ndarray) -> np.ndarray:
        """Store the array of a clip and return it as `get` will, rounded to `dtype`.

        Raises:
            UserError: a number is too large for float16.
            DiskError: the file cannot be written.
        """
        with np.errstate(over="ignore"):
            kept = np.asarray(value).astype(self.dtype)
        if np.isinf(kept).any() and np.isfinite(value).all():
            raise UserError(
                f"float16 holds numbers up to 65504. Received: {np.abs(value).max():.3g}. Use a float32 cache."
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self._file(audio), lambda path: np.save(path, kept))
        return kept.astype("float32")

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


def embed(
    layer: Wav2Vec2,
    clips: Iterable[np.ndarray],
    cache: EmbeddingCache | None = None,
    progress: Callable[[Iterable], Iterable] | None = None,
) -> Iterator[np.ndarray]:
    """Yield the layer's output for each clip, computed one by one, so that no clip depends on another's length.

    Args:
        layer: the layer, run in inference; its weights must not change until the last clip is done.
        clips: waveforms (samples,), float32, at the layer's `sampling_rate`.
        cache: cache of this layer; arrays in it are read, others are computed and stored. Default None, no cache.
        progress: function that wraps the sequence of clips, e.g. a progress bar.

    Yields:
        float32 (frames, hidden) for each clip; (states, frames, hidden) if the layer returns all states. Values are rounded to
        the cache's dtype, whether computed or read.

    Raises:
        UserError: a clip is shorter than the receptive field, or the cache is that of another layer.
    """
    if cache is not None and cache.key != (key := layer_hash(layer)):
        raise UserError(f"expected the cache of this layer, key {key}. Received: key {cache.key}.")
    return _embed(layer, progress(clips) if progress else clips, cache)


def _embed(layer, clips, cache) -> Iterator[np.ndarray]:
    for i, clip in enumerate(clips):
        clip = np.asarray(clip, "float32")
        layer.config.check_samples(len(clip), f"clip {i}")
        name = content_hash(clip) if cache else ""
        value = cache.get(name) if cache else None
        if value is None:
            made = layer(clip[None])
            made = ops.stack(made, axis=1)[0] if layer.states == "all" else made[0]
            value = ops.convert_to_numpy(ops.cast(made, "float32"))
            value = cache.put(name, value) if cache else value
        yield value
