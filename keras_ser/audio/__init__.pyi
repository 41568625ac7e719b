from .arrays import from_array as from_array
from .channels import CANCELLING as CANCELLING
from .channels import CONSTANT_OFFSET as CONSTANT_OFFSET
from .channels import SILENT_CHANNELS as SILENT_CHANNELS
from .find import find_audio as find_audio
from .header import AudioError as AudioError
from .header import Info as Info
from .io import (
    blocks as blocks,
)
from .io import (
    info as info,
)
from .io import (
    mixing_of as mixing_of,
)
from .io import (
    read as read,
)
from .io import (
    read_channels as read_channels,
)
from .io import (
    read_with_problems as read_with_problems,
)
from .waveforms import content_hash as content_hash
from .waveforms import pad as pad
from .waveforms import problems as problems
