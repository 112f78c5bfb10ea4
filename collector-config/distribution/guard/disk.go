package guard

import (
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

const (
	// Of a small disk a quarter is enough to keep free.
	smallest = 4
	// How much of that is held by a file that gives way.
	ofReserve = 4
	mostHeld  = 16 << 20
	heldName  = "room-for-sending"
	// A queue that has become empty is written anew, as a small file in place of a large one, which takes some room.
	forCompaction = 1 << 20
	calm          = 5 * time.Second
)

// disk is the file system of the queues.
type disk struct {
	folder  string
	reserve uint64
	logger  *zap.Logger

	// Bytes that have passed the door and are in no gate yet, and bytes in the gates. Each has still to be written into a
	// gate and into the queue behind it, or into that alone, and the file of a gate does not become smaller at once. An
	// item takes up to one and a half times its bytes, for its neighbours in the file are written with it.
	coming, inGates atomic.Int64

	mu        sync.Mutex
	isTold    bool
	lastShort time.Time
	isSpent   bool
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

// enter lets a request of so many bytes through the door, and returns what must be called when it is in a gate. It is
// refused where less would stay free than shall stay free, when it is written and all that has come before it.
func (d *disk) enter(size int64) (leave func(), err error) {
	before := d.coming.Add(size) - size
	_, total := d.space()
	// A request that is large beside the disk must come in some day.
	own := min(3*size, int64(total/2))
	if d.isShort(uint64(max(0, own+3*before+d.inGates.Load()*3/2))) {
		d.coming.Add(-size)
		return nil, errShort
	}
	return func() { d.coming.Add(-size) }, nil
}

// isShort says whether less is free than shall stay free when so many bytes more are written. It logs when that begins, and
// when it has been over for a while: in a burst it is over and comes back many times a second.
func (d *disk) isShort(more uint64) bool {
	free, total := d.space()
	short := total > 0 && free < d.least()+more
	if short && free < forCompaction {
		d.spend()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if short && !d.isTold {
		d.logger.Error("The disk of the queues is nearly full: applications are told to try again later",
			zap.String("folder", d.folder), zap.Uint64("free_bytes", free))
	}
	if !short && d.isTold && time.Since(d.lastShort) > calm {
		d.isTold = false
		d.logger.Info("The disk of the queues has room again", zap.String("folder", d.folder), zap.Uint64("free_bytes", free))
	}
	if short {
		d.isTold, d.lastShort = true, time.Now()
	}
	return short
}
