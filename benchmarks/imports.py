"""How long importing takes, over Flask and the SDK, which the application imports anyway: ``make bench-imports``."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

RUNS = 15
GOAL_MS = 30.0

ANYWAY = "import flask, opentelemetry.sdk.trace.export, opentelemetry.sdk.metrics.export"
CASES = {
    "from flask_chest_otel import FlaskChest, flask_chest": "from flask_chest_otel import FlaskChest, flask_chest",
    "and opentelemetry.instrumentation.flask instead": "import opentelemetry.instrumentation.flask",
}


def took_ms(statement: str) -> float:
    """Milliseconds of one import in a fresh process."""
    program = f"{ANYWAY}, time\nstart = time.perf_counter()\n{statement}\nprint((time.perf_counter() - start) * 1e3)"
    # Compiled once, as on any machine where the package is installed.
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    ran = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, env=environ)
    return float(ran.stdout)


def main() -> None:
    """Measure in turns and print."""
    found: dict[str, list[float]] = {name: [] for name in CASES}
    for statement in CASES.values():
        took_ms(statement)
    for _ in range(RUNS):
        for name, statement in CASES.items():
            found[name].append(took_ms(statement))
    print(f"{'import':<56} {'median ms':>10} {'best ms':>8}")
    for name, times in found.items():
        print(f"{name:<56} {statistics.median(times):10.1f} {min(times):8.1f}")
    ours = statistics.median(next(iter(found.values())))
    print(f"goal {GOAL_MS:.0f} ms: {'reached' if ours <= GOAL_MS else 'NOT reached'}")


if __name__ == "__main__":
    main()
