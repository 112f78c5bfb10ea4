package guard

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configmiddleware"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/extension/extensionmiddleware"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"
)

// header tells the round tripper for whom it works; it is not sent.
const header = "X-Flask-Chest-Exporter"

// forTheOperator are refusals that someone can end without a change of the data: credentials, address, quota.
var forTheOperator = map[int]bool{
	http.StatusUnauthorized: true, http.StatusPaymentRequired: true, http.StatusForbidden: true,
	http.StatusNotFound: true, http.StatusMethodNotAllowed: true, http.StatusProxyAuthRequired: true,
	http.StatusRequestTimeout: true, http.StatusTooEarly: true, http.StatusTooManyRequests: true,
}

// Wrap makes an exporter keep what its target refuses; where is its HTTP client in its settings?
func Wrap(up exporter.Factory, where func(component.Config) *confighttp.ClientConfig) exporter.Factory {
	add := func(set exporter.Settings, cfg component.Config) {
		client := where(cfg)
		if _, there := client.Headers.Get(header); !there {
			client.Headers.Set(header, configopaque.String(set.ID.String()))
			client.Middlewares = append(client.Middlewares, configmiddleware.Config{ID: component.MustNewID("file_storage")})
		}
	}
	traces := func(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Traces, error) {
		add(set, cfg)
		return up.CreateTraces(ctx, set, cfg)
	}
	metrics := func(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Metrics, error) {
		add(set, cfg)
		return up.CreateMetrics(ctx, set, cfg)
	}
	logs := func(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Logs, error) {
		add(set, cfg)
		return up.CreateLogs(ctx, set, cfg)
	}
	return exporter.NewFactory(up.Type(), up.CreateDefaultConfig,
		exporter.WithTraces(traces, up.TracesStability()),
		exporter.WithMetrics(metrics, up.MetricsStability()),
		exporter.WithLogs(logs, up.LogsStability()))
}

// GetHTTPRoundTripper looks at what the targets answer.
func (g *guard) GetHTTPRoundTripper(context.Context) (extensionmiddleware.WrapHTTPRoundTripperFunc, error) {
	return func(_ context.Context, next http.RoundTripper) (http.RoundTripper, error) {
		return &answers{guard: g, next: next}, nil
	}, nil
}

type answers struct {
	guard *guard
	next  http.RoundTripper
}

// RoundTrip turns a refusal that the operator can end into one that exporters try again, and keeps what is refused for
// its content.
func (a *answers) RoundTrip(request *http.Request) (*http.Response, error) {
	name := request.Header.Get(header)
	request = request.Clone(request.Context())
	request.Header.Del(header)
	body, err := repeatable(request)
	if err != nil {
		return nil, err
	}
	response, err := a.next.RoundTrip(request)
	if err != nil || response.StatusCode < 400 || isTemporary(name, response.StatusCode) {
		return response, err
	}
	answer, err := replaceBody(response)
	if err != nil {
		return nil, err
	}
	if forTheOperator[response.StatusCode] {
		a.tryAgain(name, response, answer)
	} else {
		a.keep(name, request, body, response, answer)
	}
	return response, nil
}

// isTemporary is what the exporters try again themselves. OTLP says that a 500 is final.
func isTemporary(name string, status int) bool {
	return status > 501 || status == 500 && !strings.HasPrefix(name, "otlp_http")
}

func (a *answers) tryAgain(name string, response *http.Response, answer string) {
	a.guard.count(name, response.StatusCode, "queue")
	said := response.Status
	a.guard.rare.log(name+said, func() {
		a.guard.logger.Warn("The target refuses the credentials, the address or the quota. "+
			"The data stay in the queue and are tried again",
			zap.String("exporter", name), zap.String("answer", said), zap.String("says", answer))
	})
	response.StatusCode = http.StatusServiceUnavailable
	response.Status = "503 Service Unavailable, for the target's answer was: " + said
}

func (a *answers) keep(name string, request *http.Request, body func() ([]byte, error), response *http.Response, answer string) {
	where := "file"
	content, err := body()
	if err == nil {
		err = a.guard.letters.keep(letter{
			Exporter: name, URL: withoutSecrets(request.URL), Status: response.StatusCode, Answer: answer, Body: content,
			Type: request.Header.Get("Content-Type"), Encoding: request.Header.Get("Content-Encoding"),
		})
	}
	if err != nil {
		where = "lost"
	}
	a.guard.count(name, response.StatusCode, where)
	a.guard.rare.log(name+where, func() {
		a.guard.logger.Error("The target refuses what is in the data. They are kept in a file, unless there is an error",
			zap.String("exporter", name), zap.String("folder", a.guard.letters.folder),
			zap.String("answer", response.Status), zap.String("says", answer), zap.Error(err))
	})
	switch {
	// These exporters would send it again for ever: one whatever the answer, the other unless it is a 400.
	case strings.HasPrefix(name, "zipkin") && err == nil:
		response.StatusCode = http.StatusAccepted
	case strings.HasPrefix(name, "splunk_hec"):
		response.StatusCode = http.StatusBadRequest
	}
}

func (g *guard) count(name string, status int, where string) {
	g.refusals.Add(context.Background(), 1, metric.WithAttributes(
		attribute.String("exporter", name), attribute.Int("status", status), attribute.String("kept", where)))
}

// repeatable returns a way to read the body of a request once more.
func repeatable(request *http.Request) (func() ([]byte, error), error) {
	if request.GetBody != nil {
		return func() ([]byte, error) {
			body, err := request.GetBody()
			if err != nil {
				return nil, err
			}
			return io.ReadAll(body)
		}, nil
	}
	if request.Body == nil {
		return func() ([]byte, error) { return nil, nil }, nil
	}
	content, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	_ = request.Body.Close()
	request.Body = io.NopCloser(bytes.NewReader(content))
	return func() ([]byte, error) { return content, nil }, nil
}

// replaceBody reads the answer and leaves it to be read again; what it returns is for the log.
func replaceBody(response *http.Response) (string, error) {
	const longest, shown = 1 << 20, 300
	content, err := io.ReadAll(io.LimitReader(response.Body, longest))
	if err != nil {
		return "", err
	}
	_ = response.Body.Close()
	response.Body = io.NopCloser(bytes.NewReader(content))
	return string(content[:min(len(content), shown)]), nil
}

// withoutSecrets is the address without a user, a password or a token.
func withoutSecrets(address *url.URL) string {
	clean := *address
	clean.User = nil
	query := clean.Query()
	for key := range query {
		switch key {
		case "org", "bucket", "db", "rp", "precision", "consistency":
		default:
			query.Del(key)
		}
	}
	clean.RawQuery = query.Encode()
	return clean.String()
}
