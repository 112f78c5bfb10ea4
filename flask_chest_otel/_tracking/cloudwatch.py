"""Maps CloudWatch's names of units to UCUM, which OpenTelemetry uses."""

from __future__ import annotations

__all__ = ["UNITS", "ucum"]

_SIZES = {"": "", "Kilo": "k", "Mega": "M", "Giga": "G", "Tera": "T"}

UNITS: dict[str, str] = {
    "Seconds": "s",
    "Microseconds": "us",
    "Milliseconds": "ms",
    "Percent": "%",
    # Not "1": exporters for Prometheus treat that unit as a ratio.
    "Count": "{count}",
    "Count/Second": "{count}/s",
    "None": "",
    **{(size + "bytes" if size else "Bytes"): sign + "By" for size, sign in _SIZES.items()},
    **{(size + "bits" if size else "Bits"): sign + "bit" for size, sign in _SIZES.items()},
    **{(size + "bytes" if size else "Bytes") + "/Second": sign + "By/s" for size, sign in _SIZES.items()},
    **{(size + "bits" if size else "Bits") + "/Second": sign + "bit/s" for size, sign in _SIZES.items()},
}
"""The units of CloudWatch's ``MetricDatum``: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDatum.html."""


def ucum(unit: str | None) -> str:
    """The UCUM unit for one of CloudWatch's; a unit of any other name is returned as it is."""
    return UNITS.get(unit or "None", unit or "")
