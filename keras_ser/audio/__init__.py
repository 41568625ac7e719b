"""Audio files and noise: from a path to mono float32 samples, and from speech to speech in noise.

Conventions: a waveform is a float32 array (samples,), full scale is 1, rates are in Hz. Float files beyond full scale
keep their values. Files are resampled once, when they are read, and always by soxr; what is written to the cache and
handed to the front end has one rate. Training, `corpus check`, `predict` and the demo page share one reader, `io`. The caller
decides what to do with a silent or very short clip: `problems` names it. Nothing here imports TensorFlow.
The names below are imported where they are first used, so that a network needs no library for audio files.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_ser.audio.arrays import from_array
    from keras_ser.audio.channels import CANCELLING, CONSTANT_OFFSET, SILENT_CHANNELS
    from keras_ser.audio.find import find_audio
    from keras_ser.audio.header import AudioError, Info
    from keras_ser.audio.io import blocks, info, mixing_of, read, read_channels, read_with_problems
    from keras_ser.audio.waveforms import content_hash, pad, problems

_MODULES = {
    "from_array": "arrays",
    "CANCELLING": "channels",
    "CONSTANT_OFFSET": "channels",
    "SILENT_CHANNELS": "channels",
    "find_audio": "find",
    "AudioError": "header",
    "Info": "header",
    "blocks": "io",
    "info": "io",
    "mixing_of": "io",
    "read": "io",
    "read_channels": "io",
    "read_with_problems": "io",
    "content_hash": "waveforms",
    "pad": "waveforms",
    "problems": "waveforms",
}

__all__ = [
    "CANCELLING",
    "CONSTANT_OFFSET",
    "SILENT_CHANNELS",
    "AudioError",
    "Info",
    "blocks",
    "content_hash",
    "find_audio",
    "from_array",
    "info",
    "mixing_of",
    "pad",
    "problems",
    "read",
    "read_channels",
    "read_with_problems",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
