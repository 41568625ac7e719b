"""ASP-MTL on AFEW 6.0 (Liu & Zhang, "Design of Efficient Speech Emotion Recognition Based on Multi Task Learning").

    python recipes/aspmtl_afew.py                              the demo corpus: nothing to download, about a minute on two cores
    python recipes/aspmtl_afew.py --corpus-root AFEW --metadata clips.csv
    python recipes/aspmtl_afew.py --corpus-root AFEW --aux-corpus ravdess --aux-root RAVDESS

Protocols: the paper's random 80/20 (speaker-dependent: actors and films occur on both sides) and the challenge's official Train/Val
with disjoint films; on the demo corpus, the second protocol tests four of twelve speakers instead.

On the demo corpus, the batch size (16), epochs (3 for model 1, which locates the noise, 12 for model 2), dropout (0.2), learning
rate (3e-3, falling to 0), hop (20 ms) and segments (48 frames) are ours, so that the models learn in a minute. On AFEW, they are
the paper's.

AFEW has no speakers, genders or films. Genders are read from --metadata (columns id, gender, and if known speaker, film), or
learned from an auxiliary corpus.

The noises are generated white and pink noise, and babble of training clips. For the paper's factory noise, add --noise-root DIR and
--set 'first.streams.noisy.noises=["white","pink","babble","factory"]'
--set 'first.tasks.noise.labels=["clean","white","pink","babble","factory"]'.

The paper reports an accuracy of 90.13 % and an F1 of 0.92 on its random split, and no score on unseen speakers.
"""

from aspmtl import RANDOM, variants

from keras_ser.cli import recipe_main
from keras_ser.recipe import OptimizerConfig, Recipe
from keras_ser.splits import Protocol
from keras_ser.tasks import Task

EMOTION = Task("emotion", ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"))
PROTOCOLS = (
    RANDOM,
    Protocol("official-train-val", "stated", by="subset", stated=(("Val",),), validation=0.1),
)
PAPER = (
    ("emotion", "accuracy", 0.9013, "Liu & Zhang, table 2 (AFEW 6.0, random 80/20)"),
    ("emotion", "weighted_f1", 0.92, "Liu & Zhang, table 2 (AFEW 6.0, random 80/20)"),
)
DEMO = "demo"
RECIPES = variants("aspmtl_afew", "afew", EMOTION, PROTOCOLS, PAPER, "paper")
UNSEEN = Protocol("unseen-speakers", "stated", by="speaker", stated=(("f09", "f11", "m10", "m12"),), validation=2)
SHORT = {"config.dropout": 0.2, "sampling.frames": 48, "sampling.hop": 48, "sampling.rare_hop": 12}


def demo(name: str, system: str) -> Recipe:
    """Return a system for the demo corpus.

    It has 280 training clips: in the paper's batch of 256 an epoch would be one optimizer step.
    """
    made = variants(
        name,
        "demo",
        EMOTION,
        (RANDOM, UNSEEN),
        default="paper",
        seeds=(0,),
        batch_size=16,
        epochs=12,
        patience=0,
        optimizer=OptimizerConfig("adam", 3e-3, schedule="cosine"),
    )[system]
    # twice the hop and half the frames per segment cost a quarter
    return made.change({"frontend.hop": 320, **SHORT})


RECIPES[DEMO] = demo("aspmtl_demo", "cascade").change(
    {"first.epochs": 3} | {f"first.{key}": x for key, x in SHORT.items()}
)

if __name__ == "__main__":
    raise SystemExit(recipe_main(RECIPES, __doc__, DEMO))
