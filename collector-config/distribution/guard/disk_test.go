package guard

import (
	"context"
	"testing"

	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"
)

// What has come before is written twice, what is in a gate once more, and nothing of it stays counted.
func TestRoomIsKeptForWhatHasCome(t *testing.T) {
	d := &disk{folder: t.TempDir(), logger: zap.NewNop()}
	free, total := d.space()
	if total == 0 {
		t.Skip("the size of a disk cannot be had here")
	}
	third := int64(free)/3 + 1
	d.coming.Add(third)
	if _, err := d.enter(1); err != errShort {
		t.Errorf("a third, written twice with what is beside it, leaves no room: %v", err)
	}
	d.coming.Add(-third)
	w := waiting{sizes: map[string]int64{}, total: &d.inGates}
	w.note([]*storage.Operation{storage.SetOperation("1", make([]byte, 100)), storage.SetOperation("mark", make([]byte, 7))})
	w.note([]*storage.Operation{storage.SetOperation("mark", make([]byte, 9)), storage.GetOperation("1")})
	if d.inGates.Load() != 109 {
		t.Errorf("%d bytes in gates", d.inGates.Load())
	}
	d.inGates.Add(2 * third)
	if _, err := d.enter(1); err != errShort {
		t.Errorf("what is in the gates leaves no room: %v", err)
	}
	d.inGates.Add(-2 * third)
	w.note([]*storage.Operation{storage.DeleteOperation("1"), storage.DeleteOperation("mark"), storage.DeleteOperation("?")})
	leave, err := d.enter(5)
	if err != nil || d.inGates.Load() != 0 || d.coming.Load() != 5 {
		t.Errorf("%v, %d in gates, %d coming", err, d.inGates.Load(), d.coming.Load())
	}
	leave()
	if d.coming.Load() != 0 || len(w.sizes) != 0 {
		t.Errorf("%d coming, sizes %v", d.coming.Load(), w.sizes)
	}
}

// However large a request is, it comes in when half of the disk is free and nothing else is on its way.
func TestALargeRequestComesIn(t *testing.T) {
	d := &disk{folder: t.TempDir(), logger: zap.NewNop()}
	free, total := d.space()
	_, err := d.enter(1 << 50)
	if margin := total / 100; err == nil && free+margin < total/2 || err != nil && free > total/2+margin {
		t.Errorf("%d of %d bytes are free: %v", free, total, err)
	}
}

// left is a file that holds something of an earlier process.
type left struct{ storage.Client }

func (left) Walk(_ context.Context, look storage.WalkFunc) error {
	_, err := look("1", make([]byte, 100))
	return err
}

// What an earlier process has left in a gate counts.
func TestWhatIsLeftInAGate(t *testing.T) {
	d := &disk{}
	w := waiting{sizes: map[string]int64{}, total: &d.inGates}
	if err := w.find(context.Background(), left{}); err != nil || d.inGates.Load() != 100 {
		t.Errorf("%v, %d in gates", err, d.inGates.Load())
	}
}
