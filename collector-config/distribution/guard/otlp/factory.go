// Package otlp puts otlp under the name that the builder asks for.
package otlp

import "flask-chest-collector/guard"

// NewFactory is what the builder asks for.
var NewFactory = guard.NewDoorFactory
