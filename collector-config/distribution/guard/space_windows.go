package guard

import (
	"errors"

	"go.opentelemetry.io/collector/extension/xextension/storage"
	"golang.org/x/sys/windows"
)

// space returns the free and the total bytes; 0 and 0 where they cannot be had.
func (d *disk) space() (free, total uint64) {
	folder, err := windows.UTF16PtrFromString(d.folder)
	if err != nil || windows.GetDiskFreeSpaceEx(folder, &free, &total, nil) != nil {
		return 0, 0
	}
	return free, total
}

func isFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_DISK_QUOTA_EXCEEDED) ||
		errors.Is(err, storage.ErrStorageFull)
}
