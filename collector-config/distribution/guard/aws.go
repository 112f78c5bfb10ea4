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

// judge makes of a refusal that somebody can end one that is tried again, and counts it and all others.
func (a *aws) judge(err error) error {
	var coded interface{ ErrorCode() string }
	if err == nil || a.guard == nil || !errors.As(err, &coded) {
		return err
	}
	if coded.ErrorCode() == "InvalidParameterException" && !consumererror.IsPermanent(err) {
		err = consumererror.NewPermanent(err) // the exporter of logs does not say so
	}
	forTheOperator := awsForTheOperator.MatchString(coded.ErrorCode())
	if !forTheOperator && !consumererror.IsPermanent(err) {
		return err // tried again as it is
	}
	status := 0
	var answered interface{ HTTPStatusCode() int }
	if errors.As(err, &answered) {
		status = answered.HTTPStatusCode()
	}
	where, message := "lost", "AWS refuses what is in the data. They are lost"
	if forTheOperator {
		where, message = "queue", "AWS refuses the credentials, the rights or the quota. The data stay in the queue and are tried again"
	}
	a.guard.count(a.name, status, where)
	a.guard.rare.log(a.name+where, func() {
		a.guard.logger.Error(message, zap.String("exporter", a.name), zap.Error(err))
	})
	if forTheOperator {
		return errors.New(err.Error()) // no longer a permanent one
	}
	return err
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
	return a.judge(a.Traces.ConsumeTraces(ctx, data))
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
	return a.judge(a.Metrics.ConsumeMetrics(ctx, data))
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
	return a.judge(a.Logs.ConsumeLogs(ctx, data))
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
