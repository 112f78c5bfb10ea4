"""The queue between requests and a back end, with back ends that note, fail, hang and fork."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, cast

import pytest
from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.trace import SpanKind

from flask_chest_otel._guard import LossReport
from flask_chest_otel._records import delivery
from flask_chest_otel._records.delivery import AwayError, ChestOffError, Delivery
from flask_chest_otel._records.queue import RecordQueue
from flask_chest_otel._records.record import ChildSpan
from flask_chest_otel._request.child_spans import ChildSpans

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from flask_chest_otel._records.record import RequestRecord
    from flask_chest_otel._request.child_spans import TakenSpans


class Notes:
    """A back end that notes what it got; before that it raises what is in ``errors``, one by one."""

    def __init__(self, *errors: Exception, gate: threading.Event | None = None) -> None:
        self.errors = list(errors)
        self.gate = gate
        self.got: list[str] = []
        self.tries = 0
        self.closed_in: str | None = None

    def open(self) -> Notes:
        return self

    def write(self, records: list[RequestRecord]) -> None:
        self.tries += 1
        if self.gate is not None:
            self.gate.wait(10)
        if self.errors:
            raise self.errors.pop(0)
        self.got += [record.request_id for record in records]

    def has_begun(self, write: int) -> bool:
        return self.tries >= write

    def close(self) -> None:
        self.closed_in = threading.current_thread().name


def test_flush_waits_for_everything_put_before(make_record: Callable[..., RequestRecord]) -> None:
    """After flush, all records put before it have reached the back end, in their order."""
    notes = Notes()
    with closing(RecordQueue("notes", notes.open)) as queue:
        for number in range(2000):
            queue.put(make_record(request_id=str(number)))
        assert queue.flush(5)
        assert notes.got == [str(number) for number in range(2000)]


def test_no_thread_before_the_first_put() -> None:
    """A queue that nothing is put into starts no thread, and is flushed and closed at once."""
    queue = RecordQueue("idle", Notes().open)
    assert queue.flush(0)
    assert queue.close(0)
    assert "flask-chest-idle" not in [thread.name for thread in threading.enumerate()]


def test_first_puts_of_many_threads_make_one_writer(make_record: Callable[..., RequestRecord]) -> None:
    """Threads that put their first record at the same moment share one writer thread, and lose nothing."""
    notes, barrier = Notes(), threading.Barrier(16)
    with closing(RecordQueue("rush", notes.open)) as queue:

        def put() -> None:
            barrier.wait()
            for _ in range(100):
                queue.put(make_record())

        threads = [threading.Thread(target=put) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [thread.name for thread in threading.enumerate()].count("flask-chest-rush") == 1
        assert queue.flush(5)
        assert len(notes.got) == 1600


def test_full_queue_drops_and_counts(
    make_record: Callable[..., RequestRecord], caplog: pytest.LogCaptureFixture
) -> None:
    """While the back end hangs, put neither waits nor raises: what exceeds the capacity is counted, logged once."""
    notes = Notes(gate=threading.Event())
    queue = RecordQueue("slow", notes.open, capacity=10)
    queue.put(make_record())
    _until(lambda: notes.tries == 1)
    begun = time.monotonic()
    for _ in range(1000):
        queue.put(make_record())
    assert time.monotonic() - begun < 1
    assert queue.dropped == 990
    assert notes.gate is not None
    notes.gate.set()
    assert queue.close(5)
    assert len(notes.got) == 11
    assert len([line for line in caplog.messages if "990 request records dropped" in line]) == 1


@pytest.mark.parametrize("keeps", [True, False], ids=["kept", "counted"])
def test_child_spans_do_not_fill_the_memory(make_record: Callable[..., RequestRecord], *, keeps: bool) -> None:
    """While the back end hangs, records wait; beyond a thousand they hold no child spans, only their sums."""
    gate = threading.Event()
    got: list[RequestRecord] = []

    class Keeper(Notes):
        def write(self, records: list[RequestRecord]) -> None:
            super().write(records)
            got.extend(records)

    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("library")
    made: list[weakref.ref[object]] = []

    def spans_of_a_request() -> TakenSpans:
        collected = ChildSpans(keeps=keeps)
        for _ in range(2):
            span = tracer.start_span("SELECT", kind=SpanKind.CLIENT, attributes={"db.system.name": "sqlite"})
            span.end()
            collected.running.add(span.get_span_context().span_id)
            collected.aside.append((span.get_span_context().span_id, cast("ReadableSpan", span)))
            made.append(weakref.ref(span))
        return collected.close(lambda span: ChildSpan(span.name, "client", "1" * 16, None, 1, 0.1, "unset", {}))

    keeper = Keeper(gate=gate)
    with closing(RecordQueue("keeper", keeper.open)) as queue:
        for number in range(1700):
            timings, spans, dropped = spans_of_a_request()
            queue.put(make_record(request_id=str(number), timings=timings, spans=spans, spans_dropped=dropped))
            del timings, spans
            if number == 0:
                _until(partial(keeper.has_begun, 1))  # the writer is at work, and takes no more
        gc.collect()
        assert 2000 <= sum(span() is not None for span in made) <= 3000
        gate.set()
        assert queue.flush(5)
    assert len(got) == 1700
    kept = [len(record.spans) for record in got]
    assert kept == sorted(kept, reverse=True)
    assert 1000 <= kept.count(2) <= 1500 if keeps else not any(kept)
    assert all(len(record.spans) + record.spans_dropped == 2 for record in got)
    assert all(record.timings["db"][0] == 2 for record in got)


def test_put_after_close_is_dropped(make_record: Callable[..., RequestRecord]) -> None:
    """A closed queue takes nothing any more, counts it, and its back end was closed by its own thread."""
    notes = Notes()
    queue = RecordQueue("closed", notes.open)
    queue.put(make_record())
    assert queue.close(5)
    queue.put(make_record())
    assert (len(notes.got), queue.dropped) == (1, 1)
    assert notes.closed_in == "flask-chest-closed"


def test_put_after_close_without_a_first_put(make_record: Callable[..., RequestRecord]) -> None:
    """A queue that was closed before its first record starts no thread for it."""
    queue = RecordQueue("never", Notes().open)
    queue.close(0)
    queue.put(make_record())
    assert queue.dropped == 1
    assert "flask-chest-never" not in [thread.name for thread in threading.enumerate()]


def test_passing_failure_is_tried_again_quietly(
    make_record: Callable[..., RequestRecord], caplog: pytest.LogCaptureFixture
) -> None:
    """Two failures in a row cost no record and no log line."""
    notes = Notes(OSError("locked"), OSError("locked"))
    with closing(RecordQueue("passing", notes.open)) as queue:
        queue.put(make_record())
        assert queue.flush(5)
        assert (len(notes.got), queue.lost, caplog.messages) == (1, 0, [])


@pytest.mark.alone
def test_lasting_failure_is_counted_and_logged_once(
    make_record: Callable[..., RequestRecord],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A back end that stays away loses batches after a bounded time, with one line per kind of error."""
    monkeypatch.setattr(delivery, "RETRY_FOR_S", 0.2)
    monkeypatch.setattr(delivery, "FIRST_PAUSE_S", 0.02)
    notes = Notes(*[OSError("gone")] * 10_000)
    with closing(RecordQueue("gone", notes.open)) as queue:
        for lost in (1, 2, 3):
            queue.put(make_record())
            assert not queue.flush(5)
            _until(lambda lost=lost: queue.lost == lost)  # type: ignore[misc]  # a default binds the loop's value
        assert notes.tries >= 9
        assert len(caplog.messages) == 2
        assert "cannot write, trying again: OSError: gone" in caplog.messages[0]
        assert "gave up on 1 request records" in caplog.messages[1]


def test_one_bad_record_costs_only_itself(make_record: Callable[..., RequestRecord]) -> None:
    """A record that the back end cannot take is lost alone; those of the same batch arrive."""

    class Picky(Notes):
        def write(self, records: list[RequestRecord]) -> None:
            if any(record.request_id == "bad" for record in records):
                raise ValueError("bad")
            super().write(records)

    notes = Picky()
    with closing(RecordQueue("picky", notes.open)) as queue:
        for name in ("one", "bad", "two"):
            queue.put(make_record(request_id=name))
        assert not queue.flush(5)
        assert (notes.got, queue.lost) == (["one", "two"], 1)


def test_hopeless_back_end_is_off(make_record: Callable[..., RequestRecord], caplog: pytest.LogCaptureFixture) -> None:
    """A back end that says it can never write is not asked again; its message is logged once."""
    notes = Notes(ChestOffError("give it a disk"))
    queue = RecordQueue("hopeless", notes.open)
    queue.put(make_record())
    assert not queue.flush(5)
    _until(lambda: "flask-chest-hopeless" not in [thread.name for thread in threading.enumerate()])
    for _ in range(100):
        queue.put(make_record())
    assert (queue.lost, queue.dropped, notes.tries) == (1, 100, 1)
    assert [line for line in caplog.messages if "give it a disk" in line] == [
        "flask_chest: chest 'hopeless' is off: give it a disk"
    ]
    assert not queue.flush(0)
    assert queue.close(1)


@pytest.mark.alone
def test_close_gives_up_in_time(make_record: Callable[..., RequestRecord]) -> None:
    """Closing waits no longer than asked for a back end that hangs, and says so."""
    notes = Notes(gate=threading.Event())
    queue = RecordQueue("hanging", notes.open)
    queue.put(make_record())
    begun = time.monotonic()
    assert not queue.close(0.2)
    assert 0.1 < time.monotonic() - begun < 1
    assert notes.gate is not None
    notes.gate.set()
    assert queue.close(5)


def test_forgotten_queue_ends_its_thread(make_record: Callable[..., RequestRecord]) -> None:
    """A queue that nobody refers to any more writes what it has and ends its thread."""
    notes = Notes()
    queue = RecordQueue("forgotten", notes.open)
    queue.put(make_record())
    del queue
    gc.collect()
    _until(lambda: "flask-chest-forgotten" not in [thread.name for thread in threading.enumerate()])
    assert len(notes.got) == 1


@pytest.mark.alone
def test_drops_are_logged_once_a_minute_at_most(
    make_record: Callable[..., RequestRecord],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Drops within the interval add no line; the first after it tells how many there were."""
    monkeypatch.setattr(LossReport, "EVERY_S", 1.0)
    gate = threading.Event()
    notes = Notes(gate=gate)
    with closing(RecordQueue("drops", notes.open, capacity=1)) as queue:
        for wave in (1, 2, 3):
            gate.clear()
            queue.put(make_record())
            _until(partial(notes.has_begun, wave * 2 - 1))  # the writer is at work, and takes no more
            for _ in range(1 + 5):
                queue.put(make_record())
            gate.set()
            assert queue.flush(5)
        assert len(caplog.messages) == 1
        time.sleep(1.0)
        queue.put(make_record())
        queue.flush(5)
        _until(lambda: len(caplog.messages) == 2)
        assert queue.dropped == 15


APPENDING = """
class Lines:
    def __init__(self, path):
        self.file = open(path, "a", buffering=1)
    def write(self, records):
        for record in records:
            self.file.write(record.request_id + "\\n")
    def close(self):
        self.file.close()

queue = RecordQueue("lines", lambda: Lines(sys.argv[1]))
"""


def test_fork_writes_nothing_twice(start_python: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    """A forked child has an empty queue and a thread of its own: each record is written once, by whoever put it."""
    script = (
        APPENDING
        + """
for number in range(200):
    queue.put(record(number, "parent"))
if os.fork() == 0:
    assert queue.flush(0) and queue.dropped == 0
    for number in range(100):
        queue.put(record(number, "child"))
    sys.exit(0)  # what is queued is written by the exit
assert os.wait()[1] == 0
for number in range(200, 300):
    queue.put(record(number, "parent"))
"""
    )
    _ends_well(start_python(script, tmp_path / "lines"))
    lines = (tmp_path / "lines").read_text().split()
    expected = [f"parent-{number}" for number in range(300)] + [f"child-{number}" for number in range(100)]
    assert sorted(lines) == sorted(expected)


def test_multiprocessing_child_has_its_own_writer(
    start_python: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    """A child of multiprocessing that flushes loses nothing, although the parent's thread is not there."""
    script = (
        APPENDING
        + """
import multiprocessing
def child():
    queue.put(record(1, "child"))
    assert queue.flush(5)
queue.put(record(1, "parent"))
process = multiprocessing.get_context("fork").Process(target=child)
process.start()
process.join()
assert process.exitcode == 0
"""
    )
    _ends_well(start_python(script, tmp_path / "lines"))
    assert sorted((tmp_path / "lines").read_text().split()) == ["child-1", "parent-1"]


def test_interpreter_exit_writes_what_is_queued(
    start_python: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    """A process that just ends has written all it put."""
    script = APPENDING + "for number in range(3000): queue.put(record(number))"
    _ends_well(start_python(script, tmp_path / "lines"))
    assert len((tmp_path / "lines").read_text().split()) == 3000


@pytest.mark.alone
def test_interpreter_exit_does_not_wait_for_ever(start_python: Callable[..., subprocess.Popen[str]]) -> None:
    """Three back ends that hang delay the exit by two seconds together."""
    script = """
    class Hanging:
        def write(self, records): time.sleep(60)
        def close(self): pass
    queues = [RecordQueue(f"hanging-{number}", Hanging) for number in range(3)]
    for queue in queues: queue.put(record(1))
    import atexit
    begun = time.monotonic()
    atexit._run_exitfuncs()
    print(time.monotonic() - begun)
    """
    assert 1.5 < float(_ends_well(start_python(script))) < 3


def _ends_well(process: subprocess.Popen[str]) -> str:
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    return output


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "did not become true"
        time.sleep(0.01)


def test_a_pause_that_is_asked_for_is_bounded(
    make_record: Callable[..., RequestRecord], caplog: pytest.LogCaptureFixture
) -> None:
    """A back end that says how long it wants to be left alone is, but for five minutes at most."""
    pauses: list[float] = []
    notes = Notes(AwayError("busy", 7.0), AwayError("busy", 1e9), AwayError("busy"))

    def pause(seconds: float) -> bool:
        pauses.append(seconds)
        return True

    Delivery("notes", notes.open, pause).deliver([make_record()])
    assert 7.0 <= pauses[0] < 7.02
    assert 300.0 <= pauses[1] < 300.02
    assert 0 < pauses[2] < 1
    assert caplog.messages == [
        "flask_chest: chest 'notes' cannot write, trying again: busy (said once; later ones are only counted)"
    ]


def test_what_a_chest_does_is_not_traced(make_record: Callable[..., RequestRecord]) -> None:
    """Instrumentations are told to look away while a back end's library is at work, and while it is closed."""
    seen = []

    class Looking(Notes):
        def write(self, records: list[RequestRecord]) -> None:
            seen.append(is_instrumentation_enabled())

        def close(self) -> None:
            seen.append(is_instrumentation_enabled())

    with closing(RecordQueue("notes", Looking().open)) as queue:
        queue.put(make_record())
        assert queue.flush(5)
    assert is_instrumentation_enabled()
    assert seen == [False, False]


class WordlessError(ValueError):
    """It cannot be put into words."""

    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.slow
@pytest.mark.guard_on
@pytest.mark.usefixtures("unlogged")
def test_the_thread_outlives_its_log(make_record: Callable[..., RequestRecord]) -> None:
    """Where it cannot be logged that the back end is away, or why, what comes when it is there again is written."""
    notes = Notes(*[OSError("away")] * 4)
    with closing(RecordQueue("notes", notes.open)) as queue:
        queue.put(make_record(request_id="1"))
        assert queue.flush(10)
        notes.errors = [WordlessError()]
        queue.put(make_record(request_id="2"))
        assert not queue.flush(10)
        queue.put(make_record(request_id="3"))
        assert queue.flush(10)
        assert (notes.got, queue.lost, queue.dropped) == (["1", "3"], 1, 0)
