"""One recipe out of many: a search by KerasTuner, judged on validation sides and nothing else.

`search` is imported from `keras_ser.tuning.search`: KerasTuner imports TensorFlow, and a space should be refused before that.
"""

from keras_ser.tuning.space import Choice, Range, check_space, default_space, parse, search_folder

__all__ = ["Choice", "Range", "check_space", "default_space", "parse", "search_folder"]
