// Package memorylimiter puts memory_limiter under the name that the builder asks for.
package memorylimiter

import "flask-chest-collector/guard"

// NewFactory is what the builder asks for.
var NewFactory = guard.NewLimiterFactory
