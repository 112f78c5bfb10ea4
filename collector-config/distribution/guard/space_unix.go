//go:build unix

package guard

import (
	"errors"
	"syscall"

	"go.opentelemetry.io/collector/extension/xextension/storage"
)

// space returns the free and the total bytes; 0 and 0 where they cannot be had.
func (d *disk) space() (free, total uint64) {
	var stat syscall.Statfs_t
	if syscall.Statfs(d.folder, &stat) != nil {
		return 0, 0
	}
	return uint64(stat.Bavail) * uint64(stat.Bsize), uint64(stat.Blocks) * uint64(stat.Bsize)
}

func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, storage.ErrStorageFull)
}
