"""AlexNet's weights from a safetensors file. No Keras."""

from collections.abc import Mapping, Sequence

import numpy as np

from keras_ser.errors import UserError
from keras_ser.files import user_path
from keras_ser.models.tensor_files import tensors

SKIPPED = "classifier."  # ImageNet's classes
# number of a convolution in torchvision's `features` -> size of its kernel
KERNELS = {0: 11, 3: 5, 6: 3, 8: 3, 10: 3}


def alexnet_weights(file: str, filters: Sequence[int]) -> dict[int, list[np.ndarray]]:
    """Read kernel and bias of each convolution.

    Args:
        file: safetensors with torchvision's names: "features.0.weight" (out, in, height, width), "features.0.bias", ..
        filters: number of channels of each convolution.

    Returns:
        number in `features` -> [kernel (height, width, in, out), bias (out,)], float32.

    Raises:
        UserError: see `keras_ser.models.tensor_files.tensors`; or a tensor is missing, unexpected or of another shape.
    """
    with tensors([user_path(file)]) as found:
        _check(file, filters, found.shapes)
        return {
            number: [found[f"features.{number}.weight"].transpose(2, 3, 1, 0), found[f"features.{number}.bias"]]
            for number in KERNELS
        }


def _check(file: str, filters: Sequence[int], found: Mapping[str, tuple[int, ...]]) -> None:
    wanted: dict[str, tuple[int, ...]] = {}
    for (number, kernel), before, after in zip(KERNELS.items(), (3, *filters), filters, strict=False):
        wanted |= {f"features.{number}.weight": (after, before, kernel, kernel), f"features.{number}.bias": (after,)}
    strays = [name for name in found if name not in wanted and not name.startswith(SKIPPED)]
    lacking = [name for name in wanted if name not in found]
    if strays or lacking:
        said = [f"it lacks {lacking[0]} and {len(lacking) - 1} more"] if lacking else []
        said += [f"it has {strays[0]}, which is unexpected"] if strays else []
        raise UserError(f"{file} must hold torchvision's AlexNet (features.0.weight, ..): {', '.join(said)}.")
    for name, shape in wanted.items():
        if found[name] != shape:
            raise UserError(
                f"{file}: {name} must be {shape}. Received: {found[name]}. Take torchvision's AlexNet, or set config.filters."
            )
