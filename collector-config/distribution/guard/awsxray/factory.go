// Package awsxray is the exporter with a guard in front of its target.
package awsxray

import (
	upstream "github.com/open-telemetry/opentelemetry-collector-contrib/exporter/awsxrayexporter"
	"go.opentelemetry.io/collector/exporter"

	"flask-chest-collector/guard"
)

// NewFactory is what the builder asks for.
func NewFactory() exporter.Factory { return guard.WrapAWS(upstream.NewFactory()) }
