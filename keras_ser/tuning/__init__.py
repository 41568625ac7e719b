"""Search a recipe's hyperparameters by KerasTuner, on validation sides only.

Import `search` from `keras_ser.tuning.tuner`: KerasTuner imports TensorFlow, and a space can be checked without it.
"""

from keras_ser.tuning.space import Choice, Range, check_space, default_space, parse, search_folder

__all__ = ["Choice", "Range", "check_space", "default_space", "parse", "search_folder"]
