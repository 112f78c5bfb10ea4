"""The plan of an endpoint and method: what to record, compiled once so that a request only looks it up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from flask_chest_otel._guard import Refusal, count_refusal
from flask_chest_otel._tracking.definitions import Definitions
from flask_chest_otel._tracking.secret_rules import has_secret_argument
from flask_chest_otel._values.deriving import deriver
from flask_chest_otel._values.methods import metric_method
from flask_chest_otel._values.redaction import redactor
from flask_chest_otel.config.tracked_vars import NOTHING, TrackedVars
from flask_chest_otel.errors import ChestConfigError, UnknownChestError
from flask_chest_otel.names import CHESTS, HTTP_REQUEST_METHOD, HTTP_ROUTE
from flask_chest_otel.tracked import TrackedVar, is_instrument_name

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from flask_chest_otel._tracking.instruments import Instrument, Instruments
    from flask_chest_otel.config import ChestConfig

__all__ = ["Count", "EventStart", "Plan", "PlannedVar", "Planner", "RouteMark"]

_MOST_WILD_NAMES = 1000


class Count(NamedTuple):
    """A metric of each request to a route: 1 where its status is in a range, else 0."""

    name: str
    dimensions: Mapping[str, object]
    statuses: range

    def value_of(self, status: int) -> int:
        """1 where the status is in the range, else 0."""
        return int(status in self.statuses)


class EventStart(NamedTuple):
    """What the span of a Socket.IO event says from the start on.

    Attributes:
        name: The event's, behind its namespace where it has one.
        attributes: Those of every event of this name.
    """

    name: str
    attributes: Mapping[str, str]


class RouteMark(NamedTuple):
    """The arguments of one ``@flask_chest(…)``, set on the function below it."""

    tracked_vars: TrackedVars = NOTHING
    request_id_generator: Callable[[], object] | None = None
    chests: tuple[str, ...] | None = None
    inherit: bool = True
    counts: tuple[Count, ...] = ()


class PlannedVar:
    """One variable with every decision that does not depend on its value."""

    __slots__ = (
        "attribute",
        "derive",
        "dimension",
        "instrument",
        "kind",
        "masked",
        "metric",
        "name",
        "problem",
        "redact",
        "root",
        "special",
        "strict",
        "var",
    )

    def __init__(self, var: TrackedVar, config: ChestConfig) -> None:
        self.var = var
        self.name = var.name
        self.attribute = var.attribute or config.attribute_prefix + var.name
        self.metric = var.metric_name or self.attribute
        self.kind = var.kind
        self.dimension = var.dimension
        # Where the user chose the instrument, a value that is not a number is a mistake, and is counted.
        self.strict = var.metric not in (None, "auto")
        self.redact = redactor(var.name, var.redact, config.request_id_secret)
        self.root, *path = var.name.split(".")
        self.derive = deriver(path, var.convert)
        self.special = self.redact is not None or self.derive is not None
        # The name alone caused the redaction, so it is logged when a number loses its metric by that.
        self.masked = self.redact is not None and var.redact == "auto"
        self.instrument: Instrument | None = None
        self.problem: ChestConfigError | None = None

    def declare(self, instruments: Instruments) -> None:
        """Declare the metric; keep only the attribute where the metric contradicts one that was declared before."""
        try:
            self._declare(instruments)
        except ChestConfigError as error:
            self.problem = error
            self.kind = None

    def _declare(self, instruments: Instruments) -> None:
        if self.kind is not None and not is_instrument_name(self.metric):
            raise ChestConfigError(
                f"TrackedVar({self.name!r}, metric_name)",
                self.metric,
                "a metric_name= that begins with a letter and has only A-Z a-z 0-9 _ . - /, or metric=None",
            )
        instruments.declare(self.metric, self.var)


@dataclass(slots=True, eq=False, repr=False)
class Plan:
    """What to record for one endpoint and method.

    Attributes:
        rule: The URL rule as the application has it, or the name of an event.
        route: The rule with the application's root before it: the value of ``http.route``.
        place: The attributes of a record that say which route, or which event, it is of.
        has_secret: Whether an argument of the rule has a sensitive name, as in ``/reset/<token>``.
        is_socket: Whether the rule is for web sockets; Werkzeug matches it with no other requests.
        event: What the span of an event of Flask-SocketIO has from its start; ``None`` for a request.
        chests_text: The value of ``flask.chests``: one text for spans and metrics.
    """

    variables: tuple[PlannedVar, ...]
    everything: bool
    left_out: frozenset[str]
    request_id_generators: tuple[Callable[[], object], ...]
    chests: tuple[str, ...] | None
    rule: str | None
    route: str | None
    place: Mapping[str, str]
    metric_attributes: Mapping[str, Any]
    key: Hashable
    counts: tuple[Count, ...]
    has_secret: bool
    is_socket: bool = False
    event: EventStart | None = None
    wild: dict[str, PlannedVar] = field(default_factory=dict)
    chests_text: str | None = field(init=False)

    def __post_init__(self) -> None:
        """Look up once what every request asks for."""
        self.chests_text = self.metric_attributes.get(CHESTS)


class Planner:
    """Compiles plans for one application."""

    def __init__(self, config: ChestConfig, instruments: Instruments) -> None:
        self._config = config
        self._instruments = instruments
        self._planned: dict[Hashable, PlannedVar] = {}
        self._definitions = Definitions()
        self._definitions.learn(config.tracked_vars.every_var())

    def check(self, marks: tuple[RouteMark, ...]) -> None:
        """Check the marks of a route when it is registered, and store their definitions of variables.

        Raises:
            ChestConfigError: Two metrics have the same name, or two variables have the same attribute.
            UnknownChestError: A mark names a chest that the application does not have.
        """
        known = self._config.chest_names
        for name in (name for mark in marks for name in mark.chests or ()):
            if known and name not in known:
                raise UnknownChestError(name, known)
        self.learn(marks)
        sources = self._sources(marks)
        methods = {method for source in sources for method in (source.by_method or ())}
        for method in methods or {"GET"}:
            taken: dict[str, str] = {}
            for planned in self._variables(marks, method):
                if planned.problem is not None:
                    raise planned.problem
                other = taken.setdefault(planned.attribute, planned.name)
                if other != planned.name:
                    raise ChestConfigError(
                        f"TrackedVar({planned.name!r}, attribute)",
                        planned.attribute,
                        f"another name, as {other!r} has this one",
                    )

    def learn(self, marks: tuple[RouteMark, ...]) -> None:
        """Store the definitions of variables in these marks."""
        for source in self._sources(marks):
            self._definitions.learn(source.every_var())

    def attribute_of(self, name: str) -> str:
        """The attribute of a variable, by the definitions that are known so far."""
        return self._definitions.attribute_of(name, self._config.attribute_prefix)

    def compile(self, marks: tuple[RouteMark, ...], method: str, rule: str | None, root: str = "") -> Plan:
        """Compile the plan for one route and method; later marks override earlier ones.

        Args:
            marks: The marks of the view.
            method: The HTTP method.
            rule: The URL rule that matched; ``None`` where none did.
            root: The path at which the application is mounted. The semantic conventions make it a part of
                ``http.route``.
        """
        route = root + rule if rule is not None else None
        of_route = [mark.request_id_generator for mark in marks if mark.request_id_generator][-1:]
        generators = [*of_route, *filter(None, [self._config.request_id_generator])]
        chests = next((mark.chests for mark in reversed(marks) if mark.chests is not None), None)
        attributes = {HTTP_REQUEST_METHOD: metric_method(method)}
        if route is not None:
            attributes[HTTP_ROUTE] = route
        if chests is not None:
            attributes[CHESTS] = ",".join(sorted(set(chests)))
        return Plan(
            variables=self._variables(marks, method),
            everything=any(source.tracks_everything(method) for source in self._sources(marks)),
            left_out=frozenset().union(*(source.leaves_out(method) for source in self._sources(marks))),
            request_id_generators=tuple(dict.fromkeys(generators)),
            chests=chests,
            rule=rule,
            route=route,
            place={HTTP_ROUTE: route} if route is not None else {},
            metric_attributes=attributes,
            key=tuple(attributes.values()),
            counts=tuple({count.name: count for mark in marks for count in mark.counts}.values()),
            has_secret=rule is not None and has_secret_argument(rule),
        )

    def wild(self, plan: Plan, name: str) -> PlannedVar | None:
        """The plan of a variable that only ``*`` tracks; ``None`` where too many different names have come."""
        found = plan.wild.get(name)
        if found is not None or not (name.isidentifier() and name.isascii()):
            return found
        if len(plan.wild) >= _MOST_WILD_NAMES:
            count_refusal(
                Refusal.LIMIT,
                "names",
                "more than %d different names in g on route %s, which tracks '*': name those to record",
                _MOST_WILD_NAMES,
                plan.route,
            )
            return None
        found = plan.wild[name] = self._plan(TrackedVar(name))
        if found.problem is not None:
            count_refusal(Refusal.VALUE, f"metric of {name}", "g.%s has no metric: %s", name, found.problem)
        return found

    def instrument(self, planned: PlannedVar) -> Instrument:
        """The instrument of one variable, made when its first number is recorded."""
        if planned.instrument is None:
            planned.instrument = self._instruments.get(planned.metric, planned.kind or "histogram", planned.var)
        return planned.instrument

    def _sources(self, marks: tuple[RouteMark, ...]) -> list[TrackedVars]:
        own = [mark.tracked_vars for mark in marks]
        return own if any(not mark.inherit for mark in marks) else [self._config.tracked_vars, *own]

    def _variables(self, marks: tuple[RouteMark, ...], method: str) -> tuple[PlannedVar, ...]:
        chosen: dict[str, TrackedVar] = {}
        for source in self._sources(marks):
            chosen.update((var.name, var) for var in source.for_method(method))
        return tuple(self._plan(var) for var in chosen.values())

    def _plan(self, named: TrackedVar) -> PlannedVar:
        var = self._definitions.of(named)
        try:
            key: Hashable = var
            hash(var)
        except TypeError:  # a callable given as redact= may be unhashable
            key = id(var)
        found = self._planned.get(key)
        if found is None:
            found = PlannedVar(var, self._config)
            found.declare(self._instruments)
            self._planned[key] = found
        return found
