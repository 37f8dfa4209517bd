"""Rows of parquet and arrow files through pyarrow: data only, a batch of rows in memory at a time."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.files.source import MAX_LINE_BYTES, Source, elsewhere
from pipeline.records import InputError

NOT_TEXT = object()
"""A cell that is neither text nor of another type that was requested."""
_BATCH_ROWS = 1_024
_MAX_ROW_GROUP_BYTES = 2_000_000_000
"""Uncompressed size above which a row group is refused: a small file can unpack to any size."""


def parquet_columns(source: Source) -> list[str]:
    """Names of the columns whatever their type; raises InputError when the file cannot be read."""
    with _opened(source) as file:
        return list(file.schema_arrow.names)


def parquet_records(
    source: Source, columns: Sequence[str], *, numbers: Collection[str] = (), lists: Collection[str] = ()
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (row number from 1, cells) of every row.

    Strings come as bytes: one that is not valid UTF-8 then costs only its own row. Numbers are kept in the columns
    named in `numbers` and lists in those named in `lists`; any other cell that is not text becomes NOT_TEXT.
    """
    with _opened(source) as file:
        batches = file.iter_batches(batch_size=_BATCH_ROWS, columns=list(columns))
        yield from _records(source, batches, columns, numbers, lists)


def arrow_columns(source: Source) -> list[str]:
    """Names of the columns of an arrow stream, as `datasets` saves them; InputError when it cannot be read."""
    with _stream(source) as reader:
        return list(reader.schema.names)


def arrow_records(
    source: Source, columns: Sequence[str], *, numbers: Collection[str] = (), lists: Collection[str] = ()
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows of an arrow stream as `parquet_records` does those of a parquet file."""
    with _stream(source) as reader:
        yield from _records(source, iter(reader), columns, numbers, lists)


def _records(
    source: Source, batches: Iterator[Any], columns: Sequence[str], numbers: Collection[str], lists: Collection[str]
) -> Iterator[tuple[int, dict[str, Any]]]:
    place = 0
    try:
        for batch in batches:
            values = [
                _undecoded(batch.column(name), keep_numbers=name in numbers, keep_lists=name in lists)
                for name in columns
            ]
            for cells in zip(*values, strict=True):
                place += 1
                yield place, dict(zip(columns, cells, strict=True))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{source.name} is damaged (row {place + 1}); export it again.") from error


def _undecoded(column: "pa.Array", *, keep_numbers: bool, keep_lists: bool) -> list[Any]:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_string_view(kind):
        return _cut(column.cast(pa.binary())).to_pylist()
    if pa.types.is_large_string(kind):
        return _cut(column.cast(pa.large_binary())).to_pylist()
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):  # how some writers store text
        return _cut(column).to_pylist()
    if keep_numbers and (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return column.to_pylist()
    if keep_numbers and pa.types.is_decimal(kind):
        return column.cast(pa.float64()).to_pylist()
    if pa.types.is_struct(kind):  # the outcomes of generation; never a text
        return column.to_pylist()
    if keep_lists and (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        return column.to_pylist()
    return [NOT_TEXT if is_valid else None for is_valid in column.is_valid().to_pylist()]


def _cut(column: "pa.Array") -> "pa.Array":
    """Shorten cells that are too long anyhow to a length that is still too long; only then is anything copied."""
    longest = pc.max(pc.binary_length(column)).as_py() or 0
    return column if longest <= MAX_LINE_BYTES else pc.binary_slice(column, 0, MAX_LINE_BYTES + 1)


def _opened(source: Source) -> Any:
    import pyarrow.parquet as pq

    source.open().close()  # reports a missing file in its own words
    content: Any = pa.BufferReader(source.content) if isinstance(source.content, bytes) else source.content
    if isinstance(content, Path) and elsewhere(content):
        content = source.open()  # seeks to the row groups that are read
    try:
        file = pq.ParquetFile(content, pre_buffer=False)  # else it reads all row groups ahead
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{source.name} is not a readable parquet file; export it again or use csv.") from error
    if not file.metadata.num_rows:
        raise InputError(f"{source.name} is empty; choose a file with at least one row.")
    groups = range(file.metadata.num_row_groups)
    if any(file.metadata.row_group(group).total_byte_size > _MAX_ROW_GROUP_BYTES for group in groups):
        raise InputError(f"{source.name} unpacks to more than 2 GB per row group; write it in smaller row groups.")
    return file


def _stream(source: Source) -> Any:
    source.open().close()
    if isinstance(source.content, bytes) or elsewhere(source.content):
        content: Any = source.open()
    else:
        content = pa.memory_map(str(source.content))
    try:
        return pa.ipc.open_stream(content)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{source.name} is not a readable arrow stream; save it as parquet.") from error


_ENDINGS = (".parquet", ".arrow", ".jsonl", ".csv", ".tsv")
"""In order of preference: a folder that holds the same rows in two formats is read once."""
_TRAINING = "train"


def is_folder(path: Path) -> bool:
    """Whether this path, here or in object storage, is a folder."""
    if there := elsewhere(path):
        return bool(there[0].isdir(there[1]))
    return path.is_dir()


def data_files(folder: Path) -> list[Path]:
    """Return the data files of a datasets folder, in order of their names; InputError when there is none.

    Both layouts are read: that of a dataset repository (data/train-00000-of-00001.parquet, train.csv, ...) and that
    of `save_to_disk` (data-00000-of-00001.arrow). Where files or folders are named after splits, only the training
    split is read. Hidden files, caches, and links that lead out of the folder are skipped.
    """
    if there := elsewhere(folder):
        system, inside = there
        every = [Path(system.unstrip_protocol(path)) for path in sorted(system.find(inside))]
        found, folder = [path for path in every if _is_data(path)], Path(system.unstrip_protocol(inside))
    else:
        root = folder.resolve()
        found = [path for path in sorted(folder.rglob("*")) if _holds_rows(path, root)]
    ending = next((ending for ending in _ENDINGS if any(path.suffix == ending for path in found)), None)
    if ending is None:
        raise InputError(
            f"{folder.name} holds no data file; a datasets folder has one of {', '.join(_ENDINGS)} in it."
        )
    chosen = [path for path in found if path.suffix == ending]
    training = [path for path in chosen if _is_training(path.relative_to(folder))]
    return training or chosen


def _holds_rows(path: Path, root: Path) -> bool:
    return _is_data(path) and path.is_file() and path.resolve().is_relative_to(root)


def _is_data(path: Path) -> bool:
    return path.suffix in _ENDINGS and not path.name.startswith((".", "cache-"))


def _is_training(path: Path) -> bool:
    return any(part == _TRAINING or part.startswith((f"{_TRAINING}-", f"{_TRAINING}.")) for part in path.parts)
