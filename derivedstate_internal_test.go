package eventstream

import (
	"strings"
	"testing"
)

// These names are on disk. Those of tenants hold ASCII alone, so that no newer Unicode
// table of Go's writes one in another way.
func TestKeysOfStatesAreForGood(t *testing.T) {
	t.Parallel()
	for tenant, want := range map[string]string{
		"default":                 `"default"/`,
		"Müller & Söhne":          `"M\u00fcller & S\u00f6hne"/`,
		`a"/b`:                    `"a\"/b"/`,
		"\U0001fae9":              `"\U0001fae9"/`,
		"\U000e0080 not assigned": `"\U000e0080 not assigned"/`,
	} {
		if got := quotedTenant(tenant); got != want {
			t.Errorf("tenant %q: got %s, want %s", tenant, got, want)
		}
	}
	key := string(namespaceKey{tenant: "Müller", name: "numbers"}.key())
	if want := `"M\u00fcller"/numbers`; !strings.Contains(key, want) {
		t.Errorf("namespace: got the key %q, want %s in it", key, want)
	}
}
