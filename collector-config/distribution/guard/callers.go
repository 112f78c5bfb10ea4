package guard

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"
)

// refused counts and logs the callers that are not let in.
type refused struct {
	callers metric.Int64Counter
	logger  *zap.Logger
	rare    rarely
}

func newRefused(set component.TelemetrySettings) (*refused, error) {
	callers, err := set.MeterProvider.Meter(scope).Int64Counter("otelcol_chest_callers_refused",
		metric.WithDescription("Callers that came to the door without a right token, or without right TLS."))
	return &refused{callers: callers, logger: set.Logger}, err
}

// byTLS tells of a caller without right TLS; the log has one line a minute for each protocol, for callers choose the words.
func (r *refused) byTLS(protocol, said string) {
	r.tell("tls", protocol, zap.String("protocol", protocol), zap.String("error", "TLS handshake error from "+said))
}

func (r *refused) tell(why, key string, fields ...zap.Field) {
	r.callers.Add(context.Background(), 1, metric.WithAttributes(attribute.String("why", why)))
	r.rare.log(why+key, func() { r.logger.Warn("A caller is refused (one line a minute)", fields...) })
}
