package projection

// At has at told of each commit that e is about to make, and has made; it may hold it
// up. The points are "before" and "after" one of: "a commit" of events, "settings" (a new
// generation, a switch, a drop), "parting", "joining"; also "before the live view", where
// the runner has read what it is about to commit, and "while it stands still".
func At(e *Engine, at func(point string)) { e.at = at }

// PartOf exposes partOf.
var PartOf = partOf
