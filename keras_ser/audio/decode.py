"""tensorflow-io behind one door: audio bytes to samples inside tf.data, by its native op or by soundfile.

Its WAV decoder is twice as fast as soundfile; its FLAC decoder is six times slower, and its shared libraries load with
TensorFlow 2.16 and 2.17 only (the failure comes at the first op, not at import). So: the op for plain WAV where a probe
has shown that it works, soundfile for everything else. Resampling is not done here.
"""

import functools
import io
import struct

import numpy as np

from keras_ser.errors import UserError

BACKENDS = (None, "soundfile", "tensorflow-io")


@functools.cache
def native() -> bool:
    """Whether tensorflow-io's ops load and decode a small WAV rightly in this process (tried once)."""
    probe = np.array([1, -2, 32767], "<i2")
    header = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 42, b"WAVE", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16, b"data", 6)
    try:
        import tensorflow as tf
        import tensorflow_io as tfio

        decoded = tfio.audio.decode_wav(header + probe.tobytes(), dtype=tf.int16)
        return decoded.numpy()[:, 0].tolist() == probe.tolist()
    except Exception:  # ImportError, NotImplementedError (undefined symbol) or whatever a mismatched library raises
        return False


def decode_audio(contents, backend: str | None = None):
    """The bytes of a WAV, FLAC, OGG or MP3 file -> mono samples and their rate; usable in eager and graph mode.

    Args:
        contents: scalar string tensor, a whole file.
        backend: None = tensorflow-io for plain WAV (16 or 24-bit integers, 32-bit floats) if its ops load, soundfile
            otherwise; "soundfile"; "tensorflow-io" = its op for plain WAV and for FLAC, soundfile for the rest.

    Returns:
        waveform float32 (samples,), channels averaged, and sample_rate int32 () in Hz.

    Raises:
        ValueError: an unknown backend, or "tensorflow-io" where its ops do not load.
        tf.errors.OpError: when it runs, for bytes that can't be decoded.
    """
    import tensorflow as tf

    if backend not in BACKENDS:
        raise UserError(f"`backend` must be one of {', '.join(map(repr, BACKENDS))}. Received: {backend!r}.")
    if backend == "tensorflow-io" and not native():
        raise UserError(
            "tensorflow-io's ops do not load here: it needs TensorFlow 2.16 or 2.17 (pip install keras-ser[io]). "
            'Use backend="soundfile".'
        )
    contents = tf.convert_to_tensor(contents)
    if backend == "soundfile" or not native():
        return _by_soundfile(contents)

    branch = _wav_kind(contents)
    branches = [_by_soundfile, _wav_branch("int16"), _wav_branch("int24"), _wav_branch("float32")]
    if backend == "tensorflow-io":
        branch = tf.where(branch == 0, _flac_kind(contents), branch)
        branches += [_flac_branch("int16"), _flac_branch("int24")]
    waveform, rate = tf.switch_case(branch, [functools.partial(function, contents) for function in branches])
    waveform.set_shape((None,))
    rate.set_shape(())
    return waveform, rate


def _soundfile(contents: bytes | np.ndarray) -> tuple[np.ndarray, np.int32]:
    from keras_ser.audio.io import read_bytes

    # `numpy_function` hands bytes in a graph and an array of one object in eager mode.
    contents = contents if isinstance(contents, bytes) else contents.item()
    waveform, rate = read_bytes(io.BytesIO(contents))
    return waveform, np.int32(rate)


def _by_soundfile(contents):
    import tensorflow as tf

    waveform, rate = tf.numpy_function(_soundfile, [contents], (tf.float32, tf.int32), stateful=False)
    waveform.set_shape((None,))
    rate.set_shape(())
    return waveform, rate


def _field(contents, position: int, dtype):
    """A little-endian number of a header, as int64; whatever is there, or 0 beyond the end."""
    import tensorflow as tf

    head = tf.strings.substr(contents, 0, tf.minimum(tf.strings.length(contents), 44)) + b"\0" * 44
    return tf.cast(tf.io.decode_raw(tf.strings.substr(head, position, dtype.size), dtype)[0], tf.int64)


def _wav_kind(contents):
    """1, 2, 3 for a WAV of 16-bit, 24-bit or float samples that tensorflow-io reads rightly, else 0; int32 ().

    Only headers of exactly 44 bytes qualify: with other chunks before the samples the op may return none of them. It
    also fails on an odd number of bytes, and gives out 32-bit integers as if their bits were floats.
    """
    import tensorflow as tf

    tag, bits = _field(contents, 20, tf.uint16), _field(contents, 34, tf.uint16)
    size = _field(contents, 40, tf.int32)
    plain = (
        (_field(contents, 0, tf.int32) == int.from_bytes(b"RIFF", "little"))
        & (_field(contents, 12, tf.int32) == int.from_bytes(b"fmt ", "little"))
        & (_field(contents, 36, tf.int32) == int.from_bytes(b"data", "little"))
        & (size > 0)
        & (size % 2 == 0)
        & (size + 44 <= tf.cast(tf.strings.length(contents), tf.int64))
    )
    kind = tf.where((tag == 1) & (bits == 16), 1, tf.where((tag == 1) & (bits == 24), 2, 0))
    kind = tf.where((tag == 3) & (bits == 32), 3, kind)
    return tf.where(plain, kind, 0)


def _flac_kind(contents):
    """4, 5 for a FLAC file of 16 or 24 bits (its STREAMINFO block comes first by definition), else 0; int32 ()."""
    import tensorflow as tf

    # 20 bits of rate, 3 of channels - 1, 5 of bits - 1, big-endian from byte 18 on.
    bits = 1 + 16 * (_field(contents, 20, tf.uint8) % 2) + _field(contents, 21, tf.uint8) // 16
    flac = _field(contents, 0, tf.int32) == int.from_bytes(b"fLaC", "little")
    return tf.where(flac & (bits == 16), 4, tf.where(flac & (bits == 24), 5, 0))


def _mono(samples, bits: str):
    """(samples, channels) of the op's type -> float32 (samples,)."""
    import tensorflow as tf

    # The op keeps 24-bit samples in the upper bytes of 32.
    scale = {"int16": 2.0**-15, "int24": 2.0**-31, "float32": 1.0}[bits]
    samples = tf.cast(samples, tf.float32) * scale
    return tf.cond(tf.shape(samples)[1] == 1, lambda: samples[:, 0], lambda: tf.reduce_mean(samples, 1))


def _wav_branch(bits: str):
    import tensorflow as tf
    import tensorflow_io as tfio

    dtype = {"int16": tf.int16, "int24": tf.int32, "float32": tf.float32}[bits]

    def branch(contents):
        rate = tf.cast(_field(contents, 24, tf.int32), tf.int32)
        return _mono(tfio.audio.decode_wav(contents, dtype=dtype), bits), rate

    return branch


def _flac_branch(bits: str):
    import tensorflow as tf
    import tensorflow_io as tfio

    dtype = {"int16": tf.int16, "int24": tf.int32}[bits]

    def branch(contents):
        high, middle, low = (_field(contents, position, tf.uint8) for position in (18, 19, 20))
        rate = tf.cast(high * 4096 + middle * 16 + low // 16, tf.int32)
        return _mono(tfio.audio.decode_flac(contents, dtype=dtype), bits), rate

    return branch
