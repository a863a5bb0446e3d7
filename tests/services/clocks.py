"""Clocks that tests set while real processes run: what they read from the machine is moved.

Only the clock on the wall is moved; what counts time (CLOCK_MONOTONIC, CLOCK_BOOTTIME) goes on, as
it does where somebody sets a clock. libfaketime breaks the sleep of Python 3.11.
"""

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

# The seconds to add lie in a file that every such process maps.
_SOURCE = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile long *added;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("MOVED_CLOCK");
    int file = path ? open(path, O_RDONLY) : -1;
    if (file < 0) return;
    void *page = mmap(NULL, sizeof(long), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (page != MAP_FAILED) added = page;
}

int clock_gettime(clockid_t id, struct timespec *told) {
    int failed = syscall(SYS_clock_gettime, id, told);
    if (!failed && added && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
        told->tv_sec += *added;
    return failed;
}

int gettimeofday(struct timeval *told, void *zone) {
    struct timespec now;
    int failed = clock_gettime(CLOCK_REALTIME, &now);
    told->tv_sec = now.tv_sec;
    told->tv_usec = now.tv_nsec / 1000;
    return failed;
}

time_t time(time_t *told) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (told) *told = now.tv_sec;
    return now.tv_sec;
}
"""


class MovedClock:
    """The clock of every process that gets :attr:`environment`."""

    def __init__(self, folder: Path, library: Path) -> None:
        self._file = folder / "seconds"
        self._file.write_bytes(struct.pack("q", 0))
        self.environment = {"LD_PRELOAD": str(library), "MOVED_CLOCK": str(self._file)}

    def move(self, seconds: int) -> None:
        """Moves it to so many seconds from now, in all of them and at once."""
        with self._file.open("r+b") as file:
            file.write(struct.pack("q", seconds))


def build_library(folder: Path) -> Path:
    """Compiles what moves clocks; skips where there is no compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler, which moves the clocks: apt-get install gcc libc6-dev")
    source, library = folder / "moved.c", folder / "moved.so"
    source.write_text(_SOURCE)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    return library
