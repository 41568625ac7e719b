"""An experiment: one recipe over its protocols, folds and seeds, skipping what is finished, ending in one report.

    saved_models/<recipe>-<hash>/<protocol>/fold-00-seed-0/    a run (see keras_ser.training), with its predictions.csv
    saved_models/<recipe>-<hash>/                              recipe.json, experiment.json, predictions.csv, report.md, ..

Several processes may work on one experiment, each with protocols, folds and seeds of its own: each run is locked while it trains,
a process that finds a run locked goes on with the next, and the last report is of all that was asked for. A run that fails leaves
failed.json in its folder and does not end the experiment; the report says which failed and why, and the next call tries them again.

The names of __init__.pyi are imported where they are first used, so that importing the package costs nothing.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
