"""Who trains, who chooses the model, who tests it: a `Protocol` makes the `Split`s of a corpus, `check_split` refuses leaks.

Conventions of this package: a split is made of utterance ids; `apart` names the columns whose values never stand on two sides
(of train, validation, test; a validation side drawn from the training clips stands apart from the test side only). Two more
things are always kept on one side when they are known: clips with the same audio
content (their hashes) and clips of one "origin" (cut or copied from one recording). All of it holds for the auxiliary corpora of a
recipe, too: nobody who is tested may speak in one of them.
"""

from keras_ser.splits.matching import distributions
from keras_ser.splits.protocol import RANDOM, Protocol
from keras_ser.splits.split import SIDES, LeakageError, Split, check_split

__all__ = ["RANDOM", "SIDES", "LeakageError", "Protocol", "Split", "check_split", "distributions"]
