"""Audio files and noise: from a path to mono float32 samples, and from speech to speech in noise.

Conventions: a waveform is a float32 array (samples,), full scale is 1, rates are in Hz. Float files beyond full scale
keep their values. Files are resampled once, on reading, and always by soxr, so that the cache and the front end see one rate.
Training, `corpus check`, `predict` and the demo page share one reader, `io`. Silent and very short clips are not errors: `problems`
reports them, and the caller decides. Nothing here imports TensorFlow. The names in `__init__.pyi` are imported on first use, so
that building a network needs no audio library.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
