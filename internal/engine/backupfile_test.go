package engine

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nexus-erp/eventstream/keys"
)

func testBackup() *Backup {
	return &Backup{
		Format: 1, StoreFormat: 1, Store: keys.EventID{1}, Incarnation: keys.EventID{2}, Head: 9, Durable: 8,
		RecordedAt: time.Unix(5, 6).UTC(), CreatedAt: time.Unix(7, 0).UTC(),
		Files: []BackupFile{{Name: "STORE", Size: 3, Sum: [32]byte{1}}, {Name: "STORE.2", Size: 3}, {Name: "db/MANIFEST-000001", Size: 0}},
	}
}

func TestTheFileBackupSaysWhatWasWritten(t *testing.T) {
	t.Parallel()
	for _, recorded := range []time.Time{{}, time.Unix(5, 6).UTC()} {
		b := testBackup()
		b.RecordedAt = recorded
		got, err := parseBackup(b.encode())
		if err != nil || !bytes.Equal(got.encode(), b.encode()) || !got.RecordedAt.Equal(recorded) || got.Bytes() != 6 || len(got.Files) != 3 {
			t.Errorf("got %+v, %v, want %+v", got, err, b)
		}
	}
}

func TestEveryFlippedBitOfTheFileBackupIsFound(t *testing.T) {
	t.Parallel()
	text := testBackup().encode()
	for i := range text {
		for bit := range 8 {
			changed := bytes.Clone(text)
			changed[i] ^= 1 << bit
			var damage *BackupDamageError
			var tooNew *BackupTooNewError
			if _, err := parseBackup(changed); !errors.As(err, &damage) && !errors.As(err, &tooNew) {
				t.Errorf("byte %d, bit %d: got %v, want damage", i, bit, err)
			}
		}
		if _, err := parseBackup(text[:i]); err == nil {
			t.Errorf("the first %d bytes pass for the whole", i)
		}
	}
	if _, err := parseBackup(append(text, '\n')); err == nil {
		t.Error("a line too many passes")
	}
}

// A BACKUP that somebody else made, with a sum that fits, reaches no other file.
func TestTheFileBackupNamesOnlyFilesOfABackup(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"../x", "db/../../x", "/etc/x", "db/a/b", "db/", "db", "db/.x", "db/..", `db\x`, `db/..\x`, "lock", "BACKUP", "db/a b", "STORE", "", "db/" + strings.Repeat("x", 300),
	} {
		b := testBackup()
		b.Files = append(b.Files, BackupFile{Name: name})
		if got, err := parseBackup(b.encode()); err == nil {
			t.Errorf("%q: got %+v, want it refused", name, got.Files)
		}
	}
	b := testBackup()
	b.Files = b.Files[1:]
	if _, err := parseBackup(b.encode()); err == nil {
		t.Error("a backup without STORE passes")
	}
}

func TestTheFileBackupInText(t *testing.T) {
	t.Parallel()
	lines := `eventstream backup
format: 1
store-format: 1
store: 01000000000000000000000000
incarnation: 02000000000000000000000000
head: 9
durable: 8
recorded: 1970-01-01T00:00:05.000000006Z
created: 1970-01-01T00:00:07Z
file: ` + "01" + strings.Repeat("00", 31) + ` 3 STORE
file: ` + strings.Repeat("00", 32) + ` 3 STORE.2
file: ` + strings.Repeat("00", 32) + ` 0 db/MANIFEST-000001
`
	b := testBackup()
	lines = strings.NewReplacer("01000000000000000000000000", b.Store.String(), "02000000000000000000000000", b.Incarnation.String()).Replace(lines)
	if want := lines + fmt.Sprintf("sha256: %x\n", sha256.Sum256([]byte(lines))); string(b.encode()) != want {
		t.Errorf("got\n%s\nwant\n%s", b.encode(), want)
	}
}

func FuzzParseBackup(f *testing.F) {
	f.Add(testBackup().encode())
	f.Add([]byte("eventstream backup\nformat: 1\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if b, err := parseBackup(text); err == nil && !bytes.Equal(b.encode(), text) {
			t.Errorf("%q passes, and is written as %q", text, b.encode())
		}
	})
}
