"""Why a procedure failed, as far as the walls have to do with it. Runs in the child: a claim.

Libraries wrap what the kernel answered in errors of their own; the chain behind an exception still
holds it. Nothing about a stranger's exception is called, only what every exception is made of.
"""

import errno
import re
from collections.abc import Iterator

MEMORY, REFUSED, FULL, OTHER = "memory", "refused", "full", "other"
_LONGEST_CHAIN, _MOST_CHARACTERS = 20, 20_000
_REFUSED = frozenset({errno.EPERM, errno.EACCES, errno.EROFS})
_FULL = frozenset({errno.ENOSPC, errno.EFBIG, errno.EDQUOT})
# What C++ libraries say, who do not raise MemoryError: torch, onnxruntime, the standard library.
_NO_MEMORY = re.compile(
    r"can't allocate memory|failed to allocate memory|unable to allocate|cannot allocate memory"
    r"|bad[ _]alloc|out of memory",
    re.IGNORECASE,
)


# By the base classes' own slots: a stranger's subclass may have put code behind these names.
_CAUSE, _CONTEXT, _ARGUMENTS = (
    vars(BaseException)[name] for name in ("__cause__", "__context__", "args")
)
_NUMBER = vars(OSError)["errno"]


def reason_of(error: BaseException) -> str:
    """Returns ``memory``, ``refused``, ``full`` or ``other``."""
    chain = list(_chain(error))
    if any(_is_a(MemoryError, link) or _NO_MEMORY.search(_words(link)) for link in chain):
        return MEMORY
    told = [_NUMBER.__get__(link) for link in chain if _is_a(OSError, link)]
    numbers = {number for number in told if type(number) is int}
    if numbers & _FULL:
        return FULL
    return REFUSED if numbers & _REFUSED else OTHER


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(_LONGEST_CHAIN):
        if error is None:
            return
        yield error
        cause = _CAUSE.__get__(error)
        error = _CONTEXT.__get__(error) if cause is None else cause


def _is_a(kind: type[BaseException], error: BaseException) -> bool:
    return issubclass(type(error), kind)  # isinstance asks the object's own __class__


def _words(error: BaseException) -> str:
    told = (part for part in _ARGUMENTS.__get__(error) if type(part) is str)
    return " ".join(part[:_MOST_CHARACTERS] for part in told)
