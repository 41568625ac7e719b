"""AlexNet's weights from a safetensors file. No Keras."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_ser.errors import UserError

TYPES = {"F16": np.float16, "F32": np.float32, "F64": np.float64}
LONGEST_HEADER = 100_000_000  # bytes, of the format
SKIPPED = "classifier."  # ImageNet's classes


def alexnet_weights(file: str, shapes: Mapping[int, tuple[int, ...]]) -> dict[int, list[np.ndarray]]:
    """Kernel and bias of each convolution.

    Args:
        file: safetensors with torchvision's names: "features.0.weight" (out, in, height, width), "features.0.bias", ..
        shapes: number of the convolution -> (height, width, in, out) of its kernel.

    Returns:
        number -> [kernel (height, width, in, out), bias (out,)], float32.

    Raises:
        UserError: no such file, no safetensors, a tensor that lacks, is of another shape or has no place.
    """
    wanted = {}
    for number, (height, width, before, after) in shapes.items():
        wanted[f"features.{number}.weight"] = (after, before, height, width)
        wanted[f"features.{number}.bias"] = (after,)
    found = _header(Path(file))
    strays = [name for name in found if name not in wanted and not name.startswith(SKIPPED)]
    lacking = [name for name in wanted if name not in found]
    if strays or lacking:
        said = [f"it lacks {lacking[0]} and {len(lacking) - 1} more"] if lacking else []
        said += [f"it has {strays[0]}, which has no place"] if strays else []
        raise UserError(f"{file} must hold torchvision's AlexNet (features.0.weight, ..): {', '.join(said)}.")
    arrays = {name: _tensor(Path(file), name, found[name], shape) for name, shape in wanted.items()}
    return {
        number: [arrays[f"features.{number}.weight"].transpose(2, 3, 1, 0), arrays[f"features.{number}.bias"]]
        for number in shapes
    }


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


def _tensor(path: Path, name: str, entry: Mapping[str, Any], shape: tuple[int, ...]) -> np.ndarray:
    """One tensor, float32."""
    kind = TYPES.get(entry["dtype"])
    if kind is None or tuple(entry["shape"]) != shape:
        raise UserError(
            f"{path}: {name} must be float {shape}. Received: {entry['dtype']} {tuple(entry['shape'])}. "
            "Take torchvision's AlexNet, or set config.filters."
        )
    first, end = entry["data_offsets"]
    with open(path, "rb") as file:
        file.seek(first)
        data = file.read(end - first)
    count = int(np.prod(shape))
    if len(data) != count * np.dtype(kind).itemsize:
        raise UserError(f"{path} is cut off in {name}. Download it again.")
    return np.frombuffer(data, np.dtype(kind).newbyteorder("<"), count).reshape(shape).astype(np.float32)
