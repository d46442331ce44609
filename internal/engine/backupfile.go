package engine

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream/keys"
)

// BackupFormat is the format of a backup that this version writes, and the newest
// that it reads.
const BackupFormat = 1

// Backup is what the file BACKUP says of the backup that it lies in.
type Backup struct {
	Format      int
	StoreFormat int
	Store       keys.EventID
	Incarnation keys.EventID
	Head        keys.Position // the backup holds exactly the events 1 to Head
	Durable     keys.Position // the store's durable head when the backup began
	RecordedAt  time.Time     // of the newest event; zero if there is none
	CreatedAt   time.Time
	Files       []BackupFile // all but BACKUP itself
}

// BackupFile is a file of a backup.
type BackupFile struct {
	Name string // below the backup, with slashes
	Size int64
	Sum  [sha256.Size]byte
}

// Bytes returns the size of all files.
func (b *Backup) Bytes() (n int64) {
	for _, f := range b.Files {
		n += f.Size
	}
	return n
}

// Faults of a backup.
var (
	ErrNoBackup         = errors.New("it holds no file BACKUP: it is not a backup, or not all of one")
	ErrBackupUnfinished = errors.New("it was not finished: its file BACKUP is empty")
)

// BackupDamageError is a backup that is not what was written.
type BackupDamageError struct{ Reason string }

// Error says what is wrong.
func (e *BackupDamageError) Error() string { return e.Reason }

// BackupTooNewError is a backup of a format that this version does not read.
type BackupTooNewError struct{ Found, Supported int }

// Error names both formats.
func (e *BackupTooNewError) Error() string {
	return fmt.Sprintf("backup format %d, newest known is %d", e.Found, e.Supported)
}

const (
	backupTitle   = "eventstream backup"
	backupNoEvent = "never" // in place of a time
)

// encode writes the backup as lines of text. The last line is the SHA-256 of the
// lines before.
func (b *Backup) encode() []byte {
	recorded := backupNoEvent
	if !b.RecordedAt.IsZero() {
		recorded = b.RecordedAt.UTC().Format(time.RFC3339Nano)
	}
	var w bytes.Buffer
	fmt.Fprintln(&w, backupTitle)
	fmt.Fprintln(&w, "format:", b.Format)
	fmt.Fprintln(&w, "store-format:", b.StoreFormat)
	fmt.Fprintln(&w, "store:", b.Store)
	fmt.Fprintln(&w, "incarnation:", b.Incarnation)
	fmt.Fprintln(&w, "head:", uint64(b.Head))
	fmt.Fprintln(&w, "durable:", uint64(b.Durable))
	fmt.Fprintln(&w, "recorded:", recorded)
	fmt.Fprintln(&w, "created:", b.CreatedAt.UTC().Format(time.RFC3339Nano))
	for _, f := range b.Files {
		fmt.Fprintf(&w, "file: %x %d %s\n", f.Sum, f.Size, f.Name)
	}
	fmt.Fprintf(&w, "sha256: %x\n", sha256.Sum256(w.Bytes()))
	return w.Bytes()
}

// backupName matches the files of a backup: nothing else is ever read or written,
// whatever a BACKUP that was made by somebody else may say.
var backupName = regexp.MustCompile(`^(STORE|STORE\.2|db/[A-Za-z0-9][A-Za-z0-9._-]{0,200})$`)

var errBackupFile = &BackupDamageError{Reason: "its file BACKUP is damaged"}

// parseBackup reads what encode wrote. A newer format is told before anything else
// is looked at.
func parseBackup(text []byte) (*Backup, error) {
	if len(text) == 0 {
		return nil, ErrBackupUnfinished
	}
	lines := strings.SplitAfter(string(text), "\n")
	if lines[0] != backupTitle+"\n" {
		return nil, errBackupFile
	}
	next := 0
	value := func(name string) string {
		next++
		if next >= len(lines) {
			return ""
		}
		v, _ := strings.CutPrefix(lines[next], name+": ")
		return strings.TrimSuffix(v, "\n")
	}
	b := &Backup{}
	var errs [8]error
	for _, f := range []struct {
		name   string
		format *int
		newest int
	}{{"format", &b.Format, BackupFormat}, {"store-format", &b.StoreFormat, StoreFormat}} {
		n, err := strconv.Atoi(value(f.name))
		if err != nil || n < 1 {
			return nil, errBackupFile
		}
		if n > f.newest {
			return nil, &BackupTooNewError{Found: n, Supported: f.newest}
		}
		*f.format = n
	}
	b.Store, errs[0] = keys.ParseEventID(value("store"))
	b.Incarnation, errs[1] = keys.ParseEventID(value("incarnation"))
	var head, durable uint64
	head, errs[2] = strconv.ParseUint(value("head"), 10, 64)
	durable, errs[3] = strconv.ParseUint(value("durable"), 10, 64)
	b.Head, b.Durable = keys.Position(head), keys.Position(durable)
	if recorded := value("recorded"); recorded != backupNoEvent {
		b.RecordedAt, errs[4] = time.Parse(time.RFC3339Nano, recorded)
	}
	b.CreatedAt, errs[5] = time.Parse(time.RFC3339Nano, value("created"))
	b.Files, errs[6] = parseBackupFiles(lines[min(next+1, len(lines)):])
	// Encoding again compares every byte, the sum included.
	if errors.Join(errs[:]...) != nil || !bytes.Equal(b.encode(), text) {
		return nil, errBackupFile
	}
	return b, nil
}

func parseBackupFiles(lines []string) (files []BackupFile, err error) {
	seen := make(map[string]bool)
	for _, line := range lines {
		rest, ok := strings.CutPrefix(line, "file: ")
		if !ok {
			break // the sum, which the caller compares
		}
		var f BackupFile
		fields := strings.SplitN(strings.TrimSuffix(rest, "\n"), " ", 3)
		if len(fields) != 3 || !backupName.MatchString(fields[2]) || seen[fields[2]] {
			return nil, errBackupFile
		}
		f.Name = fields[2]
		seen[f.Name] = true
		if n, err := hex.Decode(f.Sum[:], []byte(fields[0][:min(len(fields[0]), 2*sha256.Size)])); err != nil || n != sha256.Size {
			return nil, errBackupFile
		}
		if f.Size, err = strconv.ParseInt(fields[1], 10, 64); err != nil || f.Size < 0 {
			return nil, errBackupFile
		}
		files = append(files, f)
	}
	if !seen[fileIdentity] || !seen[fileIdentityCopy] {
		return nil, errBackupFile
	}
	return files, nil
}

// maxBackupFileBytes bounds how much of a file BACKUP is read: some 100,000 files.
const maxBackupFileBytes = 16 << 20

// ReadBackup reads what the directory's file BACKUP says. Its errors are [ErrNoBackup],
// [ErrBackupUnfinished], [*BackupDamageError], [*BackupTooNewError], and those of the
// file system.
func ReadBackup(fs vfs.FS, dir string) (*Backup, error) {
	if fs == nil {
		fs = vfs.Default
	}
	info, err := fs.Stat(dir)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, ErrNoBackup
	}
	f, err := fs.Open(fs.PathJoin(dir, fileBackup))
	if errors.Is(err, os.ErrNotExist) {
		return nil, ErrNoBackup
	}
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxBackupFileBytes))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return parseBackup(text)
}
