"""The commands `export`, `explain` and `demo`: use a trained model."""

import argparse
import json
import sys
from pathlib import Path

from keras_ser.cli.arguments import PICTURES, add_model_argument, expanded, home, positive
from keras_ser.cli.training import EXAMPLE
from keras_ser.errors import UserError


def add(commands) -> None:
    """Add these commands to the parser."""
    export = commands.add_parser(
        "export",
        help="write a run, or the mean of several, as a SavedModel for TensorFlow Serving",
        description="Write a run as a SavedModel. Several runs with the same classes (seeds or folds) become one graph that "
        "returns the mean of their probabilities.",
        epilog=f"The folder of a run is {EXAMPLE}.",
    )
    export.add_argument(
        "run_folders",
        metavar="RUN",
        nargs="+",
        help="folder of a run (or of an experiment of one run), or a quoted pattern",
    )
    export.add_argument("--name", help="name of the model on the server (default: the name of the recipe)")
    export.add_argument(
        "--out",
        type=home,
        metavar="DIR",
        default="exports",
        help="folder in which NAME/VERSION is created (default: exports)",
    )
    export.add_argument(
        "--max-seconds", type=float, default=60.0, metavar="S", help="longest accepted clip in seconds (default: 60)"
    )
    export.set_defaults(run=_export)

    explain = commands.add_parser(
        "explain",
        help="show which input features drove a prediction",
        description="Show which parts of a clip support the predicted class of each task and which oppose it, using integrated "
        "gradients. For a network with feature attention, show the weights of its features.",
    )
    explain.add_argument("run_folder", type=home, metavar="RUN", help="folder of a run of a network")
    explain.add_argument("file", type=home, metavar="FILE", help="audio file")
    explain.add_argument(
        "--top",
        type=positive,
        default=10,
        metavar="N",
        help="number of features, or of segments of the clip, to show (default: 10)",
    )
    explain.add_argument("--format", choices=("table", "json"), default="table", help="output format (default: table)")
    explain.add_argument("--plot", type=home, metavar="PNG", help="write a bar plot, one row per task")
    explain.set_defaults(run=_explain)

    demo = commands.add_parser(
        "demo",
        help="try a model on a web page (extra: demo)",
        description="Serve a web page on this computer on which you can upload or record a clip and see its prediction.",
    )
    add_model_argument(demo)
    demo.add_argument("--port", type=_port, default=7860, help="port of the page on this computer (default: 7860)")
    demo.add_argument("--open", action="store_true", help="also open the page in a browser")
    demo.set_defaults(run=_demo)


def _port(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"expected a port from 1 to 65535. Received: {text}.")
    return int(text)


def _export(options: argparse.Namespace) -> int:
    from keras_ser.training.run import Run

    runs = [Run.find(folder) for folder in expanded(options.run_folders)]

    from keras_ser.serving import ExportError, export, read_facts
    from keras_ser.serving.export_checks import LOOSE, own_and_other

    try:
        folder = export(runs, options.out, options.name, options.max_seconds)
    except ExportError as error:
        print(f"keras-ser: export refused: {error}", file=sys.stderr)
        return 1
    facts = read_facts(folder)
    own, other = own_and_other(facts["parity"])
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(folder)
    rate = facts["sample_rate"]
    print(
        f"{size / 1e6:.1f} MB; largest difference from Keras {own:.1g}; from soxr's resampling at other rates {other:.1g} "
        f"({len(facts['parity'])} comparisons)",
        file=sys.stderr,
    )
    if other > LOOSE:
        print(
            f"Caution: this network amplifies small differences of waveforms: send clips at {rate} Hz, or predictions for clips "
            f"at other rates may differ from those of keras-ser predict by up to {other:.1g}, as measured on short clips.",
            file=sys.stderr,
        )
    return 0


def _explain(options: argparse.Namespace) -> int:
    if options.plot and Path(options.plot).suffix.lower() not in PICTURES:
        raise UserError(f"--plot takes a name that ends in {', '.join(PICTURES)}. Received: {options.plot}.")
    from keras_ser.serving.explanation import explain
    from keras_ser.training.run import Run

    made = explain(Run.load(Run.find(options.run_folder)), Path(options.file))
    print(
        json.dumps(made.to_dict(), ensure_ascii=False)
        if options.format == "json"
        else "\n".join(made.lines(options.top))
    )
    if options.plot:
        from keras_ser.files import write_figure

        Path(options.plot).parent.mkdir(parents=True, exist_ok=True)
        write_figure(Path(options.plot), made.figure(options.top))
    return 0


def _demo(options: argparse.Namespace) -> int:
    from keras_ser.serving import Predictor
    from keras_ser.serving.demo_page import serve

    serve(Predictor.load(options.model), port=options.port, open_browser=options.open)
    return 0
