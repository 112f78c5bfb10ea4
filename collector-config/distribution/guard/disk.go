package guard

import (
	"os"
	"path/filepath"
	"sync"

	"go.uber.org/zap"
)

const (
	// Of a small disk a quarter is enough to keep free.
	smallest = 4
	// How much of that is held by a file that gives way.
	ofReserve = 4
	mostHeld  = 16 << 20
	heldName  = "room-for-sending"
)

// disk is the file system of the queues.
type disk struct {
	folder  string
	reserve uint64
	logger  *zap.Logger

	mu       sync.Mutex
	wasShort bool
	isSpent  bool
}

// least is how many bytes shall stay free.
func (d *disk) least() uint64 {
	_, total := d.space()
	return min(d.reserve, total/smallest)
}

// hold takes the room without which nothing could be sent from a full disk: to mark what is sent, too, must be written.
func (d *disk) hold() {
	room := make([]byte, min(mostHeld, d.least()/ofReserve))
	err := os.WriteFile(filepath.Join(d.folder, heldName), room, 0o600)
	d.isSpent = err != nil
}

// spend gives the room away; false when that was done already.
func (d *disk) spend() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	spentBefore := d.isSpent
	d.isSpent = true
	return os.Truncate(filepath.Join(d.folder, heldName), 0) == nil && !spentBefore
}

// mayGrow says whether more may come into the queues behind the gates.
func (d *disk) mayGrow() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.isSpent && !d.underLeast() {
		d.hold()
	}
	return !d.isSpent
}

func (d *disk) underLeast() bool {
	free, total := d.space()
	return total > 0 && free < d.least()
}

// isShort says whether less is free than shall stay free, and logs when that changes.
func (d *disk) isShort() bool {
	free, _ := d.space()
	short := d.underLeast()
	d.mu.Lock()
	defer d.mu.Unlock()
	if short && !d.wasShort {
		d.logger.Error("The disk of the queues is nearly full: applications are told to try again later",
			zap.String("folder", d.folder), zap.Uint64("free_bytes", free))
	}
	if !short && d.wasShort {
		d.logger.Info("The disk of the queues has room again", zap.String("folder", d.folder), zap.Uint64("free_bytes", free))
	}
	d.wasShort = short
	return short
}
