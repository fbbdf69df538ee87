package acct

// Context returns what another Decoder needs to decode the record in hand
// again, on its own and with the same UID, after Restore with its position.
// Unlike State it may be called while Decode runs; the result is the caller's.
func (d *Decoder) Context() []byte {
	c := append([]byte(nil), d.State()...)
	c[2] = byte(skipNone) // whatever came before does not matter to it
	return c
}
