package guard

import (
	"context"

	upstream "github.com/open-telemetry/opentelemetry-collector-contrib/extension/bearertokenauthextension"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensionauth"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"
)

// NewBearerFactory makes bearertokenauth, which counts and logs the callers that it refuses.
func NewBearerFactory() extension.Factory {
	up := upstream.NewFactory()
	create := func(ctx context.Context, set extension.Settings, cfg component.Config) (extension.Extension, error) {
		inner, err := up.Create(ctx, set, cfg)
		if err != nil {
			return nil, err
		}
		refused, err := set.MeterProvider.Meter(scope).Int64Counter("otelcol_chest_callers_refused",
			metric.WithDescription("Requests that came to the door without a right token."))
		return &doorkeeper{both: inner.(both), refused: refused, logger: set.Logger}, err
	}
	return extension.NewFactory(up.Type(), up.CreateDefaultConfig, create, up.Stability())
}

// both is what a token serves for: callers of this collector, and this collector as a caller.
type both interface {
	extension.Extension
	extensionauth.Server
	extensionauth.HTTPClient
	extensionauth.GRPCClient
}

type doorkeeper struct {
	both
	refused metric.Int64Counter
	logger  *zap.Logger
	rare    rarely
}

// Authenticate looks at the token of a caller.
func (d *doorkeeper) Authenticate(ctx context.Context, headers map[string][]string) (context.Context, error) {
	let, err := d.both.Authenticate(ctx, headers)
	if err != nil {
		d.refused.Add(ctx, 1)
		d.rare.log(err.Error(), func() {
			from := "unknown"
			if address := client.FromContext(ctx).Addr; address != nil {
				from = address.String()
			}
			d.logger.Warn("A caller is refused (one line a minute)", zap.String("from", from), zap.Error(err))
		})
	}
	return let, err
}
