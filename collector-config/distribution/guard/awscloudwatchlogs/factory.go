// Package awscloudwatchlogs is the exporter with a guard in front of its target.
package awscloudwatchlogs

import (
	upstream "github.com/open-telemetry/opentelemetry-collector-contrib/exporter/awscloudwatchlogsexporter"
	"go.opentelemetry.io/collector/exporter"

	"flask-chest-collector/guard"
)

// NewFactory is what the builder asks for.
func NewFactory() exporter.Factory { return guard.WrapAWS(upstream.NewFactory()) }
