"""One run per process, for batch systems: the command `jobs`, and `train --job`."""

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from keras_ser.cli.recipes import choose, recipes_for
from keras_ser.cli.training import add_training_arguments, folds_asked, read
from keras_ser.errors import UserError
from keras_ser.experiment.preparing import begun

TAKEN = 75  # EX_TEMPFAIL: not done, and worth trying again


def add_jobs(commands) -> None:
    """Add the command `jobs` to the parser."""
    jobs = commands.add_parser(
        "jobs",
        help="list the runs of a recipe, for batch systems",
        description="Print the state and the name of each run. To train a run, use `keras-ser train RECIPE --job NAME` with the "
        "same options. Each run writes to its own folder, and finished runs are never repeated. When all runs are finished, "
        "`keras-ser train` without --job writes the report.",
    )
    jobs.add_argument("recipe", help="recipe file (.py), recipe.json, or folder of a run or experiment")
    add_training_arguments(jobs, jobs=False)
    states = ["open", "finished", "failed"]
    jobs.add_argument("--state", choices=states, help="list only the names of runs in this state")
    jobs.set_defaults(run=_jobs)


def _jobs(options: argparse.Namespace) -> int:
    recipes, demo = recipes_for(options)
    recipe = begun(choose(recipes, options, demo), options.init_from)
    chosen, corpus, *_ = read({recipe.name: recipe}, options)

    from keras_ser.experiment import experiment_folder
    from keras_ser.experiment.failures import failure
    from keras_ser.experiment.planning import job_names
    from keras_ser.experiment.stored import PREDICTIONS
    from keras_ser.training.run import check_whole, model_file

    (recipe,) = chosen.values()
    folder = experiment_folder(recipe, options.out)
    if len(recipes) > 1 and not options.quiet:
        print(f"runs of {recipe.name}; --variant lists those of another: {', '.join(recipes)}", file=sys.stderr)
    for job in job_names(recipe, corpus, folds_asked(options)):
        # a model alone is of a run that was killed before it was tested
        tested = (folder / job / PREDICTIONS).exists()
        state = "finished" if tested else "failed" if failure(folder / job) else "open"
        if model_file(folder / job):
            check_whole(folder / job)
        if state in (options.state or state):
            print(job if options.state else f"{state:9} {job}")
    return 0


def train_one(asked: str, recipes, data, folders, folds, several: bool, given: Mapping[str, Any], progress) -> int:
    """Train the run given by --job; return the exit code, `TAKEN` if another process is training it."""
    from keras_ser.experiment import runner
    from keras_ser.experiment.planning import job_names
    from keras_ser.experiment.stored import PREDICTIONS

    every = {
        job_id(name, job, several): (name, job)
        for name, r in recipes.items()
        for job in job_names(r, data.corpus, folds)
    }
    asked = list(every)[int(asked)] if asked.isdecimal() and int(asked) < len(every) else asked
    if several and asked not in every:  # `keras-ser jobs` lists the runs of one system, without its name
        alike = [each for each, (_, job) in every.items() if job == asked]
        asked = alike[0] if len(alike) == 1 else asked
    if asked not in every:
        examples = ", ".join([*list(every)[:3], *([".."] if len(every) > 3 else [])])
        raise UserError(
            f"--job takes a name listed by `keras-ser jobs`, or its number, 0 to {len(every) - 1}: {examples}. "
            f"Received: {asked!r}."
        )
    name, job = every[asked]
    folder, taken = folders[name] / job, []
    given = {**given, "on_failure": progress.failure, "on_taken": taken.append, "wait": runner.LAST_BREATH}
    runner.train_experiment(recipes[name], data, folders[name], only=(job,), **given)
    if progress.failures:
        return 1
    if taken and not (folder / PREDICTIONS).exists():
        progress.say(f"another process is training {asked}, which is left to it (exit code {TAKEN}).", always=True)
        return TAKEN
    print(folder)
    return 0


def job_id(system: str, job: str, several: bool) -> str:
    """Return the name of a run in `keras-ser jobs`: its folder, prefixed by the system's name if there are several."""
    return f"{system}/{job}" if several else job
