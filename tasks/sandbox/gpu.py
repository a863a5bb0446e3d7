"""The one NVIDIA GPU that a child may use, when the profile says so: nodes, facts, libraries.

Off unless asked for. Chosen by what the worker was given (``CUDA_VISIBLE_DEVICES``), named to the
child by its UUID, because numbers count what a process can see and the child sees only one.
Source: NVIDIA driver README, chapter "Device nodes"; CUDA programming guide, "Environment
variables".
"""

import os
import re
from pathlib import Path
from typing import NamedTuple

LOW_PRECISION = "PROOFHOUSE_CHILD_BFLOAT16"
_SHARED_NODES = ("nvidiactl", "nvidia-uvm")
"""What CUDA needs beside the GPU's own node. Not nvidia-modeset, nvidia-uvm-tools, nor caps."""
_LIBRARIES = ("/usr/local/nvidia/lib64", "/usr/local/nvidia/lib", "/usr/lib/wsl/lib")
"""Where container runtimes put the driver's libraries; elsewhere they lie in system folders."""
_FACTS = ("driver/nvidia", "devices", "modules", "version")
_FIELD = re.compile(r"^(GPU UUID|Device Minor):\s*(\S+)", re.MULTILINE)


class Gpu(NamedTuple):
    """What a child is given of one GPU."""

    uuid: str
    nodes: tuple[str, ...]  # readable, writable, and their driver may be called
    mounted: tuple[str, ...]  # folders of libraries, readable
    facts: tuple[str, ...]  # below /proc, readable
    bfloat16: bool = False  # gradient attacks look in low precision

    @property
    def environment(self) -> dict[str, str]:
        """Returns the variables that CUDA in the child goes by."""
        found = {"CUDA_VISIBLE_DEVICES": self.uuid, "CUDA_CACHE_DISABLE": "1"}
        found |= {LOW_PRECISION: "1"} if self.bfloat16 else {}
        return found | ({"LD_LIBRARY_PATH": ":".join(self.mounted)} if self.mounted else {})

    @property
    def note(self) -> str:
        """Returns what the evidence says about the walls that are lower for it."""
        return (
            f"gpu: children use {', '.join(self.nodes)} (the driver's calls reach the kernel); "
            "the address space is not limited, private memory and resident memory are"
        )


def find_gpu(
    visible: str | None, *, dev: Path = Path("/dev"), proc: Path = Path("/proc")
) -> tuple[Gpu | None, str]:
    """Returns the GPU that this worker was given, or None and why there is none to pass on.

    Args:
        visible: ``CUDA_VISIBLE_DEVICES`` of the worker; its first entry counts. None: the first.
        dev: Where device nodes lie.
        proc: Where the driver describes its GPUs.
    """
    cards = _cards(proc)
    if not cards:
        return None, f"there is no NVIDIA driver here ({proc}/driver/nvidia/gpus is empty)"
    wish = "0" if visible is None else visible.split(",")[0].strip()
    chosen = _chosen(wish, cards)
    if chosen is None:
        return None, f"CUDA_VISIBLE_DEVICES begins with {wish!r}, which names none of its GPUs"
    uuid, minor = chosen
    nodes = tuple(str(dev / name) for name in (f"nvidia{minor}", *_SHARED_NODES))
    if closed := [node for node in nodes if not os.access(node, os.R_OK | os.W_OK)]:
        return None, f"{', '.join(closed)} cannot be opened for reading and writing"
    facts = (str(proc / name) for name in _FACTS)
    return Gpu(
        uuid=uuid,
        nodes=nodes,
        mounted=tuple(filter(os.path.isdir, _LIBRARIES)),
        facts=tuple(filter(os.path.exists, facts)),
    ), ""


def _cards(proc: Path) -> list[tuple[str, int]]:
    """Returns UUID and minor number of each GPU, in the order of their places on the bus."""
    found = []
    for file in sorted((proc / "driver" / "nvidia" / "gpus").glob("*/information")):
        try:
            text = file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        fields = dict(_FIELD.findall(text))
        if fields.get("Device Minor", "").isdigit() and "GPU UUID" in fields:
            found.append((fields["GPU UUID"], int(fields["Device Minor"])))
    return found


def _chosen(wish: str, cards: list[tuple[str, int]]) -> tuple[str, int] | None:
    if wish.isdigit():
        return cards[int(wish)] if int(wish) < len(cards) else None
    named = [card for card in cards if len(wish) > len("GPU-") and card[0].startswith(wish)]
    return named[0] if len(named) == 1 else None
