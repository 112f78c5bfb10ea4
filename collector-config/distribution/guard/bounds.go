package guard

import (
	"context"
	"sync"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatautil"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

const (
	// Names come from outside: those beyond this many share one bound.
	mostNames = 1000
	others    = "(others)"
	day       = 24 * time.Hour
)

// bounds are what one service may bring, by its service.name. What is over them is dropped and counted.
type bounds struct {
	perMinute quota
	series    series
	dropped   metric.Int64Counter
}

// newBounds reads them from the environment; nil where there are none.
func newBounds(meter metric.Meter, perMinute string) (*bounds, error) {
	b := &bounds{
		perMinute: quota{most: int(numberOf(perMinute, 0))},
		series:    series{most: int(numberOf("CHEST_SERVICE_SERIES", 0))},
	}
	if b.perMinute.most == 0 && b.series.most == 0 {
		return nil, nil
	}
	var err error
	b.dropped, err = meter.Int64Counter("otelcol_chest_over_bound",
		metric.WithDescription("Spans, points and log records that their service brought beyond its bounds: dropped, or (overflow) summed up."))
	return b, err
}

func (b *bounds) drop(service, bound string, items int) {
	b.dropped.Add(context.Background(), int64(items), metric.WithAttributes(
		attribute.String("service", service), attribute.String("bound", bound)))
}

// traces takes out the spans that are too many.
func (b *bounds) traces(data ptrace.Traces) {
	data.ResourceSpans().RemoveIf(func(of ptrace.ResourceSpans) bool {
		count := 0
		for _, scoped := range of.ScopeSpans().All() {
			count += scoped.Spans().Len()
		}
		service, left := b.perMinute.take(serviceOf(of.Resource()), count, time.Now())
		if left == count {
			return false
		}
		b.drop(service, "rate", count-left)
		of.ScopeSpans().RemoveIf(func(scoped ptrace.ScopeSpans) bool {
			scoped.Spans().RemoveIf(func(ptrace.Span) bool {
				left--
				return left < 0
			})
			return scoped.Spans().Len() == 0
		})
		return of.ScopeSpans().Len() == 0
	})
}

// logs takes out the log records that are too many.
func (b *bounds) logs(data plog.Logs) {
	data.ResourceLogs().RemoveIf(func(of plog.ResourceLogs) bool {
		count := 0
		for _, scoped := range of.ScopeLogs().All() {
			count += scoped.LogRecords().Len()
		}
		service, left := b.perMinute.take(serviceOf(of.Resource()), count, time.Now())
		if left == count {
			return false
		}
		b.drop(service, "rate", count-left)
		of.ScopeLogs().RemoveIf(func(scoped plog.ScopeLogs) bool {
			scoped.LogRecords().RemoveIf(func(plog.LogRecord) bool {
				left--
				return left < 0
			})
			return scoped.LogRecords().Len() == 0
		})
		return of.ScopeLogs().Len() == 0
	})
}

// metrics puts the points of too many series into one, and takes out the points that are too many.
func (b *bounds) metrics(data pmetric.Metrics) {
	data.ResourceMetrics().RemoveIf(func(of pmetric.ResourceMetrics) bool {
		service := serviceOf(of.Resource())
		of.ScopeMetrics().RemoveIf(func(scoped pmetric.ScopeMetrics) bool {
			scoped.Metrics().RemoveIf(func(one pmetric.Metric) bool {
				b.boundSeries(service, one)
				return removePoints(one, func(pcommon.Map) bool { return b.isTooMuch(service) })
			})
			return scoped.Metrics().Len() == 0
		})
		return of.ScopeMetrics().Len() == 0
	})
}

func (b *bounds) boundSeries(service string, one pmetric.Metric) {
	if b.series.most == 0 {
		return
	}
	summed, dropped := bound(one, func(attributes pcommon.Map) bool {
		return b.series.has(service+"\x00"+one.Name(), pdatautil.MapHash(attributes), time.Now())
	})
	if summed > 0 {
		b.drop(service, "overflow", summed)
	}
	if dropped > 0 {
		b.drop(service, "series", dropped)
	}
}

func (b *bounds) isTooMuch(service string) bool {
	service, left := b.perMinute.take(service, 1, time.Now())
	if left == 0 {
		b.drop(service, "rate", 1)
	}
	return left == 0
}

// removePoints takes points out of a metric; true when none is left.
func removePoints(one pmetric.Metric, is func(pcommon.Map) bool) bool {
	switch one.Type() {
	case pmetric.MetricTypeGauge:
		one.Gauge().DataPoints().RemoveIf(func(p pmetric.NumberDataPoint) bool { return is(p.Attributes()) })
		return one.Gauge().DataPoints().Len() == 0
	case pmetric.MetricTypeSum:
		one.Sum().DataPoints().RemoveIf(func(p pmetric.NumberDataPoint) bool { return is(p.Attributes()) })
		return one.Sum().DataPoints().Len() == 0
	case pmetric.MetricTypeHistogram:
		one.Histogram().DataPoints().RemoveIf(func(p pmetric.HistogramDataPoint) bool { return is(p.Attributes()) })
		return one.Histogram().DataPoints().Len() == 0
	case pmetric.MetricTypeExponentialHistogram:
		points := one.ExponentialHistogram().DataPoints()
		points.RemoveIf(func(p pmetric.ExponentialHistogramDataPoint) bool { return is(p.Attributes()) })
		return points.Len() == 0
	case pmetric.MetricTypeSummary:
		one.Summary().DataPoints().RemoveIf(func(p pmetric.SummaryDataPoint) bool { return is(p.Attributes()) })
		return one.Summary().DataPoints().Len() == 0
	}
	return false
}

func serviceOf(resource pcommon.Resource) string {
	if name, ok := resource.Attributes().Get("service.name"); ok {
		return name.AsString()
	}
	return ""
}

// quota lets each service bring so many items in a minute.
type quota struct {
	most  int
	mu    sync.Mutex
	since time.Time
	used  map[string]int
}

// take returns how many of these items fit, and the name under which they are counted.
func (q *quota) take(service string, items int, now time.Time) (string, int) {
	if q.most == 0 {
		return service, items
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if now.Sub(q.since) >= time.Minute {
		q.since, q.used = now, map[string]int{}
	}
	if _, known := q.used[service]; !known && len(q.used) >= mostNames {
		service = others
	}
	fit := min(items, q.most-q.used[service])
	q.used[service] += fit
	return service, fit
}

// series lets each metric of a service have so many sets of attributes in a day: those that come first.
type series struct {
	most  int
	mu    sync.Mutex
	since time.Time
	seen  map[string]map[[16]byte]bool
}

// has says whether this set of attributes is one of them.
func (s *series) has(metric string, set [16]byte, now time.Time) bool {
	if s.most == 0 {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.since) >= day {
		s.since, s.seen = now, map[string]map[[16]byte]bool{}
	}
	if s.seen[metric] == nil && len(s.seen) >= mostNames {
		metric = others
	}
	if s.seen[metric] == nil {
		s.seen[metric] = map[[16]byte]bool{}
	}
	known := s.seen[metric]
	if !known[set] && len(known) < s.most {
		known[set] = true
	}
	return known[set]
}
