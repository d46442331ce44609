package aggregate

// Closing reports whether r's Close was called.
func (r *Repository[S, C]) Closing() bool {
	r.snapshots.mu.Lock()
	defer r.snapshots.mu.Unlock()
	return r.snapshots.closed
}
