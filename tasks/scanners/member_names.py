"""Names of archive members and of files that a file refers to: which ones lead outside."""

import re

_DRIVE = re.compile(r"^[A-Za-z]:")


def unsafe_name(name: str) -> str | None:
    """Returns why unpacking a member of this name would be dangerous, or None."""
    parts = name.replace("\\", "/").rstrip("/").split("/")
    if ".." in parts:
        return "climbs out of its folder"
    if name.startswith(("/", "\\")) or _DRIVE.match(name):
        return "is an absolute path"
    if "\\" in name:
        return "holds a backslash"
    if any(ord(c) < 32 or ord(c) == 127 for c in name):
        return "holds control characters"
    if len(name) > 1024 or any(len(part) > 255 for part in parts):
        return "is longer than a file system allows"
    return None
