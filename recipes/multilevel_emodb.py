"""Multilevel on EmoDB: MFCC and spectrogram levels with the paper's additions; 535 clips, 10 speakers, 7 emotions.

    python recipes/multilevel_emodb.py --corpus-root EMODB --systems ser,mf,mf-mtl-cr
    .. --wav2vec2 CHECKPOINT --alexnet FILE                                  the paper's pretrained parts, and its first row
    .. --variant levels                                                      single levels
    .. --variant leaky                                                       the test speaker selects the epoch; curves
    .. --variant paper                                                       the paper's sizes and optimizer; curves
    .. --corpus manifest --corpus-root CLIPS.csv                             your own corpus

The paper did not use EmoDB. Its optimizer, AdamW at 1e-5, is for pretrained parts: from random weights, "ser" reaches a training
accuracy of 34 % on one fold after four epochs, against 82 % at 1e-4, and 94 % at 3e-4 and at 1e-3. The default is a learning rate
that falls from 3e-4 (for a fine-tuned CHECKPOINT, from 1e-5) to 0 in 15 epochs. The last epoch is kept, and there is no validation
speaker, since the score of a single one varies by ten points from epoch to epoch. The parts are smaller, for use without an
accelerator: LSTM layers of 64 units and an image of 128 x 192. "leaky" selects one of 30 epochs at a constant rate. In "levels",
AlexNet has 30 epochs, and NLinear and DLinear have 40 from 1e-3: 15 epochs from 3e-4 end at 77 % (AlexNet), 53 % and 69 %
(NLinear and DLinear on MFCC) of the last epoch's training clips of one fold.
recipes/multilevel.py describes the systems.
"""

from dataclasses import replace

from aspmtl_emodb import EMOTION
from multilevel import ADAMW, NOTHING, Given, leaky, main, single_levels, systems

from keras_ser.cli.other_corpus import LEAVE_ONE_OUT
from keras_ser.cli.recipe_script import flat
from keras_ser.recipe import OptimizerConfig
from keras_ser.splits import Protocol
from keras_ser.tasks import Task

SMALL = {"units": 64, "image": (128, 192)}
RANDOM_PARTS = {
    "optimizer": OptimizerConfig("adamw", 3e-4, weight_decay=0.01, clip_norm=5.0, schedule="cosine"),
    "batch_size": 16,
    "epochs": 15,
    "patience": 0,
    "seeds": (0,),
}
LINEAR = {"optimizer": replace(RANDOM_PARTS["optimizer"], learning_rate=1e-3), "epochs": 40}
SLOWER = {"alexnet": {"epochs": 30}, "nlinear": LINEAR, "dlinear": LINEAR}
SELECTED = {
    **RANDOM_PARTS,
    "optimizer": replace(RANDOM_PARTS["optimizer"], schedule="constant"),
    "epochs": 30,
    "patience": 8,
    "smoothing": 3,
}


def variants(given: Given, corpus: str = "emodb", emotion: Task = EMOTION, protocol: Protocol = LEAVE_ONE_OUT):
    """Return variant -> system -> recipe."""
    name = f"multilevel_{corpus}"
    fixed, chosen = (corpus, emotion, replace(protocol, validation=0), given), (corpus, emotion, protocol, given)
    return {
        corpus: systems(name, *fixed, config=SMALL, **RANDOM_PARTS),
        "levels": single_levels(f"{name}_levels", *fixed, config=SMALL, slower=SLOWER, **RANDOM_PARTS),
        "leaky": leaky(f"{name}_leaky", *chosen, config=SMALL, **SELECTED),
        "paper": systems(f"{name}_paper", *chosen, optimizer=ADAMW),
    }


RECIPES = flat(variants(NOTHING))

if __name__ == "__main__":
    raise SystemExit(main(variants, __doc__))
