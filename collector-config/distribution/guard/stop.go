package guard

import (
	"context"
	"errors"
	"os"
	"time"

	"go.uber.org/zap"
)

const (
	defaultStopSeconds = 15
	// How long a door waits for callers that are in the middle of something, first those over HTTP, then those over gRPC.
	patience = 3 * time.Second
)

// Shutdown closes the door. A caller that says nothing, or not all, keeps it open no longer than patience twice: it has no
// answer, and sends again what it has.
func (d *door) Shutdown(ctx context.Context) error {
	d.close.Do(func() {
		closed := make(chan error, 1)
		go func() { closed <- d.shutdown(ctx) }()
		select {
		case d.err = <-closed:
		case <-time.After(2 * patience):
		}
	})
	return d.err
}

func (d *door) shutdown(ctx context.Context) error {
	// The server of HTTP heeds this, that of gRPC waits for two minutes whatever it is told.
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := d.Component.Shutdown(limited)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

// endWithin ends the process when something that is away keeps it from ending. What waits is on the disk.
func (g *guard) endWithin(bound time.Duration) {
	g.last = time.AfterFunc(bound, func() {
		g.logger.Error("Something waits for a target or a caller, and keeps the collector from stopping. "+
			"It ends now. What waits in the queues stays on the disk", zap.Duration("after", bound))
		_ = g.logger.Sync()
		os.Exit(1)
	})
}

// NotReady is called before anything is stopped.
func (g *guard) NotReady() error {
	g.stop.Do(func() {
		close(g.stopping)
		g.endWithin(time.Duration(numberOf("CHEST_STOP_SECONDS", defaultStopSeconds)) * time.Second)
	})
	return nil
}

// Shutdown is called when everything else has stopped.
func (g *guard) Shutdown(ctx context.Context) error {
	err := g.Extension.Shutdown(ctx)
	if g.last != nil {
		g.last.Stop()
	}
	return err
}
