"""Which recordings clips are cut or copied from, in names that are comparable across corpora and runs."""

import functools
import hashlib
import os
from collections import defaultdict

from keras_ser.corpora.corpus import Corpus
from keras_ser.corpora.spelling import comparable
from keras_ser.tasks import identity


def places(corpus: Corpus) -> set[str]:
    """Return the origins that name a file of the corpus, or the clip of a window: they mean it, not any recording so called."""
    ends, origins = _ends(corpus), {(u.id, u.groups["origin"]) for u in corpus if "origin" in u.groups}
    return {origin for i, origin in origins if origin in ends or i.startswith(f"{origin}@")}


def _ends(corpus: Corpus) -> dict[str, str | None]:
    """Return end of a path -> the path of the only file that has it, or None."""
    found: dict[str, str | None] = {}
    for path in {u.path for u in corpus}:
        names = path.split("/")
        for start in range(len(names)):
            end = "/".join(names[start:])
            found[end] = None if end in found else path
    return found


def file_of(corpus: Corpus, path: str) -> str:
    """Return the whole path of a file of a corpus, without symbolic links."""
    return _without_links(os.path.join(corpus.root, path))


# also without a link that the file itself is, as git-annex, DVC and Hugging Face's cache store it
_without_links = functools.lru_cache(maxsize=1 << 17)(os.path.realpath)


def recording_names(corpus: Corpus) -> dict[str, set[str]]:
    """Return id -> the recordings that a clip is of: its origin ("corpus/origin"), and digests of its files' paths.

    The files are its own and the one that its origin names (`places`). Cuts of a file that name several origins are of these
    recordings, and not of one that the file would be.
    """
    given = {u.id: u.groups["origin"] for u in corpus if "origin" in u.groups}
    meant, ends = (places(corpus), _ends(corpus)) if given else (set(), {})
    files, origins = {u.path: file_of(corpus, u.path) for u in corpus}, defaultdict(set)
    for u in corpus:
        origins[files[u.path]].add(given.get(u.id) if given.get(u.id) not in meant else None)
    digests = {path: {_digest(file)} if len(origins[file]) == 1 else set() for path, file in files.items()}
    found = {}
    for u in corpus:
        origin = given.get(u.id)
        if origin is None or origin in meant:
            found[u.id] = digests[u.path] | digests.get(ends.get(origin), set())
        else:
            found[u.id] = digests[u.path] | {comparable(identity(origin, corpus.name))}
    return found


@functools.lru_cache(maxsize=1 << 17)
def _digest(path: str) -> str:
    return hashlib.blake2b(os.fsencode(path), digest_size=8).hexdigest()
