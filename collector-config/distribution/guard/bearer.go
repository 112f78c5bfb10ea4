package guard

import (
	"context"

	upstream "github.com/open-telemetry/opentelemetry-collector-contrib/extension/bearertokenauthextension"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensionauth"
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
		told, err := newRefused(set.TelemetrySettings)
		return &doorkeeper{both: inner.(both), refused: told}, err
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
	refused *refused
}

// Authenticate looks at the token of a caller.
func (d *doorkeeper) Authenticate(ctx context.Context, headers map[string][]string) (context.Context, error) {
	let, err := d.both.Authenticate(ctx, headers)
	if err != nil {
		from := "unknown"
		if address := client.FromContext(ctx).Addr; address != nil {
			from = address.String()
		}
		d.refused.tell("token", err.Error(), zap.String("from", from), zap.Error(err))
	}
	return let, err
}
