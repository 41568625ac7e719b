"""openSMILE's functionals of a clip, the field's standard features, for baselines outside Keras: an optional extra.

openSMILE is free for private use, research and teaching, and needs a licence from audEERING for commercial use
(https://github.com/audeering/opensmile-python). Install it with `pip install "keras-ser[opensmile]"`.
"""

import functools
import warnings

import numpy as np

from keras_ser.errors import UserError

# set -> number of functionals: Eyben et al. 2016 (doi:10.1109/TAFFC.2015.2457417), Schuller et al. 2016
# (doi:10.21437/Interspeech.2016-129)
FUNCTIONALS = {"eGeMAPSv02": 88, "ComParE_2016": 6373}


@functools.cache
def _smile(name: str):
    try:
        import opensmile
    except ImportError as error:
        raise UserError(
            f'{name} is computed by openSMILE, which is not installed: pip install "keras-ser[opensmile]" (free for research, '
            f"not for commercial use). {error}"
        ) from None
    return opensmile.Smile(opensmile.FeatureSet[name], opensmile.FeatureLevel.Functionals)


def functionals(waveform: np.ndarray, sample_rate: int, name: str = "eGeMAPSv02") -> np.ndarray:
    """Compute openSMILE's functionals of one clip.

    Args:
        waveform: (samples,).
        sample_rate: Hz.
        name: one of `FUNCTIONALS`.

    Returns:
        (functionals,) float32. Values that openSMILE cannot compute (NaN: the clip is too short) are 0.

    Raises:
        UserError: an unknown set, or openSMILE is not installed.
    """
    check_functionals(name)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Segment too short")
        found = _smile(name)(np.asarray(waveform, "float32"), sample_rate)
    return np.nan_to_num(found.reshape(-1).astype("float32"), nan=0.0, posinf=0.0, neginf=0.0)


def check_functionals(name: str | None) -> None:
    """Raise UserError for an unknown set; None means no functionals."""
    if name is not None and name not in FUNCTIONALS:
        raise UserError(f"`functionals` must be one of {', '.join(FUNCTIONALS)}. Received: {name!r}.")
