// Package splunkhec is the exporter with a guard in front of its target.
package splunkhec

import (
	upstream "github.com/open-telemetry/opentelemetry-collector-contrib/exporter/splunkhecexporter"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/exporter"

	"flask-chest-collector/guard"
)

// NewFactory is what the builder asks for.
func NewFactory() exporter.Factory {
	return guard.Wrap(upstream.NewFactory(), func(cfg component.Config) *confighttp.ClientConfig {
		return &cfg.(*upstream.Config).ClientConfig
	})
}
