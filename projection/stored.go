package projection

import (
	"strings"

	"github.com/nexus-erp/eventstream"
)

// StoredNames returns the names of the projections of which a tenant's store holds how
// far they are, or that they were paused, sorted, whatever program they belong to.
func StoredNames(t *eventstream.Tenant) ([]string, error) {
	var names []string
	for state, err := range t.DerivedStates("") {
		if err != nil {
			return nil, err
		}
		name, rest, more := strings.Cut(state.Name, "/")
		if !validName(name) || more && !strings.HasPrefix(rest, "progress/") {
			continue
		}
		if n := len(names); n == 0 || names[n-1] != name {
			names = append(names, name)
		}
	}
	return names, nil
}
