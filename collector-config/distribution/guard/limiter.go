package guard

import (
	"context"
	"errors"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	upstream "go.opentelemetry.io/collector/processor/memorylimiterprocessor"
)

// NewLimiterFactory makes memory_limiter, which refuses also when the disk of the queues is nearly full, and drops what
// one service brings beyond its bounds. It must be refused here, in front of the queue: what a queue itself cannot write
// counts as waiting there for ever.
func NewLimiterFactory() processor.Factory {
	up := upstream.NewFactory()
	traces := func(ctx context.Context, set processor.Settings, cfg component.Config, next consumer.Traces) (processor.Traces, error) {
		inner, errInner := up.CreateTraces(ctx, set, cfg, next)
		most, err := newBounds(set.MeterProvider.Meter(scope), "CHEST_SERVICE_SPANS_PER_MINUTE")
		return &traceLimiter{Traces: inner, bounds: most}, errors.Join(errInner, err)
	}
	metrics := func(ctx context.Context, set processor.Settings, cfg component.Config, next consumer.Metrics) (processor.Metrics, error) {
		inner, errInner := up.CreateMetrics(ctx, set, cfg, next)
		most, err := newBounds(set.MeterProvider.Meter(scope), "CHEST_SERVICE_POINTS_PER_MINUTE")
		return &metricLimiter{Metrics: inner, bounds: most}, errors.Join(errInner, err)
	}
	logs := func(ctx context.Context, set processor.Settings, cfg component.Config, next consumer.Logs) (processor.Logs, error) {
		inner, errInner := up.CreateLogs(ctx, set, cfg, next)
		most, err := newBounds(set.MeterProvider.Meter(scope), "CHEST_SERVICE_LOGS_PER_MINUTE")
		return &logLimiter{Logs: inner, bounds: most}, errors.Join(errInner, err)
	}
	return processor.NewFactory(up.Type(), up.CreateDefaultConfig,
		processor.WithTraces(traces, up.TracesStability()),
		processor.WithMetrics(metrics, up.MetricsStability()),
		processor.WithLogs(logs, up.LogsStability()))
}

// watch finds the disk of the queues among the extensions.
type watch struct{ disk *disk }

func (w *watch) look(host component.Host) {
	for _, one := range host.GetExtensions() {
		if found, ok := one.(*guard); ok {
			w.disk = found.disk
		}
	}
}

// enter returns what must be called when the request is in a gate.
func (w *watch) enter(size func() int) (leave func(), err error) {
	if w.disk == nil {
		return func() {}, nil
	}
	return w.disk.enter(int64(size()))
}

type traceLimiter struct {
	processor.Traces
	watch
	bounds *bounds
}

func (l *traceLimiter) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: l.bounds != nil}
}

func (l *traceLimiter) Start(ctx context.Context, host component.Host) error {
	l.look(host)
	return l.Traces.Start(ctx, host)
}

func (l *traceLimiter) ConsumeTraces(ctx context.Context, data ptrace.Traces) error {
	leave, err := l.enter(func() int { return (&ptrace.ProtoMarshaler{}).TracesSize(data) })
	if err != nil {
		return err
	}
	defer leave()
	if l.bounds != nil {
		if l.bounds.traces(data); data.ResourceSpans().Len() == 0 {
			return nil
		}
	}
	return l.Traces.ConsumeTraces(ctx, data)
}

type metricLimiter struct {
	processor.Metrics
	watch
	bounds *bounds
}

func (l *metricLimiter) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: l.bounds != nil}
}

func (l *metricLimiter) Start(ctx context.Context, host component.Host) error {
	l.look(host)
	return l.Metrics.Start(ctx, host)
}

func (l *metricLimiter) ConsumeMetrics(ctx context.Context, data pmetric.Metrics) error {
	leave, err := l.enter(func() int { return (&pmetric.ProtoMarshaler{}).MetricsSize(data) })
	if err != nil {
		return err
	}
	defer leave()
	if l.bounds != nil {
		if l.bounds.metrics(data); data.ResourceMetrics().Len() == 0 {
			return nil
		}
	}
	return l.Metrics.ConsumeMetrics(ctx, data)
}

type logLimiter struct {
	processor.Logs
	watch
	bounds *bounds
}

func (l *logLimiter) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: l.bounds != nil}
}

func (l *logLimiter) Start(ctx context.Context, host component.Host) error {
	l.look(host)
	return l.Logs.Start(ctx, host)
}

func (l *logLimiter) ConsumeLogs(ctx context.Context, data plog.Logs) error {
	leave, err := l.enter(func() int { return (&plog.ProtoMarshaler{}).LogsSize(data) })
	if err != nil {
		return err
	}
	defer leave()
	if l.bounds != nil {
		if l.bounds.logs(data); data.ResourceLogs().Len() == 0 {
			return nil
		}
	}
	return l.Logs.ConsumeLogs(ctx, data)
}
