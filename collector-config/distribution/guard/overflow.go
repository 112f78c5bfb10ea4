package guard

import (
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

const (
	overflow = "otel.metric.overflow"
	// It stays on the point: what is for some targets must not come to others.
	destinations = "flask.chests"
	// Lists of destinations that have a point of their own in one metric of one process.
	mostOverflows = 16
)

// overflows are the points into which a metric of one process puts what has no series of its own, one for each list of
// destinations. A message holds all points of a process, so nothing need be remembered between two messages.
type overflows struct {
	numbers    map[string]pmetric.NumberDataPoint
	histograms map[string]pmetric.HistogramDataPoint
}

func keyOf(attributes pcommon.Map) string {
	if list, ok := attributes.Get(destinations); ok {
		return "=" + list.AsString()
	}
	return ""
}

// mark leaves of a point's attributes what an overflow point has.
func mark(attributes pcommon.Map) {
	attributes.RemoveIf(func(key string, _ pcommon.Value) bool { return key != destinations })
	attributes.PutBool(overflow, true)
}

// number adds a point to the sum of its kind; false where there is no room for another kind.
func (o *overflows) number(point pmetric.NumberDataPoint) bool {
	key := keyOf(point.Attributes())
	sum, ok := o.numbers[key]
	if !ok {
		if len(o.numbers) == mostOverflows {
			return false
		}
		if o.numbers == nil {
			o.numbers = map[string]pmetric.NumberDataPoint{}
		}
		sum = pmetric.NewNumberDataPoint()
		point.CopyTo(sum)
		mark(sum.Attributes())
		o.numbers[key] = sum
		return true
	}
	if sum.ValueType() == pmetric.NumberDataPointValueTypeInt && point.ValueType() == pmetric.NumberDataPointValueTypeInt {
		sum.SetIntValue(sum.IntValue() + point.IntValue())
	} else {
		sum.SetDoubleValue(valueOf(sum) + valueOf(point))
	}
	sum.SetStartTimestamp(min(sum.StartTimestamp(), point.StartTimestamp()))
	sum.SetTimestamp(max(sum.Timestamp(), point.Timestamp()))
	return true
}

func valueOf(point pmetric.NumberDataPoint) float64 {
	if point.ValueType() == pmetric.NumberDataPointValueTypeInt {
		return float64(point.IntValue())
	}
	return point.DoubleValue()
}

// histogram does the same; false also where the buckets are others.
func (o *overflows) histogram(point pmetric.HistogramDataPoint) bool {
	key := keyOf(point.Attributes())
	sum, ok := o.histograms[key]
	if !ok {
		if len(o.histograms) == mostOverflows {
			return false
		}
		if o.histograms == nil {
			o.histograms = map[string]pmetric.HistogramDataPoint{}
		}
		sum = pmetric.NewHistogramDataPoint()
		point.CopyTo(sum)
		mark(sum.Attributes())
		o.histograms[key] = sum
		return true
	}
	if !slices.Equal(sum.ExplicitBounds().AsRaw(), point.ExplicitBounds().AsRaw()) {
		return false
	}
	addHistogram(sum, point)
	return true
}

func addHistogram(sum, point pmetric.HistogramDataPoint) {
	for i, count := range point.BucketCounts().All() {
		sum.BucketCounts().SetAt(i, sum.BucketCounts().At(i)+count)
	}
	sum.SetCount(sum.Count() + point.Count())
	if sum.HasSum() && point.HasSum() {
		sum.SetSum(sum.Sum() + point.Sum())
	} else {
		sum.RemoveSum()
	}
	if sum.HasMin() && point.HasMin() && sum.HasMax() && point.HasMax() {
		sum.SetMin(min(sum.Min(), point.Min()))
		sum.SetMax(max(sum.Max(), point.Max()))
	} else {
		sum.RemoveMin()
		sum.RemoveMax()
	}
	sum.SetStartTimestamp(min(sum.StartTimestamp(), point.StartTimestamp()))
	sum.SetTimestamp(max(sum.Timestamp(), point.Timestamp()))
}

// bound takes the points without a series of their own out of a metric, and puts their sum there; what cannot be summed,
// such as gauges, is dropped. It returns how many points are in the sum, and how many are dropped.
func bound(one pmetric.Metric, isKnown func(pcommon.Map) bool) (summed, dropped int) {
	sums := overflows{}
	keep := func(attributes pcommon.Map, add func() bool) bool {
		// What an SDK has put into its own point of this kind is for this one.
		_, summedBefore := attributes.Get(overflow)
		switch {
		case !summedBefore && isKnown(attributes):
			return false
		case add():
			summed++
		default:
			dropped++
		}
		return true
	}
	no := func() bool { return false }
	switch one.Type() {
	case pmetric.MetricTypeSum:
		points := one.Sum().DataPoints()
		points.RemoveIf(func(p pmetric.NumberDataPoint) bool {
			return keep(p.Attributes(), func() bool { return sums.number(p) })
		})
		for _, sum := range sums.numbers {
			sum.MoveTo(points.AppendEmpty())
		}
	case pmetric.MetricTypeHistogram:
		points := one.Histogram().DataPoints()
		points.RemoveIf(func(p pmetric.HistogramDataPoint) bool {
			return keep(p.Attributes(), func() bool { return sums.histogram(p) })
		})
		for _, sum := range sums.histograms {
			sum.MoveTo(points.AppendEmpty())
		}
	default:
		removePoints(one, func(attributes pcommon.Map) bool { return keep(attributes, no) })
	}
	return summed, dropped
}
