package main

// The log, its syncs and their failures; and the head that readers see.
var logMutants = []mutant{
	{
		name: "the log is not synced", file: "internal/engine/commit.go",
		find: "e.apply(b.b, pebble.Sync)",
		put:  "e.apply(b.b, pebble.NoSync)",
		pkg:  "./internal/engine", tests: []string{"TestSubmitIsDurableAndRaisesTheHead"},
	},
	{
		name: "an append is acknowledged before its sync", file: "internal/engine/commit.go",
		find: "\te.waiter.end(reporter, &ticket{last: last, batch: b.b, reporter: reporter})\n",
		put:  "\te.waiter.end(reporter, &ticket{last: last, batch: b.b, reporter: make(outcome, 1)})\n\treporter.Report(nil)\n",
		pkg:  "./internal/engine", tests: []string{"TestAFailedSyncPoisonsForGood"},
	},
	{
		name: "an append is readable before its sync", file: "internal/engine/commit.go",
		find: "\terr := t.batch.SyncWait()\n",
		put:  "\te.Durable.Rise(t.last)\n\terr := t.batch.SyncWait()\n",
		pkg:  ".", tests: []string{"TestNothingRestsOnWhatIsNotDurable"},
	},
	{
		name: "readers see what is not durable", file: "read.go",
		find: "head: s.db.readable.Load(), err: s.err}",
		put:  "head: Position(s.db.seq.assigned.Load()), err: s.err}",
		pkg:  ".", tests: []string{"TestNothingRestsOnWhatIsNotDurable"},
	},
	{
		name: "followers see what is not durable", file: "follow.go",
		find: "\t\t\treturn v.db.readable.Load(), nil\n",
		put:  "\t\t\treturn Position(v.db.seq.assigned.Load()), nil\n",
		pkg:  ".", tests: []string{"TestNothingRestsOnWhatIsNotDurable"},
	},
	{
		name: "a tenant is named before its first commit is durable", file: "tenant.go",
		find: "\t\tif tn.since <= head {\n",
		put:  "\t\tif tn.since >= 0 {\n",
		pkg:  ".", tests: []string{"TestATenantIsNamedOnceItsFirstCommitIsDurable"},
	},
	{
		name: "a failed sync does not poison the store", file: "internal/engine/commit.go",
		find: "\tif err != nil {\n\t\treturn e.poison.set(err)\n\t}\n\t_ = t.batch.Close()",
		put:  "\tif err != nil {\n\t\treturn err\n\t}\n\t_ = t.batch.Close()",
		pkg:  "./internal/engine", tests: []string{"TestAFailedSyncPoisonsForGood"},
	},
	{
		name: "a poisoned store takes writes", file: "internal/engine/poison.go",
		find: "\tif err := p.err.Load(); err != nil {\n\t\treturn err\n\t}\n\treturn nil\n",
		put:  "\treturn nil\n",
		pkg:  "./internal/engine", tests: []string{"TestAbandonFreesWhoWaits"},
	},
	{
		name: "a sync counts that follows one which failed", file: "internal/engine/commit.go",
		find: "\t\terr = e.poison.get()\n\t}\n\tif err != nil {",
		put:  "\t\terr = nil\n\t}\n\tif err != nil {",
		pkg:  "./internal/engine", tests: []string{"TestAFailureIsToldWhileASyncDoesNotAnswer"},
	},
	{
		name: "Fatalf returns to Pebble", file: "internal/engine/logging.go",
		find: "\tif commit {\n\t\tpanic(fatalSignal{err})\n\t}\n\tselect {}\n",
		put:  "\tif commit {\n\t\tpanic(fatalSignal{err})\n\t}\n",
		pkg:  "./internal/engine", tests: []string{"TestFatalfElsewhereParks"},
	},
	{
		name: "whoever reads may be held by a Pebble that died", file: "internal/engine/logging.go",
		find: "\t\tl.poison.dead.Store(true) // before anybody is told\n",
		put:  "",
		pkg:  ".", tests: []string{"TestNobodyIsHeldByAPebbleThatDied"},
	},
	{
		name: "Close waits for a read", file: "mark.go",
		find: "\tif !within(patience, func() { final = db.finalMark() }) {\n\t\treturn db.eng.Abandon()\n\t}\n",
		put:  "\tfinal = db.finalMark()\n",
		pkg:  ".", tests: []string{"TestCloseIsBoundedIfTheDiskNeverAnswersARead"},
	},
	{
		name: "who waits is not told that the log failed", file: "internal/engine/engine.go",
		find: "\t\te.waiter.fail(err)\n",
		put:  "",
		pkg:  "./internal/engine", tests: []string{"TestAFailureIsToldWhileASyncDoesNotAnswer"},
	},
	{
		name: "the head goes back", file: "internal/engine/watermark.go",
		find: "\t\tif uint64(p) <= old {\n",
		put:  "\t\tif uint64(p) == old {\n",
		pkg:  "./internal/engine", tests: []string{"TestWatermark"},
	},
}
