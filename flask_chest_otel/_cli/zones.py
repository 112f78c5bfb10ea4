"""The zone of this machine, as an object that knows which offset each time has."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone, tzinfo

__all__ = ["LocalZone"]


class LocalZone(tzinfo):
    """What the operating system says; ``datetime.astimezone`` has only the offset of one moment."""

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        """How far local time is ahead of UTC at a local time."""
        return None if moment is None else moment.replace(tzinfo=None).astimezone().utcoffset()

    def dst(self, _moment: datetime | None) -> timedelta | None:
        """Not known."""
        return None

    def tzname(self, moment: datetime | None) -> str | None:
        """The zone's name at a local time."""
        return None if moment is None else moment.replace(tzinfo=None).astimezone().tzname()

    def fromutc(self, moment: datetime) -> datetime:
        """The local time of a time in UTC."""
        local = moment.replace(tzinfo=timezone.utc).astimezone()
        found = local.replace(tzinfo=self)
        # An hour that comes twice, when clocks are put back: this is its second time.
        return found if found.utcoffset() == local.utcoffset() else found.replace(fold=1)
