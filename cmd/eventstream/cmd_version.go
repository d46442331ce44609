package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// versionInfo is what version says.
type versionInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision"`
	Go       string `json:"go"`
	Pebble   string `json:"pebble"`
	Platform string `json:"platform"`
}

func newVersionCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{Use: "version", Short: "Print the version of this program", Args: cobra.NoArgs}
	out := addRecordOutput(cmd, env)
	cmd.RunE = func(*cobra.Command, []string) error { return out.record(readVersion()) }
	return cmd
}

// readVersion says what the Go linker recorded; a test binary has little of it.
func readVersion() versionInfo {
	v := versionInfo{Version: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if build.Main.Version != "" {
		v.Version = build.Main.Version
	}
	for _, s := range build.Settings {
		if s.Key == "vcs.revision" {
			v.Revision = s.Value
		}
	}
	for _, dep := range build.Deps {
		if dep.Path == "github.com/cockroachdb/pebble/v2" {
			v.Pebble = dep.Version
		}
	}
	return v
}
