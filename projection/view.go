package projection

import (
	"time"

	"github.com/nexus-erp/eventstream"
)

// View is a view as it is at one moment.
type View struct {
	*eventstream.ViewReader
	Generation uint64
	Checkpoint eventstream.Position // everything up to it took effect, and nothing behind it
	UpdatedAt  time.Time            // of the last commit; zero if there was none
}

// viewAt returns a generation's view as d sees it.
func viewAt(d *eventstream.DerivedReader, name string, generation uint64) (View, error) {
	p, err := stored(d.State).progress(name, generation)
	if err != nil {
		return View{}, err
	}
	reader, err := d.View(eventstream.ViewID{Projection: name, Generation: generation})
	return View{ViewReader: reader, Generation: generation, Checkpoint: eventstream.Position(p.Checkpoint), UpdatedAt: p.updated()}, err
}

// liveView returns the view that readers see, as d sees it.
func liveView(d *eventstream.DerivedReader, name string) (View, error) {
	set, err := stored(d.State).settings(name)
	if err != nil {
		return View{}, err
	}
	return viewAt(d, name, set.Live)
}

// updated returns when p was committed.
func (p *progress) updated() time.Time {
	if p.UpdatedAt == 0 {
		return time.Time{}
	}
	return time.Unix(0, p.UpdatedAt).UTC()
}

// Read calls fn with the records of the live view, as it is now. The reader is valid
// until fn returns: scans of one call fit together, also if another generation becomes
// the live one meanwhile. It needs no running engine.
func (e *Engine) Read(name string, fn func(*eventstream.ViewReader) error) error {
	return e.ReadView(name, func(v View) error { return fn(v.ViewReader) })
}

// ReadView is [Engine.Read] for those who need to know how far the view is.
func (e *Engine) ReadView(name string, fn func(View) error) error {
	if _, err := e.runner(name); err != nil {
		return err
	}
	return e.tenant.ReadDerived(func(d *eventstream.DerivedReader) error {
		view, err := liveView(d, name)
		if err != nil {
			return err
		}
		return fn(view)
	})
}
