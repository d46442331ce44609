package engine

import (
	"fmt"
	"slices"
	"strings"
)

// Survey is what a store's directory shows beside its database.
type Survey struct {
	BadIdentities []string // copies of the identity that are missing or damaged
	Mark          MarkState
	Leftovers     []string // files of a write, a backup or a restore that did not end
	FreeBytes     uint64   // of the file system, for this process
	TotalBytes    uint64
}

// Survey looks at the directory. Nothing is written.
func (d *Directory) Survey() (Survey, error) {
	var s Survey
	for _, name := range []string{fileIdentity, fileIdentityCopy} {
		if _, err := readIdentity(d.fs, d.fs.PathJoin(d.Path, name)); err != nil {
			s.BadIdentities = append(s.BadIdentities, name)
		}
	}
	var err error
	if _, s.Mark, err = d.MarkFile().Read(); err != nil {
		return s, fmt.Errorf("read the high-water mark: %w", err)
	}
	names, err := d.fs.List(d.Path)
	if err != nil {
		return s, fmt.Errorf("look at directory: %w", err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, temporarySuffix) || name == fileCreating {
			s.Leftovers = append(s.Leftovers, d.fs.PathJoin(d.Path, name))
		}
	}
	// A backup or a restore is written beside the directory that it becomes.
	parent, own := d.fs.PathDir(d.Path), d.fs.PathBase(d.Path)
	if names, err = d.fs.List(parent); err != nil {
		return s, fmt.Errorf("look beside the directory: %w", err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, own+".partial") {
			s.Leftovers = append(s.Leftovers, d.fs.PathJoin(parent, name))
		}
	}
	slices.Sort(s.Leftovers)
	usage, err := d.fs.GetDiskUsage(d.Path)
	if err != nil {
		return s, fmt.Errorf("ask for free space: %w", err)
	}
	s.FreeBytes, s.TotalBytes = usage.AvailBytes, usage.TotalBytes
	return s, nil
}
