"""The commands `list` and `new`: list trained experiments, and write a recipe to edit."""

import argparse
import importlib.util
import json
import sys
from pathlib import Path

from keras_ser.errors import UserError


def add(commands) -> None:
    """Add these commands to the parser."""
    shown = commands.add_parser(
        "list",
        help="list experiments with their finished runs and main scores",
        description="Print a row for each experiment in a folder, newest first, with the main task's UAR or CCC, its 95 % "
        "interval, and whether the runs have learned.",
    )
    shown.add_argument(
        "folder", nargs="?", default="saved_models", metavar="DIR", help="folder of experiments (default: saved_models)"
    )
    shown.add_argument("--json", action="store_true", help="print JSON")
    shown.set_defaults(run=_list)

    new = commands.add_parser(
        "new",
        help="write a recipe as a template",
        description="Write NAME.py, a recipe that runs unchanged on the demo corpus, or on your own corpus with --corpus-root.",
    )
    new.add_argument("name", metavar="NAME", help="name of the recipe and of its file")
    new.set_defaults(run=_new)


def _list(options: argparse.Namespace) -> int:
    from keras_ser.evaluation.tables import Table, metric_title
    from keras_ser.experiment.listing import experiments
    from keras_ser.reports.render import terminal

    found = experiments(Path(options.folder))
    if options.json:
        print(json.dumps([_facts(each) for each in found], indent=1, ensure_ascii=False))
        return 0
    if not found:
        print(f"no experiments in {options.folder}", file=sys.stderr)
    rows = []
    for each in found:
        done = f"{each.finished} of {each.runs or '?'} runs" + (f" + {each.final} final" if each.final else "")
        done += f", report of {each.reported}" if each.old else ""
        score = (
            "" if each.score is None else f"{metric_title(each.metric).split()[0]} {each.score.text()}, {each.protocol}"
        )
        root = Path(each.root).name
        corpus = each.corpus if root in ("", each.corpus) else f"{each.corpus} {root}"
        state, date = "unreadable" if each.fault else done, f"{each.date:%Y-%m-%d %H:%M}"
        rows.append([str(each.folder), corpus, state, score, each.verdict, date])
    if rows:
        columns = ["experiment", "corpus", "finished", "main score", "verdict", "last written"]
        print("\n".join(terminal(Table("", columns, rows, 6))))
    for fault in (each.fault or each.old for each in found):
        if fault:
            print(f"keras-ser: {fault}", file=sys.stderr)
    return 0


def _facts(each) -> dict:
    score = None if each.score is None else each.score.ends()
    return {**vars(each), "folder": str(each.folder), "score": score, "date": each.date.isoformat(timespec="seconds")}


def _new(options: argparse.Namespace) -> int:
    from keras_ser.checks import check_name
    from keras_ser.files import write_text

    name = options.name.removesuffix(".py")
    check_name("a recipe", name)
    check_name("a recipe", f"{name}-demo")  # which the file also defines
    if "." not in name and (name in sys.modules or importlib.util.find_spec(name)):
        raise UserError(f"{name}.py would shadow the Python module {name}. Give another NAME.")
    path = Path(f"{name}.py")
    if path.exists():
        raise UserError(f"{path} already exists and is not overwritten. Give another NAME.")
    write_text(path, TEMPLATE.replace("NAME", name))
    print(path)
    print(f"next: python {path}    (the demo corpus), or python {path} --corpus-root clips.csv", file=sys.stderr)
    return 0


TEMPLATE = '''"""NAME: a recipe to edit.

    python NAME.py                               the demo corpus: synthetic voices, takes a few minutes
    python NAME.py --corpus-root clips.csv       a table with the columns file, speaker, emotion (and gender)
    python NAME.py --corpus-root clips.csv --final      afterwards: one model trained on all clips, for deployment

All fields of a Recipe: help(keras_ser.Recipe).
"""

from keras_ser import Protocol, Recipe, Task
from keras_ser.cli import recipe_main
from keras_ser.models.aspmtl import Config
from keras_ser.pipelines.augmentation import Augment
from keras_ser.recipe import FrontendConfig, OptimizerConfig, Sampling

RECIPE = Recipe(
    name="NAME",
    corpus="manifest",
    # the tasks, main task first; without labels a task uses those of the corpus
    tasks=(Task("emotion"),),
    # the split: five folds, each tested on speakers not seen in training
    protocols=(Protocol("unseen-speakers", "k-fold", by="speaker", folds=5, validation=0),),
    # the input: log-mel spectrograms, a two-second crop of each clip per epoch, randomly stretched and shifted
    frontend=FrontendConfig(features=("log_mel",), bins=64, endpoint=False),
    sampling=Sampling("crop", frames=200, class_weights=True),
    augment=Augment(tempo=0.2, mel_warp_scale=0.06, mel_warp_shift=4.0),
    # the network, and how it is trained
    model="aspmtl",
    config=Config(
        encoder="conv",
        adversary=None,
        layers=0,
        dropout=0.2,
        dense=0,
        label_smoothing=0.1,
        stride=2,
        pool_first=True,
        stem=3,
    ),
    optimizer=OptimizerConfig("adamw", 1.5e-3, weight_decay=0.01, clip_norm=5.0, schedule="cosine", warmup_epochs=1.0),
    batch_size=16,
    epochs=30,
    patience=0,
    seeds=(0,),
)
RECIPES = {"own": RECIPE, "demo": RECIPE.replace(name="NAME-demo", corpus="demo", epochs=8)}
DEMO = "demo"  # the variant that runs without --corpus-root

if __name__ == "__main__":
    raise SystemExit(recipe_main(RECIPES, __doc__, DEMO))
'''
