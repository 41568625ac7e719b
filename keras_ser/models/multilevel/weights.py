"""AlexNet's weights from a safetensors file. No Keras."""

import json
import math
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_ser.errors import UserError

TYPES = {"F16": np.float16, "F32": np.float32, "F64": np.float64}
LONGEST_HEADER = 100_000_000  # bytes, of the format
SKIPPED = "classifier."  # ImageNet's classes


# number of a convolution in torchvision's `features` -> size of its kernel
KERNELS = {0: 11, 3: 5, 6: 3, 8: 3, 10: 3}


def alexnet_weights(file: str, filters: Sequence[int]) -> dict[int, list[np.ndarray]]:
    """Kernel and bias of each convolution.

    Args:
        file: safetensors with torchvision's names: "features.0.weight" (out, in, height, width), "features.0.bias", ..
        filters: channels of each convolution.

    Returns:
        number in `features` -> [kernel (height, width, in, out), bias (out,)], float32.

    Raises:
        UserError: see `check_alexnet`; or the file is cut off.
    """
    found = {name: _tensor(Path(file), name, entry) for name, entry in check_alexnet(file, filters).items()}
    return {
        number: [found[f"features.{number}.weight"].transpose(2, 3, 1, 0), found[f"features.{number}.bias"]]
        for number in KERNELS
    }


def check_alexnet(file: str, filters: Sequence[int]) -> dict[str, Any]:
    """What a file's header says of each of the convolutions' tensors.

    Raises:
        UserError: no such file, no safetensors, a tensor that lacks, is of another type or shape, or has no place.
    """
    wanted: dict[str, tuple[int, ...]] = {}
    for (number, kernel), before, after in zip(KERNELS.items(), (3, *filters), filters, strict=False):
        wanted |= {f"features.{number}.weight": (after, before, kernel, kernel), f"features.{number}.bias": (after,)}
    found = _header(Path(file))
    strays = [name for name in found if name not in wanted and not name.startswith(SKIPPED)]
    lacking = [name for name in wanted if name not in found]
    if strays or lacking:
        said = [f"it lacks {lacking[0]} and {len(lacking) - 1} more"] if lacking else []
        said += [f"it has {strays[0]}, which has no place"] if strays else []
        raise UserError(f"{file} must hold torchvision's AlexNet (features.0.weight, ..): {', '.join(said)}.")
    for name, shape in wanted.items():
        kind, received = found[name]["dtype"], tuple(found[name]["shape"])
        if kind not in TYPES or received != shape:
            raise UserError(
                f"{file}: {name} must be float {shape}. Received: {kind} {received}. Take torchvision's AlexNet, or set "
                "config.filters."
            )
    return {name: found[name] for name in wanted}


def _header(path: Path) -> dict[str, Any]:
    """Name -> {"dtype", "shape", "data_offsets"}, these from the beginning of the file."""
    try:
        with open(path, "rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            if size > LONGEST_HEADER:
                raise ValueError("its header has no end")
            header = json.loads(file.read(size))
            return {
                name: {**tensor, "data_offsets": [8 + size + offset for offset in tensor["data_offsets"]]}
                for name, tensor in header.items()
                if name != "__metadata__"
            }
    except OSError as error:
        raise UserError(f"expected AlexNet's weights, a safetensors file. {path}: {error.strerror}.") from error
    except (ValueError, struct.error, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is no safetensors file: {error}. Save AlexNet's weights in that format.") from error


def _tensor(path: Path, name: str, entry: Mapping[str, Any]) -> np.ndarray:
    """One tensor, float32."""
    kind, shape = np.dtype(TYPES[entry["dtype"]]), entry["shape"]
    first, end = entry["data_offsets"]
    with open(path, "rb") as file:
        file.seek(first)
        data = file.read(end - first)
    if len(data) != math.prod(shape) * kind.itemsize:
        raise UserError(f"{path} is cut off in {name}. Download it again.")
    return np.frombuffer(data, kind.newbyteorder("<")).reshape(shape).astype(np.float32)
