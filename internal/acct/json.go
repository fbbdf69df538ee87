package acct

type jsonPlans struct{}

func joinJSONArray(s string) string { return s }

func (d *Decoder) decodeJSON(src string, pos int, final bool, h Handler) int { return 0 }
