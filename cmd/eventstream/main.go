// Command eventstream creates, fills, reads, checks and inspects event stores.
// The commands and their JSON fields are a contract: other programs read them.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // import mappings name time zones, also where the system knows none
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks, the second one ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, processEnvironment(), os.Args[1:]))
}
