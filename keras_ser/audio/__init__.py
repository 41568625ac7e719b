"""Audio files and noise: from a path to mono float32 samples, and from speech to speech in noise.

Conventions: a waveform is a float32 array (samples,), full scale is 1, rates are in Hz. Float files beyond full scale
keep their values. Files are resampled once, when they are read, and always by soxr; what is written to the cache and
handed to the front end has one rate. Training, `corpus check`, `predict` and the demo page share one reader, `io`. The caller
decides what to do with a silent or very short clip: `problems` names it. Nothing here imports TensorFlow.
The names of __init__.pyi are imported where they are first used, so that a network needs no library for audio files.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
