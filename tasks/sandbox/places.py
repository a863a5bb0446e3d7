"""What every child may read: the interpreter, the libraries, this project's source."""

import os
import sys
import sysconfig
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

_SYSTEM_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib")
_SYSTEM_FACTS = (
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/usr/share/zoneinfo",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
)
_DEVICES = ("/dev/zero", "/dev/urandom", "/dev/random")
_PROCESS_FACTS = ("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/filesystems")
WRITABLE_DEVICES = ("/dev/null",)


class Places(NamedTuple):
    """Absolute paths on this machine."""

    interpreter: str  # the real binary, not the link inside a virtual environment
    search: tuple[str, ...]  # folders of installed packages
    package: str  # the folder of ``tasks``
    mounted: tuple[str, ...]  # bound into the mount namespace at level L3
    kernel: tuple[str, ...]  # readable as well, but provided by /proc and /dev

    @property
    def readable(self) -> tuple[str, ...]:
        """Everything a child may read beside its inputs."""
        return (*self.mounted, *self.kernel)


@lru_cache
def places() -> Places:
    """Returns the places of the running interpreter (an editable install or a wheel)."""
    # The one a virtual environment was made from: a copied binary needs files we do not mount.
    base: str = getattr(sys, "_base_executable", None) or sys.executable
    interpreter = os.path.realpath(base)
    search = tuple(dict.fromkeys(filter(os.path.isdir, _package_folders())))
    package = str(Path(__file__).resolve().parent.parent)
    wanted = (*_interpreter_files(interpreter), *search, package, *_SYSTEM_FACTS)
    return Places(
        interpreter=interpreter,
        search=search,
        package=package,
        mounted=tuple(dict.fromkeys(filter(os.path.exists, (*_SYSTEM_LIBRARIES, *wanted)))),
        kernel=(*_DEVICES, *_PROCESS_FACTS),
    )


def _package_folders() -> list[str]:
    installed = sysconfig.get_paths()
    named = [p for p in sys.path if Path(p).name in {"site-packages", "dist-packages"}]
    return [installed["purelib"], installed["platlib"], *named]


def _interpreter_files(interpreter: str) -> list[str]:
    prefixes = {sys.base_prefix, sys.base_exec_prefix}
    folders = [f"{prefix}/{name}" for prefix in sorted(prefixes) for name in ("lib", "lib64")]
    return [interpreter, sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), *folders]
