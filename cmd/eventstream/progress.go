package main

import "github.com/schollz/progressbar/v3"

// progress is a bar on a terminal, and nothing elsewhere. An error of the terminal
// is no reason to stop an import, so none is looked at.
type progress struct {
	env  *environment
	size int64
	bar  *progressbar.ProgressBar // nil where there is nobody to watch it
}

func newProgress(env *environment, size int64) *progress { return &progress{env: env, size: size} }

// begin starts a bar from nothing.
func (p *progress) begin(what string) {
	if !p.env.stderrTTY || p.env.getenv("TERM") == "dumb" || p.size == 0 {
		return
	}
	p.bar = progressbar.NewOptions64(p.size,
		progressbar.OptionSetWriter(p.env.stderr),
		progressbar.OptionSetDescription(what),
		progressbar.OptionShowBytes(true),
		progressbar.OptionClearOnFinish(),
	)
	_ = p.bar.RenderBlank()
}

// add moves the bar.
func (p *progress) add(bytes int) {
	if p.bar != nil {
		_ = p.bar.Add(bytes)
	}
}

// end takes the bar away.
func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Clear()
		p.bar = nil
	}
}
