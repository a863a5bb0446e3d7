"""Zips and tars that mislead, break out or hide something."""

import io
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Iterator

from tests.tasks.scanners.corpus_pickles import EVIL, EVIL4


def archived(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", method) as archive:
        warnings.simplefilter("ignore")
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def torch_like(body: bytes = b"\x80\x02}.", **more: bytes) -> dict[str, bytes]:
    return {"m/data.pkl": body, "m/version": b"3\n", "m/data/0": b"\0" * 64, **more}


def duplicate(first: bytes, second: bytes) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("m/data.pkl", first)
        archive.writestr("m/data.pkl", second)
        archive.writestr("m/version", b"3\n")
    return buffer.getvalue()


def patched(data: bytes, old: bytes, new: bytes, *, last: bool = False) -> bytes:
    at = data.rfind(old) if last else data.find(old)
    assert at >= 0
    assert len(old) == len(new)
    return data[:at] + new + data[at + len(old) :]


def zip_tricks() -> Iterator[tuple[str, bytes]]:
    good = archived(torch_like())
    good_pickle = b"\x80\x02}."
    yield "evil_pkl", archived(torch_like(EVIL))
    yield "evil_other_member", archived({**torch_like(), "m/hidden.bin": EVIL4})
    yield "evil_storage", archived({**torch_like(), "m/data/1": EVIL4})
    yield "elf_storage", archived({**torch_like(), "m/data/1": b"\x7fELF" + b"\0" * 60})
    yield "deflated", archived(torch_like(EVIL), zipfile.ZIP_DEFLATED)
    yield "bz2", archived(torch_like(EVIL), zipfile.ZIP_BZIP2)
    yield "lzma", archived(torch_like(EVIL), zipfile.ZIP_LZMA)
    yield "duplicate_evil_first", duplicate(EVIL, good_pickle)
    yield "duplicate_evil_last", duplicate(good_pickle, EVIL)
    yield "case_twin", archived({**torch_like(), "m/DATA.pkl": EVIL})
    yield "local_name", patched(good, b"m/data.pkl", b"m/evil.pkl")
    yield "central_name", patched(good, b"m/data.pkl", b"m/evil.pkl", last=True)
    yield "prefix", b"MZ" + b"\0" * 62 + good
    yield "pickle_prefix", EVIL + good
    yield "suffix", good + b"junk" * 8
    yield "pickle_suffix", good + EVIL
    yield "text_prefix", b"a plain note\n" + good
    central = good.find(b"PK\x01\x02")
    yield "encrypted_flag", good[: central + 8] + b"\x01\x08" + good[central + 10 :]
    yield "local_method", good[:8] + b"\x08\x00" + good[10:]
    yield "local_crc", good[:14] + b"\1\2\3\4" + good[18:]
    yield "central_crc", good[: central + 16] + b"\1\2\3\4" + good[central + 20 :]
    yield "local_size", good[:18] + b"\x05\0\0\0\x05\0\0\0" + good[26:]
    yield "gap", _with_gap(good, central)
    yield "overlap", _overlapping(good, central)
    yield "truncated", good[:-10]
    yield "no_directory", good[:central]
    yield "comment_zip", with_comment(good, b"x" + archived({"a": b"b"}))
    yield "two_ends", good + good[good.rfind(b"PK\x05\x06") :]
    for label, name in (
        ("slip", "../../evil.txt"),
        ("absolute", "/etc/evil"),
        ("backslash", "..\\evil"),
        ("drive", "C:/evil"),
        ("long", "a" * 300),
    ):
        yield label, archived({**torch_like(), name: b"hello\n"})
    yield (
        "nul_name",
        archived(torch_like(**{"m/nulXname": b"x\n"})).replace(b"nulXname", b"nul\0name"),
    )
    link = zipfile.ZipInfo("m/link")
    link.external_attr = 0o120777 << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(link, "/etc/hostname")
    yield "symlink", buffer.getvalue()
    yield (
        "torchscript_custom_op",
        archived(
            {
                "m/code/__torch__.py": b"def forward(self, x: Tensor) -> Tensor:\n"
                b"  return ops.evil.run(x)\n",
                "m/data.pkl": good_pickle,
                "m/version": b"3\n",
            }
        ),
    )
    yield (
        "torchscript_from_file",
        archived(
            {
                "m/code/__torch__.py": b"def forward(self, x: Tensor) -> Tensor:\n"
                b"  return torch.from_file(x)\n",
                "m/data.pkl": good_pickle,
            }
        ),
    )
    yield (
        "pt2_library",
        archived(
            {
                "m/archive_format": b"pt2",
                "m/data/aotinductor/model/a.so": b"\x7fELF\x02\x01\x01" + b"\0" * 90,
            }
        ),
    )
    yield (
        "pt2_hidden_pickle",
        archived(
            {
                "m/archive_format": b"pt2",
                "m/data/sample_inputs/model.pt": archived(torch_like(EVIL)),
            }
        ),
    )
    yield "empty_zip", archived({})


def _with_gap(good: bytes, central: int) -> bytes:
    out = bytearray(good[:central] + EVIL.ljust(64, b"\0") + good[central:])
    end = out.rfind(b"PK\x05\x06")
    struct.pack_into("<I", out, end + 16, central + 64)
    return bytes(out)


def _overlapping(good: bytes, central: int) -> bytes:
    second = good.find(b"PK\x01\x02", central + 4)
    out = bytearray(good)
    out[second + 42 : second + 46] = out[central + 42 : central + 46]
    return bytes(out)


def with_comment(good: bytes, comment: bytes) -> bytes:
    return good[:-2] + struct.pack("<H", len(comment)) + comment


def nested() -> Iterator[tuple[str, bytes]]:
    yield "zip_in_zip.zip", archived({"inner.zip": archived({"a.pkl": EVIL})})
    yield (
        "deflated.zip",
        archived({"inner.bin": archived({"a": EVIL}, zipfile.ZIP_DEFLATED)}, zipfile.ZIP_DEFLATED),
    )
    data = EVIL
    for _ in range(50):
        data = archived({"a.zip": data})
    yield "fifty.zip", data
    for suffix in ("", "gz", "bz2", "xz"):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode=f"w:{suffix}") as archive:  # type: ignore[call-overload]  # the mode is built
            info = tarfile.TarInfo("model.pkl")
            info.size = len(EVIL)
            archive.addfile(info, io.BytesIO(EVIL))
        yield f"model.tar.{suffix or 'tar'}", buffer.getvalue()
    yield "seven.7z", b"7z\xbc\xaf\x27\x1c\0\4" + b"\0" * 40
    yield "tar_in_zip.zip", archived({"x.tar": tarred("../evil", b"x")})
    yield "slip.tar", tarred("../../evil", b"x")
    yield "absolute.tar", tarred("/etc/evil", b"x")
    for label, kind in (
        ("link", tarfile.SYMTYPE),
        ("hard", tarfile.LNKTYPE),
        ("device", tarfile.CHRTYPE),
        ("pipe", tarfile.FIFOTYPE),
    ):
        yield f"{label}.tar", tarred("a", b"", kind)


def tarred(name: str, data: bytes, kind: bytes = tarfile.REGTYPE) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.type, info.size, info.linkname = kind, len(data), "/etc/hostname"
        archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()
