// Package bearertokenauth puts bearertokenauth under the name that the builder asks for.
package bearertokenauth

import "flask-chest-collector/guard"

// NewFactory is what the builder asks for.
var NewFactory = guard.NewBearerFactory
