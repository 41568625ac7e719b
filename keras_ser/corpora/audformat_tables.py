"""Read an audformat database (db.yaml and its tables) as the rows of a manifest, with the package `audformat`.

Columns of several tables are joined by file, start and end; values in a table of whole files also apply to segments of these files.
If two tables disagree on a column, it is named "table.column". The split of a table becomes the column `subset`; a gender that a
scheme gives for its labels (speakers) becomes the column `gender`.
"""

from collections import defaultdict
from pathlib import Path
from typing import Any

from keras_ser.checks import listed
from keras_ser.corpora.corpus import CorpusError
from keras_ser.corpora.rows import Table, check_columns, text, texts
from keras_ser.errors import UserError

SPLITS = {"train": "train", "dev": "validation", "test": "test"}
GENDER = ("gender", "sex")


def read_database(folder: Path) -> Table:
    """Read the rows of the database in a folder.

    Raises:
        CorpusError: it cannot be read, or has no table of files.
        UserError: audformat is not installed.
    """
    try:
        import audformat
    except ImportError:
        raise UserError(
            "an audformat database (db.yaml) needs audformat, which is not installed: pip install 'keras_ser[audformat]'."
        ) from None
    try:
        database = audformat.Database.load(str(folder))
        frames = {name: table.df.reset_index() for name, table in database.tables.items()}
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise CorpusError(f"manifest: {folder} cannot be read as an audformat database: {reason}.") from error
    if not frames:
        raise CorpusError(f"manifest: the audformat database {folder} has no table of files.")
    # (file, start, end) -> column -> table -> value; whole files have no start and end
    found: dict[tuple, dict[str, dict[str, str]]] = defaultdict(lambda: defaultdict(dict))
    for name, frame in frames.items():
        split = database.tables[name].split_id
        side = SPLITS.get(str(database.splits[split].type) if split else "", "")
        for row in frame.to_dict("records"):
            key = (row.pop("file"), _seconds(row.pop("start", None)), _seconds(row.pop("end", None)))
            for column, value in row.items():
                if text(value):
                    found[key][column][name] = text(value)
                about = _about(database, database.tables[name].columns[column].scheme_id, value)
                for more, said in about.items():
                    found[key][more][name] = said
            if side:
                found[key]["subset"][name] = side
    segments = [key for key in found if key[1:] != ("", "")]
    cut = {file for file, *_ in segments}
    # a file with segments is these, and its labels as a whole are theirs; another one is an utterance if it is labelled as they are
    labelled = {column for key in segments for column in found[key]} - {"subset"}
    whole = [key for key in found if key[1:] == ("", "") and key[0] not in cut]
    kept = [key for key in whole if labelled & set(found[key])] if segments else whole
    keys = sorted([*segments, *kept])
    left = sorted(file for file, *_ in set(whole) - set(kept))
    notes = (
        (f"files without segments, and without the labels of segments, are left out: {listed(left)}.",) if left else ()
    )
    apart = {column for values in found.values() for column, by in values.items() if len(set(by.values())) > 1}
    rows = []
    for key in keys:
        row = dict(zip(("file", "start", "end"), key, strict=True))
        for values in (found.get((key[0], "", ""), {}), found[key]):
            for column, by in values.items():
                row |= (
                    {f"{t}.{column}": v for t, v in by.items()}
                    if column in apart
                    else {column: next(iter(by.values()))}
                )
        check_columns(row, "db.yaml")
        rows.append(row)
    return Table(folder / "db.yaml", folder, texts(rows), notes)


def _seconds(value: Any) -> str:
    """Convert a pandas.Timedelta to seconds; "" for a missing value."""
    return "" if value is None or value != value else f"{value.total_seconds():.9g}"


def _about(database: Any, scheme: str | None, value: Any) -> dict[str, str]:
    """Return the gender that a scheme gives for one of its labels, as {"gender": ..}; {} if it gives none."""
    labels = database.schemes[scheme].labels if scheme else None
    if isinstance(labels, str):  # a table of the database
        frame = database[labels].df
        about = frame.loc[value].to_dict() if value in frame.index else {}
    else:
        about = labels.get(value) if isinstance(labels, dict) else {}
    about = about if isinstance(about, dict) else {}
    found = [text(about[key]) for key in GENDER if text(about.get(key))]
    return {"gender": found[0]} if found else {}
