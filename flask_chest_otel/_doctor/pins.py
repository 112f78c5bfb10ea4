"""Finds packages of OpenTelemetry that do not fit each other.

Each package of a release takes the others of the same release only. Where one is installed later, alone, pip takes the
newest, brings what the newest wants, and leaves the others behind.
"""

from __future__ import annotations

import re
from importlib import metadata
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["misfits"]

_PIN = re.compile(r"(opentelemetry-[\w-]+) ?== ?([\w.]+)")


class _Pin(NamedTuple):
    """A distribution that takes one version of another only."""

    name: str
    version: str
    wants: str
    wanted: str

    @property
    def found(self) -> str:
        """The version that is installed; ``""``: none."""
        try:
            return metadata.version(self.wants)
        except metadata.PackageNotFoundError:
            return ""


def misfits() -> list[str]:
    """Return a sentence where an installed package wants another version of OpenTelemetry's packages than there is."""
    pins = sorted(set(_pins()))
    torn = {pin.wants: pin for pin in pins if pin.found not in ("", pin.wanted)}
    if not torn:
        return []
    wanted = ", ".join(
        f"{pin.name} {pin.version} wants {pin.wants} {pin.wanted}, not {pin.found}" for pin in torn.values()
    )
    # All that pin a disputed package are named: pip then finds versions that fit all of them.
    names = sorted({pin.name for pin in pins if pin.wants in torn})
    return [f"OpenTelemetry's packages do not fit each other ({wanted}): type pip install {' '.join(names)}"]


def _pins() -> Iterator[_Pin]:
    for one in metadata.distributions():
        for requirement in one.requires or ():
            if pin := _PIN.fullmatch(requirement.strip()):
                yield _Pin(one.metadata["Name"], one.version, *pin.groups())
