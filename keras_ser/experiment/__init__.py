"""An experiment: train and test one recipe over its protocols, folds and seeds, skip finished runs, and write one report.

    saved_models/<recipe>-<hash>/<protocol>/fold-00-seed-0/    a run (see keras_ser.training), with its predictions.csv
    saved_models/<recipe>-<hash>/                              recipe.json, experiment.json, predictions.csv, report.md, ..

Several processes may work on one experiment, each with its own protocols, folds and seeds: a run is locked while it trains, a
process skips locked runs, and the last report covers all requested runs. A run that fails leaves failed.json in its folder and
does not end the experiment; the report says which runs failed and why, and the next call tries them again.

The names of __init__.pyi are imported on first use, so that importing the package is cheap.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
