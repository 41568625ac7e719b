from .data import Data as Data
from .fitting import deterministic as deterministic
from .fitting import fit as fit
from .network import build as build
from .network import optimizer as optimizer
from .predictions import predict as predict
from .run import Run as Run
from .run import RunError as RunError
