from ._version import __version__ as __version__
from .api import Experiment as Experiment
from .api import load as load
from .api import run as run
from .corpora import Corpus as Corpus
from .corpora import CorpusError as CorpusError
from .corpora import Utterance as Utterance
from .corpora import read_corpus as read_corpus
from .errors import UserError as UserError
from .experiment import evaluate as evaluate
from .pipelines.augmentation import Augment as Augment
from .pipelines.augmentation import Windows as Windows
from .recipe import Recipe as Recipe
from .serving import Predictor as Predictor
from .serving import export as export
from .settings import (
    FrontendConfig as FrontendConfig,
)
from .settings import (
    OptimizerConfig as OptimizerConfig,
)
from .settings import (
    Sampling as Sampling,
)
from .settings import (
    Stream as Stream,
)
from .splits import LeakageError as LeakageError
from .splits import Protocol as Protocol
from .splits import Split as Split
from .splits import check_split as check_split
from .tasks import Task as Task
from .training import Run as Run
