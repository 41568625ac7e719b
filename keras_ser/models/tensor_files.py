"""Reading tensors from safetensors files. No Keras."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_ser.errors import UserError

DTYPES = ("F64", "F32", "F16", "BF16")


@dataclass(frozen=True)
class Tensors:
    """Tensors of safetensors files, read one at a time.

    Args:
        shapes: {name: shape}.
        files: {name: (open file, name in the file)}.
    """

    shapes: Mapping[str, tuple[int, ...]]
    files: Mapping[str, tuple[Any, str]]

    def __getitem__(self, name: str) -> np.ndarray:
        """Read a tensor as float32; UserError if a value is not finite."""
        file, stored = self.files[name]
        value = file.get_tensor(stored).astype("float32")
        if not np.isfinite(value).all():
            raise UserError(f"the tensor {stored} of the checkpoint holds NaN or infinite values. Download it again.")
        return value

    def renamed(self, names: Mapping[str, str]) -> "Tensors":
        """Rename all tensors; `names` maps each old name to its new name."""
        return Tensors(*({names[name]: value for name, value in held.items()} for held in (self.shapes, self.files)))


@contextlib.contextmanager
def tensors(paths: Sequence[Path]) -> Iterator[Tensors]:
    """Open the tensors of files for the duration of the block.

    Raises:
        UserError: a file is missing, truncated or of another format, a tensor is not floating-point, or the package safetensors
            is not installed.
    """
    import ml_dtypes  # noqa: F401 - gives NumPy the type bfloat16

    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise UserError('checkpoints need safetensors: pip install "keras-ser[wav2vec2]".') from error

    files, shapes = {}, {}
    with contextlib.ExitStack() as stack:
        for path in paths:
            try:
                file = stack.enter_context(safe_open(path, framework="numpy"))
            except (SafetensorError, OSError) as error:
                raise UserError(
                    f"{path}: expected a whole safetensors file. Received: {_fault(path, error)}."
                ) from error
            for name in file.keys():  # noqa: SIM118 - no mapping
                part = file.get_slice(name)
                if part.get_dtype() not in DTYPES:
                    raise UserError(
                        f"{path}: expected tensors of {', '.join(DTYPES)}. Received: {name} of {part.get_dtype()}. Take a "
                        "checkpoint that is not quantised."
                    )
                if name in files:
                    raise UserError(
                        f"{path}: expected each tensor in one of the files. Received: {name} again. Download the checkpoint again."
                    )
                files[name], shapes[name] = (file, name), tuple(part.get_shape())
        yield Tensors(shapes, files)


def _fault(path: Path, error: Exception) -> str:
    """Return why a file could not be opened, and the way out."""
    if path.is_dir():
        return "a folder: name the file in it"
    if not path.is_file():
        return "no such file"
    # imported here because it needs soundfile, which a network without a checkpoint does not need
    from keras_ser.audio.formats import is_lfs_pointer

    with path.open("rb") as raw:
        if is_lfs_pointer(raw):
            return "a Git LFS pointer: run `git lfs pull`"
    return f"{error}. Download it again"
