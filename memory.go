package eventstream

// OpenMemory opens an empty store in memory, which is gone once it is closed: for
// fixtures, and for trying out what is derived from events. A nil *Options is all
// defaults; Options.FS and Options.Durability are not used.
func OpenMemory(opts *Options) (*DB, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	o.FS, o.Durability = memoryFS(), None
	return Open("memory", &o)
}
