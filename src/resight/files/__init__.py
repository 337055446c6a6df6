"""What crosses the disk: whole outputs, tables, JSON; ordered work in threads; words near a typo."""

from resight.files.budget import shown
from resight.files.digest import sha256_of
from resight.files.foreign import reading, reason_of
from resight.files.json import JSON, from_json, parse_json, read_json, to_json
from resight.files.located import (
    Stamp,
    exists,
    is_address,
    is_below,
    is_empty,
    is_file,
    is_folder,
    refusal,
    spelled,
    stamp_of,
)
from resight.files.names import name_key, on_disk, typed_path, typed_paths, why_no_name
from resight.files.nearest import did_you_mean, nearest
from resight.files.objects import (
    ObjectChanged,
    ObjectPath,
    ObjectStatus,
    StoreRefused,
    object_path,
    with_both_slashes,
)
from resight.files.own import other_than_own, others_below
from resight.files.progress import Progress, silent
from resight.files.tables import Row, read_rows
from resight.files.threads import available_cpus, in_threads
from resight.files.whole import filled_folder, whole_file, whole_files, whole_folder, write_whole

__all__ = [
    "JSON",
    "ObjectChanged",
    "ObjectPath",
    "ObjectStatus",
    "Progress",
    "Row",
    "Stamp",
    "StoreRefused",
    "available_cpus",
    "did_you_mean",
    "exists",
    "filled_folder",
    "from_json",
    "in_threads",
    "is_address",
    "is_below",
    "is_empty",
    "is_file",
    "is_folder",
    "name_key",
    "nearest",
    "object_path",
    "on_disk",
    "other_than_own",
    "others_below",
    "parse_json",
    "read_json",
    "read_rows",
    "reading",
    "reason_of",
    "refusal",
    "sha256_of",
    "shown",
    "silent",
    "spelled",
    "stamp_of",
    "to_json",
    "typed_path",
    "typed_paths",
    "whole_file",
    "whole_files",
    "whole_folder",
    "why_no_name",
    "with_both_slashes",
    "write_whole",
]
