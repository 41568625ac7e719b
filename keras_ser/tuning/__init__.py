"""Search a recipe's hyperparameters with KerasTuner, on validation sets only.

Import `search` from `keras_ser.tuning.tuner`: it imports KerasTuner and thus TensorFlow, which checking a space does not need.
"""

from keras_ser.tuning.space import Choice, Range, check_space, default_space, parse, search_folder

__all__ = ["Choice", "Range", "check_space", "default_space", "parse", "search_folder"]
