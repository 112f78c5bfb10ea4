// Package guard holds what the bundled collector does beyond OpenTelemetry's own: it loses nothing to a full disk, and
// nothing to a target that refuses.
//
// Its parts take the place of components of the same name and settings, so that a configuration fits both.
package guard

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	upstream "github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"
)

const (
	scope            = "flask-chest-collector/guard"
	defaultFreeBytes = 256 << 20
	defaultKeptBytes = 64 << 20
	pause            = 250 * time.Millisecond
	// How the name of a gate ends, as in otlp_grpc/influxdb_gate.
	gateEnding = "_gate"
)

var (
	errShort  = errors.New("the disk of the queues is nearly full")
	errFrozen = errors.New("stopped while the disk of the queues was full; the queue stays as it is on the disk")
)

// NewStorageFactory makes file_storage, which waits where the original gives up what is in the queue.
func NewStorageFactory() extension.Factory {
	up := upstream.NewFactory()
	create := func(ctx context.Context, set extension.Settings, cfg component.Config) (extension.Extension, error) {
		inner, err := up.Create(ctx, set, cfg)
		if err != nil {
			return nil, err
		}
		return newExtension(inner.(storage.Extension), set, cfg.(*upstream.Config).Directory)
	}
	return extension.NewFactory(up.Type(), up.CreateDefaultConfig, create, up.Stability())
}

type guard struct {
	storage.Extension
	disk     *disk
	letters  *letters
	refusals metric.Int64Counter
	waits    metric.Int64Counter
	logger   *zap.Logger
	rare     rarely

	ready    atomic.Bool
	stopping chan struct{}
	stop     sync.Once
	last     *time.Timer
}

func newExtension(inner storage.Extension, set extension.Settings, folder string) (*guard, error) {
	g := &guard{
		Extension: inner,
		disk:      &disk{folder: folder, reserve: numberOf("CHEST_QUEUE_FREE_BYTES", defaultFreeBytes), logger: set.Logger},
		letters:   newLetters(folder),
		logger:    set.Logger,
		stopping:  make(chan struct{}),
	}
	return g, g.measure(set.MeterProvider.Meter(scope))
}

func (g *guard) measure(meter metric.Meter) error {
	var errs [4]error
	g.refusals, errs[0] = meter.Int64Counter("otelcol_chest_target_refusals",
		metric.WithDescription("Requests that a target refused, and where they are now: queue, file or lost."))
	g.waits, errs[1] = meter.Int64Counter("otelcol_chest_full_disk_waits",
		metric.WithDescription("Times that a queue had to wait because its disk was full."))
	_, errs[2] = meter.Int64ObservableGauge("otelcol_chest_queue_disk_free", metric.WithUnit("By"),
		metric.WithDescription("Free bytes of the disk of the queues."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			free, _ := g.disk.space()
			o.Observe(int64(free))
			return nil
		}))
	_, errs[3] = meter.Int64ObservableGauge("otelcol_chest_queue_disk_reserve", metric.WithUnit("By"),
		metric.WithDescription("Below this many free bytes applications are told to try again later."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(int64(g.disk.least()))
			return nil
		}))
	return errors.Join(errs[:]...)
}

// Start opens the folder.
func (g *guard) Start(ctx context.Context, host component.Host) error {
	err := g.Extension.Start(ctx, host)
	if err == nil {
		g.disk.hold()
	}
	return err
}

// Ready is called when the receivers take data.
func (g *guard) Ready() error {
	g.ready.Store(true)
	return nil
}

// GetClient opens the file of one queue.
func (g *guard) GetClient(ctx context.Context, kind component.Kind, id component.ID, name string) (storage.Client, error) {
	inner, err := g.Extension.GetClient(ctx, kind, id, name)
	if err != nil {
		// Upstream says "timeout" where another process has the file open.
		return nil, errors.Join(err, errors.New("the queue of "+id.String()+" in the folder "+g.disk.folder+
			" cannot be opened: does another collector use this folder?"))
	}
	q := &queue{Client: inner, guard: g}
	if strings.HasSuffix(id.Name(), gateEnding) {
		q.waiting = &waiting{sizes: map[string]int64{}, total: &g.disk.inGates}
		if err := q.waiting.find(ctx, inner); err != nil {
			g.logger.Warn("What an earlier process has left in a gate is not counted", zap.Stringer("gate", id), zap.Error(err))
		}
	}
	return q, nil
}

// queue is the file of one queue.
type queue struct {
	storage.Client
	guard   *guard
	frozen  atomic.Bool
	waiting *waiting // of a gate; nil for other queues
}

// Batch takes what is new where there is room, and waits for room to mark what is taken from the queue: the caller
// would lose an item that it cannot mark.
func (q *queue) Batch(ctx context.Context, ops ...*storage.Operation) error {
	isNew := q.guard.ready.Load() && brings(ops)
	if isNew && !q.guard.disk.mayGrow() {
		return errShort
	}
	for waited := false; ; waited = true {
		if q.frozen.Load() {
			return errFrozen
		}
		err := q.Client.Batch(ctx, ops...)
		if err == nil && q.waiting != nil {
			q.waiting.note(ops)
		}
		if err == nil || isNew || !isFull(err) {
			return err
		}
		if q.guard.disk.spend() {
			continue
		}
		if !waited {
			q.guard.waits.Add(ctx, 1)
			q.guard.rare.log("disk", func() {
				q.guard.logger.Error("The disk of the queues is full: sending waits until there is room",
					zap.String("folder", q.guard.disk.folder))
			})
		}
		select {
		case <-q.guard.stopping:
			// From here on nothing more is written: the next start finds the queue as it was.
			q.frozen.Store(true)
		case <-time.After(pause):
		}
	}
}

// Set, Delete and Get are batches of one.
func (q *queue) Set(ctx context.Context, key string, value []byte) error {
	return q.Batch(ctx, storage.SetOperation(key, value))
}

func (q *queue) Delete(ctx context.Context, key string) error {
	return q.Batch(ctx, storage.DeleteOperation(key))
}

// brings says whether these operations put a new item into the queue: an item and the list, and nothing taken out.
func brings(ops []*storage.Operation) bool {
	for _, op := range ops {
		if op.Type != storage.Set {
			return false
		}
	}
	return len(ops) > 1
}

// waiting knows the sizes of what is in a gate, for what waits there needs the same room once more behind it.
type waiting struct {
	mu    sync.Mutex
	sizes map[string]int64
	total *atomic.Int64
}

// find looks at what an earlier process has left.
func (w *waiting) find(ctx context.Context, client storage.Client) error {
	walker, ok := client.(storage.Walker)
	if !ok {
		return nil
	}
	return walker.Walk(ctx, func(key string, value []byte) ([]*storage.Operation, error) {
		w.set(key, int64(len(value)))
		return nil, nil
	})
}

func (w *waiting) note(ops []*storage.Operation) {
	for _, op := range ops {
		switch op.Type {
		case storage.Set:
			w.set(op.Key, int64(len(op.Value)))
		case storage.Delete:
			w.set(op.Key, 0)
		}
	}
}

func (w *waiting) set(key string, size int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.total.Add(size - w.sizes[key])
	if w.sizes[key] = size; size == 0 {
		delete(w.sizes, key)
	}
}

func numberOf(variable string, otherwise uint64) uint64 {
	value, err := strconv.ParseUint(os.Getenv(variable), 10, 63)
	if err != nil {
		return otherwise
	}
	return value
}

func keptFolder(folder string) string {
	if path := os.Getenv("CHEST_REFUSED_DIR"); path != "" {
		return path
	}
	return filepath.Join(folder, "refused")
}

// rarely lets one line a minute into the log for each thing that may happen many times a second.
type rarely struct {
	mu   sync.Mutex
	last map[string]time.Time
}

func (r *rarely) log(key string, write func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.last[key]) < time.Minute {
		return
	}
	if r.last == nil {
		r.last = map[string]time.Time{}
	}
	r.last[key] = time.Now()
	write()
}
