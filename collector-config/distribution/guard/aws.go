package guard

import (
	"context"
	"errors"
	"regexp"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
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
