package ab

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/capsem/capsem-bench/compare"
)

// What a forecast takes for the noise of ops: standard deviations between boots
// and between the rounds of one boot. Most ops of a machine at rest lie between.
const (
	QuietBoots, quietRounds = 0.02, 0.03
	NoisyBoots, noisyRounds = 0.10, 0.10
)

// blind is the slowdown of a quiet op that a plan has to show, as gate asks of
// few boots.
const blind = 0.5

// A Forecast is how small a slowdown a plan finds with 80 % power, as a ratio, in
// ops of QuietBoots and of NoisyBoots; +Inf where it finds none.
type Forecast struct{ Quiet, Noisy float64 }

// vain reports a plan that shows too little to be worth its boots.
func (f Forecast) vain() bool { return f.Quiet > blind }

// sd is the standard deviation of what a boot counts as: the mean of the middle
// half of its rounds after the first, whose variance is 1.2 of that of their
// mean, and 1.0 to 1.35 of four rounds and fewer.
func sd(boots, rounds float64, n int) float64 {
	const ofMean = 1.2
	return math.Sqrt(boots*boots + ofMean*rounds*rounds/float64(max(n-1, 1)))
}

// A Forecaster works out what plans find of so many metrics.
type Forecaster struct {
	metrics int
	rk      *compare.Ranker
	known   map[int]*compare.Sensitivity // by the boots of the last look
}

// NewForecaster returns one for trials that judge so many metrics together.
func NewForecaster(metrics int) *Forecaster {
	return &Forecaster{max(metrics, 1), compare.NewRanker(), make(map[int]*compare.Sensitivity)}
}

// Of returns what a plan with these looks finds with so many rounds in a boot.
func (f *Forecaster) Of(looks []int, rounds int) (Forecast, error) {
	quiet, noisy := sd(QuietBoots, quietRounds, rounds), sd(NoisyBoots, noisyRounds, rounds)
	if compare.IsFew(looks) {
		return f.few(looks[0], quiet, noisy), nil
	}
	plan, err := compare.PlanOf(looks)
	if err != nil {
		return Forecast{}, err
	}
	if plan.CanReject(f.rk, f.metrics) != nil {
		return Forecast{math.Inf(1), math.Inf(1)}, nil
	}
	s := f.known[plan.Last()]
	if s == nil {
		s = compare.SensitivityOf(plan, f.rk, f.metrics)
		f.known[plan.Last()] = s
	}
	limit := math.Log1p(plan.Budget)
	of := func(sd float64) float64 { return math.Expm1(s.Smallest(sd, sd, 0, limit)) }
	return Forecast{of(quiet), of(noisy)}, nil
}

// few is the forecast of few boots, from boots drawn with a fixed seed: half of
// the metrics quiet, half noisy.
func (f *Forecaster) few(boots int, quiet, noisy float64) Forecast {
	rng := rand.New(rand.NewPCG(3, 3))
	n := max(f.metrics, 2)
	strata, limit, within := make([]compare.Stratum, n), make([]float64, n), make([]float64, n)
	for i := range strata {
		sd := quiet
		if i%2 == 1 {
			sd = noisy
		}
		for range boots {
			strata[i].Base = append(strata[i].Base, sd*rng.NormFloat64())
			strata[i].Cand = append(strata[i].Cand, sd*rng.NormFloat64())
		}
		limit[i], within[i] = math.Log1p(compare.DefaultBudget), math.Log(10)
	}
	sizes := compare.SmallestMaxT(strata, compare.FewLevel(boots), limit, within)
	of := func(first int) float64 {
		var class []float64
		for i := first; i < n; i += 2 {
			class = append(class, sizes[i])
		}
		slices.Sort(class)
		return math.Expm1(class[len(class)/2])
	}
	return Forecast{of(0), of(1)}
}

// A TooShortError says that no plan of the given time shows anything.
type TooShortError struct {
	Max, Need time.Duration // Need of the shortest plan that shows something
	Boots     int           // of both sides, which that plan takes
	Each      time.Duration // which one of them takes
}

func (e *TooShortError) Error() string {
	return fmt.Sprintf("%s shows nothing: the shortest plan that does is %d boots of %s, which take %s", e.Max, e.Boots, e.Each.Round(time.Millisecond), e.Need)
}

// Within returns the looks and rounds of the plan that finds most of those whose
// last look is reached in the time, or a *TooShortError.
func (t Timing) Within(most time.Duration, f *Forecaster) (looks []int, rounds int, shows Forecast, err error) {
	best := math.Inf(1)
	for r := compare.DefaultRounds; r >= MinRounds; r-- {
		affordable := math.MaxInt32
		if each := t.Each(r); each > 0 {
			affordable = int(most / (2 * each))
		}
		for _, plan := range f.plans(affordable) {
			got, err := f.Of(plan, r)
			if err != nil {
				return nil, 0, Forecast{}, err
			}
			if score := math.Log1p(got.Quiet) + math.Log1p(got.Noisy); !got.vain() && score < best {
				best, looks, rounds, shows = score, plan, r, got
			}
		}
	}
	if looks != nil {
		return looks, rounds, shows, nil
	}
	e, err := t.shortest(f)
	if err == nil {
		e.Max, err = most, e
	}
	return nil, 0, Forecast{}, err
}

// plans are those worth a look whose boots a side are at most so many: the
// largest of several looks, and the largest of few boots.
func (f *Forecaster) plans(most int) (out [][]int) {
	last := compare.DefaultPlan().Looks
	whole := slices.Clone(last)
	whole[len(whole)-1] = min(most, max(compare.DefaultPlan().Last(), f.need()))
	switch {
	case whole[len(whole)-1] >= f.need():
		return [][]int{whole}
	case most >= compare.MinFewBoots:
		return [][]int{{min(most, compare.MaxFewBoots)}}
	}
	return nil
}

// need returns the boots a side of the last look without which the gate could
// reject nothing.
func (f *Forecaster) need() int {
	looks := slices.Clone(compare.DefaultPlan().Looks)
	for k := looks[len(looks)-2] + 1; k < compare.MaxBoots; k++ {
		looks[len(looks)-1] = k
		if plan, err := compare.PlanOf(looks); err == nil && plan.CanReject(f.rk, f.metrics) == nil {
			return k
		}
	}
	return compare.MaxBoots
}

// shortest returns the plan that takes least of those that show something.
func (t Timing) shortest(f *Forecaster) (*TooShortError, error) {
	each := t.Each(MinRounds)
	looks := slices.Clone(compare.DefaultPlan().Looks)
	looks[len(looks)-1] = f.need()
	for _, plan := range [][]int{{5}, {6}, {7}, looks} {
		got, err := f.Of(plan, MinRounds)
		if err != nil {
			return nil, err
		}
		if !got.vain() {
			boots := 2 * plan[len(plan)-1]
			return &TooShortError{Need: ceil(time.Duration(boots) * each), Boots: boots, Each: each}, nil
		}
	}
	return nil, errors.New("so many metrics at once show nothing in any time; measure fewer categories")
}

// ceil rounds up to what one types: whole seconds, and minutes above ten.
func ceil(d time.Duration) time.Duration {
	unit := time.Second
	if d > 10*time.Minute {
		unit = time.Minute
	}
	return (d + unit - 1).Truncate(unit)
}
