package guard

import (
	"context"
	"errors"
	"regexp"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"
)

// awsForTheOperator are AWS's names for wrong credentials, missing rights and quotas. Its status is 400 for most of them.
var awsForTheOperator = regexp.MustCompile("AccessDenied|NotAuthorized|UnrecognizedClient|InvalidClientTokenId|InvalidAccessKeyId|" +
	"ExpiredToken|RequestExpired|Signature|MissingAuthentication|OptInRequired|Throttl|TooManyRequests|LimitExceeded|" +
	"ResourceNotFound|ServiceUnavailable")

// awsForTheContent are its names for what is refused for what is in it; not all exporters know all of them.
var awsForTheContent = regexp.MustCompile("InvalidParameter|InvalidRequest|Validation|Serialization|Malformed|TooLarge")

// WrapAWS makes an exporter ask again where AWS refuses the credentials, the rights or the quota. The queue is in front of
// the exporter, on the other side of a loopback connection.
func WrapAWS(up exporter.Factory) exporter.Factory {
	options := []exporter.FactoryOption{}
	if up.TracesStability() != component.StabilityLevelUndefined {
		options = append(options, exporter.WithTraces(
			func(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Traces, error) {
				inner, err := up.CreateTraces(ctx, set, cfg)
				return &awsTraces{Traces: inner, aws: aws{name: set.ID.String()}}, err
			}, up.TracesStability()))
	}
	if up.MetricsStability() != component.StabilityLevelUndefined {
		options = append(options, exporter.WithMetrics(
			func(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Metrics, error) {
				inner, err := up.CreateMetrics(ctx, set, cfg)
				return &awsMetrics{Metrics: inner, aws: aws{name: set.ID.String()}}, err
			}, up.MetricsStability()))
	}
	if up.LogsStability() != component.StabilityLevelUndefined {
		options = append(options, exporter.WithLogs(
			func(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Logs, error) {
				inner, err := up.CreateLogs(ctx, set, cfg)
				return &awsLogs{Logs: inner, aws: aws{name: set.ID.String()}}, err
			}, up.LogsStability()))
	}
	return exporter.NewFactory(up.Type(), up.CreateDefaultConfig, options...)
}

type aws struct {
	name  string
	guard *guard
}

// look finds the guard among the extensions.
func (a *aws) look(host component.Host) {
	for _, one := range host.GetExtensions() {
		if found, ok := one.(*guard); ok {
			a.guard = found
		}
	}
}

// judge makes of a refusal that somebody can end one that is tried again, and keeps what is refused for its content. It
// counts both. The content is OTLP, to be sent to the door of AWS's queue again.
func (a *aws) judge(err error, content func() ([]byte, error)) error {
	var coded interface{ ErrorCode() string }
	if err == nil || a.guard == nil || !errors.As(err, &coded) {
		return err
	}
	forTheOperator := awsForTheOperator.MatchString(coded.ErrorCode())
	if !forTheOperator && awsForTheContent.MatchString(coded.ErrorCode()) && !consumererror.IsPermanent(err) {
		err = consumererror.NewPermanent(err) // the exporter of logs does not say so
	}
	if !forTheOperator && !consumererror.IsPermanent(err) {
		return err // tried again as it is
	}
	status := 0
	var answered interface{ HTTPStatusCode() int }
	if errors.As(err, &answered) {
		status = answered.HTTPStatusCode()
	}
	if forTheOperator {
		a.guard.count(a.name, status, "queue")
		a.guard.rare.log(a.name+"queue", func() {
			a.guard.logger.Error("AWS refuses the credentials, the rights or the quota. The data stay in the queue and are tried again",
				zap.String("exporter", a.name), zap.Error(err))
		})
		return errors.New(err.Error()) // no longer a permanent one
	}
	a.keep(status, err, content)
	return err
}

func (a *aws) keep(status int, refusal error, content func() ([]byte, error)) {
	const shown = 300
	where, answer := "file", refusal.Error()
	body, err := content()
	if err == nil {
		err = a.guard.letters.keep(letter{
			Exporter: a.name, URL: "aws", Type: "application/x-protobuf", Status: status,
			Answer: answer[:min(len(answer), shown)], Body: body,
		})
	}
	if err != nil {
		where = "lost"
	}
	a.guard.count(a.name, status, where)
	a.guard.rare.log(a.name+where, func() {
		a.guard.logger.Error("AWS refuses what is in the data. They are kept in a file, unless there is an error",
			zap.String("exporter", a.name), zap.String("folder", a.guard.letters.folder),
			zap.NamedError("says", refusal), zap.Error(err))
	})
}

type awsTraces struct {
	exporter.Traces
	aws
}

func (a *awsTraces) Start(ctx context.Context, host component.Host) error {
	a.look(host)
	return a.Traces.Start(ctx, host)
}

func (a *awsTraces) ConsumeTraces(ctx context.Context, data ptrace.Traces) error {
	return a.judge(a.Traces.ConsumeTraces(ctx, data), func() ([]byte, error) {
		return (&ptrace.ProtoMarshaler{}).MarshalTraces(data)
	})
}

type awsMetrics struct {
	exporter.Metrics
	aws
}

func (a *awsMetrics) Start(ctx context.Context, host component.Host) error {
	a.look(host)
	return a.Metrics.Start(ctx, host)
}

func (a *awsMetrics) ConsumeMetrics(ctx context.Context, data pmetric.Metrics) error {
	return a.judge(a.Metrics.ConsumeMetrics(ctx, data), func() ([]byte, error) {
		return (&pmetric.ProtoMarshaler{}).MarshalMetrics(data)
	})
}

type awsLogs struct {
	exporter.Logs
	aws
}

func (a *awsLogs) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

func (a *awsLogs) Start(ctx context.Context, host component.Host) error {
	a.look(host)
	return a.Logs.Start(ctx, host)
}

func (a *awsLogs) ConsumeLogs(ctx context.Context, data plog.Logs) error {
	if lost := removeUntimely(data, time.Now()); lost > 0 && a.guard != nil {
		a.guard.count(a.name, 0, "lost")
		a.guard.rare.log(a.name+"untimely", func() {
			a.guard.logger.Error("CloudWatch Logs takes nothing older than 14 days, or of the future. It is lost",
				zap.String("exporter", a.name), zap.Int("records", lost))
		})
	}
	return a.judge(a.Logs.ConsumeLogs(ctx, data), func() ([]byte, error) {
		return (&plog.ProtoMarshaler{}).MarshalLogs(data)
	})
}

const (
	// What CloudWatch Logs takes, less a minute for clocks that differ.
	awsOldest = 14*24*time.Hour - time.Minute
	awsNewest = 2*time.Hour - time.Minute
)

// removeUntimely takes out what CloudWatch Logs does not take for its time: because of one such record the exporter would
// send the others of its batch again and again. It returns how many they are.
func removeUntimely(data plog.Logs, now time.Time) int {
	oldest, newest := pcommon.NewTimestampFromTime(now.Add(-awsOldest)), pcommon.NewTimestampFromTime(now.Add(awsNewest))
	lost := 0
	for _, of := range data.ResourceLogs().All() {
		for _, scoped := range of.ScopeLogs().All() {
			scoped.LogRecords().RemoveIf(func(record plog.LogRecord) bool {
				// One without a time gets that of its sending.
				out := record.Timestamp() != 0 && (record.Timestamp() < oldest || record.Timestamp() > newest)
				if out {
					lost++
				}
				return out
			})
		}
	}
	return lost
}
