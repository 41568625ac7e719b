"""Training, validation and test sets: a `Protocol` makes the `Split`s of a corpus, and `check_split` rejects leaks.

Conventions of this package: a split consists of utterance ids. `apart` names the columns whose values must not occur on two sides
(training, validation, test; a validation set drawn from the training clips is only kept apart from the test set). Clips with the
same audio content (by their hashes) and clips of one "origin" (cut or copied from one recording) are always kept on one side if
these are known. The same rules apply to the auxiliary corpora of a recipe: no test speaker may occur in one of them.
"""

from keras_ser.splits.matching import distributions
from keras_ser.splits.protocol import RANDOM, Protocol
from keras_ser.splits.split import SIDES, LeakageError, Split, check_split

__all__ = ["RANDOM", "SIDES", "LeakageError", "Protocol", "Split", "check_split", "distributions"]
