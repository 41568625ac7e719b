"""Audio files and noise: from a path to mono float32 samples, and from speech to speech in noise.

Conventions: a waveform is a float32 array (samples,), full scale is 1, rates are in Hz. Float files beyond full scale
keep their values. Files are resampled once, when they are read, and always by soxr; what is written to the cache and
handed to the front end has one rate. Training, `corpus check`, `predict` and the demo page share one reader, `io`. The caller
decides what to do with a silent or very short clip: `problems` names it. Nothing here imports TensorFlow.
"""

from keras_ser.audio.arrays import from_array
from keras_ser.audio.channels import CANCELLING, CONSTANT_OFFSET, SILENT_CHANNELS
from keras_ser.audio.find import find_audio
from keras_ser.audio.header import AudioError, Info
from keras_ser.audio.io import blocks, info, mixing_of, read, read_channels, read_with_problems
from keras_ser.audio.waveforms import content_hash, pad, problems

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
