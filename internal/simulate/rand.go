package simulate

import (
	"math/bits"
	"math/rand/v2"
)

// Rand is the world's random source. It is not safe for concurrent use. Incidents may draw from it; what they draw
// shifts everything that is drawn later, which is why the seed alone does not fix a run, but seed and scenario do.
type Rand struct{ pcg *rand.PCG }

func newRand(seed uint64) *Rand { return &Rand{rand.NewPCG(seed, 0x9e3779b97f4a7c15)} }

// Uint64 returns 64 random bits.
func (r *Rand) Uint64() uint64 { return r.pcg.Uint64() }

// IntN returns a number in [0,n); n must be positive.
func (r *Rand) IntN(n int) int {
	hi, _ := bits.Mul64(r.pcg.Uint64(), uint64(n))
	return int(hi)
}

// Chance is true with probability p (0 to 1). It always draws exactly one number.
func (r *Rand) Chance(p float64) bool { return r.chance(threshold(p)) }

func (r *Rand) chance(t uint64) bool { return r.pcg.Uint64()>>11 < t }

// threshold scales a probability to 53 bits; multiplying by a power of two is exact, so it is the same everywhere.
func threshold(p float64) uint64 {
	switch {
	case p <= 0:
		return 0
	case p >= 1:
		return 1 << 53
	}
	return uint64(p * (1 << 53))
}

// between returns a number in [lo,hi].
func (r *Rand) between(lo, hi int64) int64 {
	if hi <= lo {
		return lo
	}
	return lo + int64(r.IntN(int(hi-lo+1)))
}

// skewed returns a number in [lo,hi] with most of the weight near lo (the square of a uniform number).
func (r *Rand) skewed(lo, hi int64) int64 {
	u := r.pcg.Uint64() >> 44 // 20 bits
	sq := u * u >> 20
	return lo + int64(uint64(hi-lo)>>20*sq) + int64(uint64(hi-lo)&(1<<20-1)*sq>>20)
}

const (
	alnum    = "0123456789abcdefghijklmnopqrstuv" // 32: five bits a character
	alnumUp  = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
	hexLower = "0123456789abcdef"
)

func (r *Rand) appendHex(dst []byte, n int) []byte {
	var v uint64
	for i := range n {
		if i&15 == 0 {
			v = r.pcg.Uint64()
		}
		dst = append(dst, hexLower[v&15])
		v >>= 4
	}
	return dst
}

func (r *Rand) appendFrom32(dst []byte, set string, n int) []byte {
	var v uint64
	for i := range n {
		if i%12 == 0 {
			v = r.pcg.Uint64()
		}
		dst = append(dst, set[v&31])
		v >>= 5
	}
	return dst
}

func (r *Rand) appendDigits(dst []byte, n int) []byte {
	var v uint64
	for i := range n {
		if i%16 == 0 {
			v = r.pcg.Uint64()
		}
		d := byte(v % 10)
		if i == 0 && d == 0 {
			d = 1
		}
		dst = append(dst, '0'+d)
		v /= 10
	}
	return dst
}

// weights picks an index in proportion to integer weights.
type weights struct {
	cum   []int
	total int
}

func newWeights(n int, weight func(i int) int) weights {
	w := weights{cum: make([]int, n)}
	for i := range n {
		w.total += weight(i)
		w.cum[i] = w.total
	}
	return w
}

func (w *weights) pick(r *Rand) int {
	if len(w.cum) == 1 {
		return 0
	}
	x := r.IntN(w.total)
	for i, c := range w.cum {
		if x < c {
			return i
		}
	}
	return len(w.cum) - 1
}
