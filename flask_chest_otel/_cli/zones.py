"""The time zone of this machine as a ``tzinfo`` that has the right offset for each time."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone, tzinfo

__all__ = ["LocalZone"]


class LocalZone(tzinfo):
    """The zone as the operating system has it; ``datetime.astimezone()`` returns a fixed offset."""

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        """Return how far local time is ahead of UTC at a local time."""
        return None if moment is None else moment.replace(tzinfo=None).astimezone().utcoffset()

    def dst(self, _moment: datetime | None) -> timedelta | None:
        """Return ``None``: the operating system does not say."""
        return None

    def tzname(self, moment: datetime | None) -> str | None:
        """Return the zone's name at a local time."""
        return None if moment is None else moment.replace(tzinfo=None).astimezone().tzname()

    def fromutc(self, moment: datetime) -> datetime:
        """Convert a time in UTC to local time."""
        local = moment.replace(tzinfo=timezone.utc).astimezone()
        found = local.replace(tzinfo=self)
        # When clocks are put back, one hour comes twice; a differing offset means its second time.
        return found if found.utcoffset() == local.utcoffset() else found.replace(fold=1)
