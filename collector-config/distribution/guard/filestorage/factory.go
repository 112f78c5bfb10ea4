// Package filestorage puts file_storage under the name that the builder asks for.
package filestorage

import "flask-chest-collector/guard"

// NewFactory is what the builder asks for.
var NewFactory = guard.NewStorageFactory
