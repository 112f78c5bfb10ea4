package guard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configgrpc"
	"go.opentelemetry.io/collector/config/configmiddleware"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"
	upstream "go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// handshake is how Go's HTTP server begins to say that TLS refuses a caller. It says so in its log and nowhere else.
const handshake = "http: TLS handshake error from "

// NewDoorFactory makes otlp, which counts and logs the callers that its TLS refuses.
func NewDoorFactory() receiver.Factory {
	up := upstream.NewFactory()
	traces := func(ctx context.Context, set receiver.Settings, cfg component.Config, next consumer.Traces) (receiver.Traces, error) {
		d, err := newDoor(&set, cfg)
		inner, errInner := up.CreateTraces(ctx, set, cfg, next)
		d.Component = inner
		return d, errors.Join(errInner, err)
	}
	metrics := func(ctx context.Context, set receiver.Settings, cfg component.Config, next consumer.Metrics) (receiver.Metrics, error) {
		d, err := newDoor(&set, cfg)
		inner, errInner := up.CreateMetrics(ctx, set, cfg, next)
		d.Component = inner
		return d, errors.Join(errInner, err)
	}
	logs := func(ctx context.Context, set receiver.Settings, cfg component.Config, next consumer.Logs) (receiver.Logs, error) {
		d, err := newDoor(&set, cfg)
		inner, errInner := up.CreateLogs(ctx, set, cfg, next)
		d.Component = inner
		return d, errors.Join(errInner, err)
	}
	return receiver.NewFactory(up.Type(), up.CreateDefaultConfig,
		receiver.WithTraces(traces, up.TracesStability()),
		receiver.WithMetrics(metrics, up.MetricsStability()),
		receiver.WithLogs(logs, up.LogsStability()))
}

// door is the receiver of one signal; those of one configuration are one receiver.
type door struct {
	component.Component
	*entrance
}

// entrance is what they share.
type entrance struct {
	grpc    *configgrpc.ServerConfig
	refused *refused
	close   sync.Once
	err     error
}

var entrances sync.Map // by configuration: a reload has new ones

// newDoor listens to what the receiver of these settings logs.
func newDoor(set *receiver.Settings, cfg component.Config) (*door, error) {
	told, err := newRefused(set.TelemetrySettings)
	shared, _ := entrances.LoadOrStore(cfg, &entrance{grpc: cfg.(*upstream.Config).Protocols.GRPC.Get(), refused: told})
	d := &door{entrance: shared.(*entrance)}
	set.Logger = set.Logger.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return &listening{Core: core, refused: d.refused}
	}))
	return d, err
}

type doorKey struct{}

// Start gives the gRPC server TLS that tells of whom it refuses.
func (d *door) Start(ctx context.Context, host component.Host) error {
	id := component.MustNewID("file_storage")
	if _, there := host.GetExtensions()[id].(*guard); there && d.grpc != nil && d.grpc.TLS.HasValue() {
		ctx = context.WithValue(ctx, doorKey{}, d)
		if mine := (configmiddleware.Config{ID: id}); !slices.Contains(d.grpc.Middlewares, mine) {
			d.grpc.Middlewares = append(d.grpc.Middlewares, mine)
		}
	}
	return d.Component.Start(ctx, host)
}

// GetGRPCServerOptions is asked for by a door, after it has its usual TLS: the last one counts.
func (g *guard) GetGRPCServerOptions(ctx context.Context) ([]grpc.ServerOption, error) {
	d, ok := ctx.Value(doorKey{}).(*door)
	if !ok {
		return nil, nil
	}
	settings, err := d.grpc.TLS.Get().LoadTLSConfig(ctx)
	if err != nil {
		return nil, err
	}
	return []grpc.ServerOption{grpc.Creds(&lock{credentials.NewTLS(settings), d.refused})}, nil
}

// lock is TLS over gRPC.
type lock struct {
	credentials.TransportCredentials
	refused *refused
}

// ServerHandshake looks at a caller. One that says nothing at all only looks whether the port is open; gRPC's own client,
// where it does not trust this server, goes away without a word after its first.
func (l *lock) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	caller := &caller{Conn: raw}
	let, info, err := l.TransportCredentials.ServerHandshake(caller)
	if err != nil && caller.spoke {
		l.refused.byTLS("grpc", fmt.Sprintf("%s: %v", raw.RemoteAddr(), err))
	}
	return let, info, err
}

// caller is a connection that knows whether anything was said.
type caller struct {
	net.Conn
	spoke bool
}

func (c *caller) Read(into []byte) (int, error) {
	n, err := c.Conn.Read(into)
	c.spoke = c.spoke || n > 0
	return n, err
}

// SyscallConn is asked for by gRPC, for its time-outs.
func (c *caller) SyscallConn() (syscall.RawConn, error) {
	if raw, ok := c.Conn.(syscall.Conn); ok {
		return raw.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

// Clone is part of the interface.
func (l *lock) Clone() credentials.TransportCredentials {
	return &lock{l.TransportCredentials.Clone(), l.refused}
}

// listening hears in a log whom TLS refuses over HTTP.
type listening struct {
	zapcore.Core
	refused *refused
}

// With returns the same with these fields.
func (l *listening) With(fields []zapcore.Field) zapcore.Core {
	return &listening{Core: l.Core.With(fields), refused: l.refused}
}

// DropInjectedAttributes is asked for by the receiver, which serves several signals.
func (l *listening) DropInjectedAttributes(names ...string) zapcore.Core {
	if core, ok := l.Core.(interface {
		DropInjectedAttributes(names ...string) zapcore.Core
	}); ok {
		return &listening{Core: core.DropInjectedAttributes(names...), refused: l.refused}
	}
	return l
}

// Check lets everything pass but what it listens for.
func (l *listening) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if strings.HasPrefix(entry.Message, handshake) {
		return checked.AddCore(entry, l)
	}
	return l.Core.Check(entry, checked)
}

// Write is called for what it listens for, but for those who said nothing: they only look whether the port is open.
func (l *listening) Write(entry zapcore.Entry, _ []zapcore.Field) error {
	if said := strings.TrimPrefix(entry.Message, handshake); !strings.HasSuffix(said, ": "+io.EOF.Error()) {
		l.refused.byTLS("http", said)
	}
	return nil
}
