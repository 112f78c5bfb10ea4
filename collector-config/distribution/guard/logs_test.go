package guard

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/metric/noop"
	"go.uber.org/zap"
)

func logsOf(service string, times ...time.Time) plog.Logs {
	data := plog.NewLogs()
	of := data.ResourceLogs().AppendEmpty()
	of.Resource().Attributes().PutStr("service.name", service)
	records := of.ScopeLogs().AppendEmpty().LogRecords()
	for _, at := range times {
		record := records.AppendEmpty()
		if !at.IsZero() {
			record.SetTimestamp(pcommon.NewTimestampFromTime(at))
		}
	}
	return data
}

// A service brings so many log records in a minute; others are not touched.
func TestLogsAreBounded(t *testing.T) {
	t.Setenv("CHEST_SERVICE_LOGS_PER_MINUTE", "3")
	b, err := newBounds(noop.NewMeterProvider().Meter(scope), "CHEST_SERVICE_LOGS_PER_MINUTE")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for _, one := range []struct {
		service string
		want    int
	}{{"loud", 2}, {"loud", 1}, {"loud", 0}, {"shop", 2}} {
		data := logsOf(one.service, now, now)
		if b.logs(data); data.LogRecordCount() != one.want {
			t.Errorf("%+v: %d are left", one, data.LogRecordCount())
		}
	}
}

// What CloudWatch Logs would not take for its time goes; what has no time stays, for it gets one.
func TestUntimelyLogs(t *testing.T) {
	now := time.Now()
	data := logsOf("shop", now, time.Time{}, now.Add(-15*24*time.Hour), now.Add(3*time.Hour), now.Add(-13*24*time.Hour))
	if lost := removeUntimely(data, now); lost != 2 || data.LogRecordCount() != 3 {
		t.Errorf("%d are lost, %d are left", lost, data.LogRecordCount())
	}
}

type refusal string

func (r refusal) Error() string     { return string(r) }
func (r refusal) ErrorCode() string { return string(r) }

// What AWS refuses for its content is kept and not tried again, although the exporter of logs does not say that it is final.
func TestContentOfLogsIsRefusedForGood(t *testing.T) {
	counter, err := noop.NewMeterProvider().Meter(scope).Int64Counter("refusals")
	if err != nil {
		t.Fatal(err)
	}
	kept := &letters{folder: t.TempDir(), bound: 1 << 20}
	a := aws{name: "awscloudwatchlogs", guard: &guard{refusals: counter, logger: zap.NewNop(), letters: kept}}
	content := func() ([]byte, error) { return []byte("content"), nil }
	path := filepath.Join(kept.folder, newest)
	if err := a.judge(errors.Join(refusal("ThrottlingException")), content); consumererror.IsPermanent(err) {
		t.Error(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("what is tried again is kept, too")
	}
	if err := a.judge(errors.Join(refusal("InvalidParameterException")), content); !consumererror.IsPermanent(err) {
		t.Error(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}
