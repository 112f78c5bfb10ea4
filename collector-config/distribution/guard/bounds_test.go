package guard

import (
	"fmt"
	"testing"
	"time"
)

// A service gets what is left of its minute, others are not touched, and the next minute begins anew.
func TestQuota(t *testing.T) {
	q := quota{most: 10}
	now := time.Now()
	for _, one := range []struct {
		service   string
		items     int
		after     time.Duration
		wantToFit int
	}{
		{"loud", 7, 0, 7}, {"loud", 7, time.Second, 3}, {"loud", 7, 2 * time.Second, 0},
		{"shop", 10, 2 * time.Second, 10}, {"loud", 12, time.Minute, 10},
	} {
		if _, fit := q.take(one.service, one.items, now.Add(one.after)); fit != one.wantToFit {
			t.Errorf("%+v: %d fit", one, fit)
		}
	}
}

// However many names there are, no more are remembered than the bound; the others share one.
func TestNamesAreBounded(t *testing.T) {
	q, s := quota{most: 1}, series{most: 1}
	now := time.Now()
	for n := range 3 * mostNames {
		name := fmt.Sprint(n)
		counted, fit := q.take(name, 1, now)
		if isKnown := n < mostNames; isKnown != (counted == name) || (fit == 1) != (n <= mostNames) {
			t.Fatalf("%d: %d counted as %s", n, fit, counted)
		}
		s.has(name, [16]byte{byte(n), byte(n >> 8)}, now)
	}
	if len(q.used) != mostNames+1 || len(s.seen) != mostNames+1 {
		t.Errorf("%d and %d names", len(q.used), len(s.seen))
	}
}

// The first sets of attributes stay, further ones do not come in before the next day.
func TestSeries(t *testing.T) {
	s := series{most: 2}
	now := time.Now()
	first, second, third := [16]byte{1}, [16]byte{2}, [16]byte{3}
	if !s.has("m", first, now) || !s.has("m", second, now) || s.has("m", third, now) || !s.has("m", first, now) {
		t.Error("not the first two")
	}
	if !s.has("other", third, now) || !s.has("m", third, now.Add(day)) {
		t.Error("another metric and another day have bounds of their own")
	}
}

// Without a bound everything fits and nothing is remembered.
func TestNoBounds(t *testing.T) {
	q, s := quota{}, series{}
	if _, fit := q.take("loud", 1000, time.Now()); fit != 1000 || q.used != nil {
		t.Error(fit)
	}
	if !s.has("m", [16]byte{}, time.Now()) || s.seen != nil {
		t.Error("a series is refused")
	}
}
