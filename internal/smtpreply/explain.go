package smtpreply

import (
	"cmp"
	"slices"
)

// Explanation is how a verdict came about.
type Explanation struct {
	Result
	// FullTemplate is the whole template; Verdict.Template is cut.
	FullTemplate string
	// Normalized is the text in which literals were looked for.
	Normalized string
	// ProviderFrom says where the provider comes from: mx, domain, reply,
	// or "" when there is none.
	ProviderFrom string
	// Matches are all rules that match, the winner first.
	Matches []Match
}

// Match is one rule that matches.
type Match struct {
	RuleID   string
	Category Category
	Score    int
	Literals []string // the literals of it that were found
	Winner   bool
	RunnerUp bool // best rule of another category
}

// Explain classifies without the cache and tells every rule that matches.
func (c *Classifier) Explain(in Input) Explanation {
	e := c.state.Load().engine
	p := parse(in.Diag, in.DSNStatus)
	sc := scratchPool.Get().(*scratch)
	defer scratchPool.Put(sc)
	prov, mx := e.providerOf(&in)
	sc.masked = e.template(sc.masked[:0], &p)
	ex := Explanation{FullTemplate: string(sc.masked)}
	v := e.classify(&p, sc, prov, &ex)
	ex.Result = Result{v, c.provider(prov, v, mx)}
	switch {
	case prov != nil && mx != "" && e.mx.suffix(mx) > 0:
		ex.ProviderFrom = "mx"
	case prov != nil:
		ex.ProviderFrom = "domain"
	case v.hint != nil:
		ex.ProviderFrom = "reply"
	case mx != "":
		ex.ProviderFrom = "mx"
	}
	return ex
}

func (e *engine) explain(ex *Explanation, p *parsed, sc *scratch, provider int, body []byte, winner *rule) {
	norm := normalize(nil, body)
	ex.Normalized = string(norm)
	e.find(norm, &sc.hits)
	for i := range e.rules {
		r := &e.rules[i]
		if !r.scope(p, provider) || !e.literalsHold(r, &sc.hits) || r.regex != nil && !r.regex.Match(window(norm, r, &sc.hits)) {
			continue
		}
		m := Match{RuleID: r.id, Category: r.category, Score: r.score, Winner: r == winner}
		for _, set := range [][]uint16{r.all, r.any, r.with} {
			for _, l := range set {
				if sc.hits.has(l) {
					m.Literals = append(m.Literals, e.litText[l])
				}
			}
		}
		ex.Matches = append(ex.Matches, m)
	}
	slices.SortStableFunc(ex.Matches, func(a, b Match) int {
		if a.Winner != b.Winner {
			if a.Winner {
				return -1
			}
			return 1
		}
		return cmp.Compare(b.Score, a.Score)
	})
	if len(ex.Matches) > 1 {
		for i := range ex.Matches[1:] {
			if m := &ex.Matches[i+1]; m.Category != ex.Matches[0].Category {
				m.RunnerUp = true
				break
			}
		}
	}
}
