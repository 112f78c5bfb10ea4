"""What a program's first bytes say it is: its format, and the machine that it is for."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["kind_of", "least_macos"]

ELF = {62: "linux/amd64", 183: "linux/arm64"}
MACH_O = {0x01000007: "darwin/amd64", 0x0100000C: "darwin/arm64"}
PE = {0x8664: "windows/amd64", 0xAA64: "windows/arm64"}

INTERPRETER = 3
"""The part of an ELF program that names the loader of shared libraries: a static one has none."""

BUILD_VERSION = 0x32
"""The command of a Mach-O program that says which macOS it needs."""

ENOUGH = 8192


def kind_of(program: Path) -> str:
    """System and machine in Go's words, such as ``linux/amd64``.

    Raises:
        ValueError: It is none that is known, or it needs shared libraries.
    """
    with program.open("rb") as file:
        head = file.read(ENOUGH)
    found = None
    if head.startswith(b"\x7fELF\x02\x01"):
        found = ELF.get(*struct.unpack_from("<H", head, 18))
        _check_static(head)
    elif head.startswith(b"\xcf\xfa\xed\xfe"):
        found = MACH_O.get(*struct.unpack_from("<I", head, 4))
    elif head.startswith(b"MZ"):
        (start,) = struct.unpack_from("<I", head, 0x3C)
        found = PE.get(*struct.unpack_from("<H", head, start + 4)) if head[start : start + 4] == b"PE\0\0" else None
    if found is None:
        raise ValueError(f"{program} is no program that is known here")
    return found


def _check_static(head: bytes) -> None:
    (start,) = struct.unpack_from("<Q", head, 32)
    size, count = struct.unpack_from("<HH", head, 54)
    if INTERPRETER in (struct.unpack_from("<I", head, start + size * one)[0] for one in range(count)):
        raise ValueError("it needs shared libraries: build it with CGO_ENABLED=0")


def least_macos(program: Path) -> tuple[int, int]:
    """The oldest macOS that a Mach-O program says it runs on."""
    with program.open("rb") as file:
        head = file.read(ENOUGH)
    (commands,) = struct.unpack_from("<I", head, 16)
    place = 32
    for _ in range(commands):
        command, size = struct.unpack_from("<II", head, place)
        if command == BUILD_VERSION:
            (version,) = struct.unpack_from("<I", head, place + 12)
            return version >> 16, version >> 8 & 0xFF
        place += size
    raise ValueError(f"{program} does not say which macOS it needs")
