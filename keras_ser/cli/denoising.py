"""The command `denoise`: remove noise from audio files."""

import argparse
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

from keras_ser.cli.arguments import home, report_skipped
from keras_ser.errors import DiskError, UserError
from keras_ser.files import make_folder, write_json
from keras_ser.progress import track

RECORD, SETTINGS = ".denoise.json", ("method", "model", "alpha", "beta")
METHODS = ("spectral-subtraction", "wavelet-lms", "drop", "mask")


def add(commands) -> None:
    """Add the command to the parser."""
    denoise = commands.add_parser(
        "denoise",
        help="remove noise from audio files",
        description="Write denoised copies of audio files. A copy is mono and has the length and sample rate of its input. If "
        "IN is a folder, the same command again writes only what is missing.",
    )
    denoise.add_argument("input", type=home, metavar="IN", help="audio file, or a folder of audio files")
    denoise.add_argument("output", type=home, metavar="OUT", help="file to write (.wav, .flac), or a folder")
    denoise.add_argument(
        "--method",
        choices=METHODS,
        default="spectral-subtraction",
        help="denoising method (default: spectral-subtraction)",
    )
    denoise.add_argument(
        "--model", type=home, metavar="RUN", help="run of a denoiser (model 1 of a cascade), required for drop and mask"
    )
    denoise.add_argument("--alpha", type=float, help="power exponent of spectral-subtraction (default: 2)")
    denoise.add_argument("--beta", type=float, help="noise correction of spectral-subtraction (default: 0.5)")
    denoise.add_argument("--overwrite", action="store_true", help="replace existing files")
    denoise.set_defaults(run=_denoise, interrupted="interrupted; the files written so far are complete")


def _denoise(options: argparse.Namespace) -> int:
    import soundfile

    from keras_ser.audio import AudioError, find_audio

    source, target = Path(options.input), Path(options.output)
    files, skipped = find_audio([source])
    report_skipped(skipped)
    if source.is_dir():
        if target.suffix.lower() in (".wav", ".flac") and not target.is_dir():
            raise UserError(f"expected an OUT that is a folder, as IN is one. Received: {target}.")
        pairs = [(file, (target / Path(file).relative_to(source)).with_suffix(".wav")) for file in files]
    else:
        pairs = [(files[0], target / f"{source.stem}.wav" if target.is_dir() else target)]
    if any(out.suffix.lower() not in (".wav", ".flac") for _, out in pairs):
        raise UserError(f"expected an OUT that ends in .wav or .flac, or a folder. Received: {target}.")
    outs: dict[Path, str] = {}
    for file, out in pairs:
        if (other := outs.setdefault(out, file)) != file:
            raise UserError(f"{other} and {file} would both be written to {out}: rename or move one of them.")
    there = {out for _, out in pairs if out.exists()}
    record, settings = target / RECORD, {name: getattr(options, name) for name in ("input", *SETTINGS)}
    if there and not options.overwrite and not (source.is_dir() and _recorded(record) == settings):
        raise UserError(f"{min(there)} already exists. Give another OUT, or --overwrite.")
    denoise = _denoiser(options)
    if source.is_dir():
        make_folder(target)
        if there and options.overwrite:  # until all are written anew, the folder holds files of two settings
            record.unlink(missing_ok=True)
        else:
            write_json(record, settings)
    if there and not options.overwrite:
        pairs = [(f, o) for f, o in pairs if o not in there or o.stat().st_mtime < Path(f).stat().st_mtime]
        print(f"{len(outs) - len(pairs)} of {len(outs)} files are there already.", file=sys.stderr)
    failures, clipped = [], []
    for file, out in track(pairs, "denoise"):
        try:
            if beyond := _one(Path(file), out, denoise):
                clipped.append(
                    f"{out}: {beyond} samples beyond full scale are clipped, as {out.suffix[1:].upper()} holds none."
                )
        except DiskError:  # the next file would fail as well
            raise
        except (AudioError, ValueError) as error:
            failures.append(str(error))
        except (OSError, TypeError, soundfile.SoundFileError) as error:
            failures.append(f"cannot write {out}: {error}")
    if source.is_dir() and options.overwrite and not failures:
        write_json(record, settings)
    if clipped:
        print("\n".join([*clipped, "A .wav keeps them: it is written as floats."]), file=sys.stderr)
    if failures:
        print(f"keras-ser: {len(failures)} of {len(pairs)} files could not be denoised:", file=sys.stderr)
        print("\n".join(failures), file=sys.stderr)
    return 1 if failures else 0


def _recorded(record: Path) -> dict | None:
    """Return the settings with which an earlier call wrote to a folder; None if that is unknown."""
    try:
        return json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _one(file: Path, out: Path, denoise: Callable) -> int:
    """Denoise a file, keeping its length and rate; write mono, 32-bit floats in a .wav (no clipping), else the format's default.

    Returns how many samples were clipped.
    """
    import soundfile

    from keras_ser.audio import info, read
    from keras_ser.files import write_whole

    rate = info(file).sample_rate
    cleaned = denoise(read(file, rate), rate)
    out.parent.mkdir(parents=True, exist_ok=True)
    kind = out.suffix.lstrip(".").upper()
    # encode in memory, since libsndfile does not report why a file cannot be written
    made = io.BytesIO()
    soundfile.write(made, cleaned, rate, format=kind, subtype="FLOAT" if kind == "WAV" else None)
    write_whole(out, lambda path: path.write_bytes(made.getbuffer()))
    return 0 if kind == "WAV" else int((abs(cleaned) > 1).sum())


def _denoiser(options: argparse.Namespace) -> Callable:
    """Return a function (waveform, rate) -> waveform of the same length and rate."""
    numbers = {name: getattr(options, name) for name in ("alpha", "beta") if getattr(options, name) is not None}
    if numbers and options.method != "spectral-subtraction":
        raise UserError(
            f"--{next(iter(numbers))} goes with --method spectral-subtraction. Received: --method {options.method}."
        )
    if options.method in ("drop", "mask"):
        if not options.model:
            raise UserError(
                f"--method {options.method} needs --model RUN, a model 1 trained by recipes/aspmtl_noise.py."
            )
        from keras_ser.experiment.denoisers import waveform_denoiser
        from keras_ser.training import Run

        return waveform_denoiser(Run.load(Run.find(options.model)), options.method)
    if options.model:
        raise UserError(f"--model goes with --method drop or mask. Received: --method {options.method}.")
    import numpy as np

    from keras_ser.audio.denoise import spectral_subtraction, wavelet_lms

    if options.method == "wavelet-lms":
        return wavelet_lms
    spectral_subtraction(np.zeros(1), **numbers)  # a wrong number is an error before any file is read
    return lambda waveform, rate: spectral_subtraction(waveform, rate, **numbers)
