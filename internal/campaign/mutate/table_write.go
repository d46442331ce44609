package main

// The append, from its decision to its answer.
var writeMutants = []mutant{
	{
		name: "the expected version is not compared", file: "sequence.go",
		find: "if p := &r.parts[i]; !p.expect.matches(p.head.version) {",
		put:  "if p := &r.parts[i]; !p.expect.matches(p.head.version) && p.expect == 0 {",
		pkg:  ".", tests: []string{"TestAppendExpectations"},
	},
	{
		name: "streams that are only checked are not", file: "sequence.go",
		find: "if p := &r.parts[i]; !p.expect.matches(p.head.version) {",
		put:  "if p := &r.parts[i]; p.count > 0 && !p.expect.matches(p.head.version) {",
		pkg:  ".", tests: []string{"TestAppendAllWritesNothingIfOneStreamConflicts"},
	},
	{
		name: "event ids are not looked up", file: "lookup.go",
		find: "\treturn db.lookupID(tenantID, key.id)\n",
		put:  "\t_ = tenantID\n\treturn 0, codec.ContentHash{}, nil\n",
		pkg:  ".", tests: []string{"TestAppendingAgainReturnsTheFirstResult"},
	},
	{
		name: "an append under way does not claim its event ids", file: "sequence.go",
		find: "\t\te.claim.position, e.claim.content = position, e.content\n",
		put:  "",
		pkg:  ".", tests: []string{"TestIdempotentRetryStorm"},
	},
	{
		name: "an event id with other content passes for the same event", file: "duplicate.go",
		find: "case e.originalContent != e.content:",
		put:  "case false:",
		pkg:  ".", tests: []string{"TestATakenIDIsRefused"},
	},
	{
		name: "no record of the event id is written", file: "sequence.go",
		find: "\t\t\tb.Set(g.key, g.value)\n\t\t}\n\t}\n\tfor _, r := range g.members {\n\t\tif r.update != nil {",
		put:  "\t\t}\n\t}\n\tfor _, r := range g.members {\n\t\tif r.update != nil {",
		pkg:  ".", tests: []string{"TestAppendingMadeIDsAgainIsDeduplicated"},
	},
	{
		name: "a round does not wait for those who were told of the one before", file: "sequence.go",
		find: "s.inFlight == 0 && s.returning.Load() == 0",
		put:  "s.inFlight < 32",
		pkg:  ".", tests: []string{"TestEachSyncServesEverybody"},
	},
	{
		name: "callers who went away are waited for", file: "sequence.go",
		find: "\t\tg.db.returned(gone)\n",
		put:  "",
		pkg:  ".", tests: []string{"TestACancelledAppendIsWithdrawnOrOpen"},
	},
	{
		name: "ids that the store made are not claimed by a caller who goes away", file: "request.go",
		find: "\t\tif e := &r.events[i]; e.claim == nil {\n",
		put:  "\t\tif e := &r.events[i]; e.claim == nil && r.given > 0 {\n",
		pkg:  ".", tests: []string{"TestAStallHoldsNoCallerBeyondItsContext"},
	},
	{
		name: "recorded-at goes back with the clock", file: "sequence.go",
		find: "\tns := notBefore(last, now)\n",
		put:  "\tns := notBefore(0, now)\n",
		pkg:  ".", tests: []string{"TestRecordedAtNeverGoesBack"},
	},
	{
		name: "the head of a stream is not moved on by an append", file: "sequence.go",
		find: "\t\t\tp.head.version++\n\t\t\tseq.head++\n\t\t\tp.head.position = seq.head\n\t\t\tr.place(&r.events[j], tenantID, p.stream, p.head.version, seq.head)\n",
		put:  "\t\t\tseq.head++\n\t\t\tr.place(&r.events[j], tenantID, p.stream, p.firstVersion+Version(j-p.first), seq.head)\n",
		pkg:  ".", tests: []string{"TestAppendAssignsVersionsAndPositions"},
	},
	{
		name: "the head of a stream does not say on which event it rests", file: "sequence.go",
		find: "\t\t\tp.head.position = seq.head\n",
		put:  "",
		pkg:  ".", tests: []string{"TestNothingRestsOnWhatIsNotDurable"},
	},
	{
		name: "a conflict is answered from an event that is not durable", file: "append.go",
		find: "if err := r.db.awaitReadable(ctx, p.rests); err != nil {",
		put:  "if err := ctx.Err(); err != nil {",
		pkg:  ".", tests: []string{"TestNothingRestsOnWhatIsNotDurable"},
	},
	{
		name: "a duplicate is answered from an event that is not durable", file: "duplicate.go",
		find: "if err := r.db.awaitReadable(ctx, known.original); err != nil {",
		put:  "if err := ctx.Err(); err != nil {",
		pkg:  ".", tests: []string{"TestNothingRestsOnWhatIsNotDurable"},
	},
	{
		name: "a guard is answered from an event that is not durable", file: "append.go",
		find: "if err := r.db.awaitReadable(ctx, r.forbidden); err != nil {",
		put:  "if err := ctx.Err(); err != nil {",
		pkg:  ".", tests: []string{"TestAGuardIsAnsweredOnceItsEventIsDurable"},
	},
	{
		name: "a conflict on a record is answered from a commit that is not durable", file: "append.go",
		find: "if err := r.db.awaitReadable(ctx, w.position); err != nil {",
		put:  "if err := ctx.Err(); err != nil {",
		pkg:  ".", tests: []string{"TestNoAnswerOfAnUpdateRestsOnWhatIsNotDurable"},
	},
	{
		name: "an update that is refused answers from records that are not durable", file: "update.go",
		find: "if waited := tx.streams.db.awaitReadable(ctx, tx.seen); waited != nil {",
		put:  "if waited := ctx.Err(); waited != nil {",
		pkg:  ".", tests: []string{"TestNoAnswerOfAnUpdateRestsOnWhatIsNotDurable"},
	},
	{
		name: "what an update read is not compared", file: "sequence.go",
		find: "\tr.changed, changed = r.db.recordWrites.changed(r.update)\n",
		put:  "",
		pkg:  ".", tests: []string{"TestAnUpdateThatReadWhatChangedIsAConflict"},
	},
	{
		name: "an update forgets which records it wrote", file: "sequence.go",
		find: "\t\tdb.recordWrites.note(r.update, r.lastPosition)\n",
		put:  "\t\t_ = db.log\n",
		pkg:  ".", tests: []string{"TestAnUpdateThatReadWhatChangedIsAConflict"},
	},
	{
		name: "records of an update are forgotten while others still read", file: "recordwrites.go",
		find: "\t\tfloor = min(floor, head)\n",
		put:  "\t\t_ = head\n",
		pkg:  ".", tests: []string{"TestAnUpdateThatReadWhatChangedIsAConflict"},
	},
	{
		name: "the records of an update are a commit of their own", file: "sequence.go",
		find: "\t\t\tr.update.put(b, tenantID, r.namespaces)\n",
		put: "\t\t\town := g.db.eng.NewBatch()\n\t\t\tr.update.put(own, tenantID, r.namespaces)\n" +
			"\t\t\t_ = g.db.apply(own, true)\n",
		pkg: ".", tests: []string{"TestACrashNeverPartsEventsFromRecords"},
	},
	{
		name: "a guard does not look at what was committed since", file: "guard.go",
		find: "for next := g.looked + 1; r.forbidden == 0 && next <= r.db.seq.head; {",
		put:  "for next := r.db.seq.head + 1; r.forbidden == 0 && next <= r.db.seq.head; {",
		pkg:  ".", tests: []string{"TestANumberIsTakenOnce"},
	},
	{
		name: "a guard looks only at what was committed since", file: "guard.go",
		find: "\t\t\tr.forbidden = event.Position\n",
		put:  "\t\t\t_ = event\n",
		pkg:  ".", tests: []string{"TestAGuardThatIsNotSound"},
	},
	{
		name: "a guard is held against the events of all tenants", file: "guard.go",
		find: "\tif r.tenant != tn {\n\t\treturn false\n\t}\n",
		put:  "\ttn = r.tenant\n",
		pkg:  ".", tests: []string{"TestAGuardIsAnsweredOnceItsEventIsDurable"},
	},
	{
		name: "the last event of a commit gets no position", file: "sequence.go",
		find: "\tfor _, r := range g.members {\n\t\tfor i := range r.events {\n\t\t\te := &r.events[i]\n\t\t\tg.key = keys.AppendPosition(",
		put:  "\tfor _, r := range g.members {\n\t\tfor i := range r.events[:len(r.events)-1] {\n\t\t\te := &r.events[i]\n\t\t\tg.key = keys.AppendPosition(",
		pkg:  ".", tests: []string{"TestAppendAllIsOneCommit"},
	},
	{
		name: "the mark of a full disk is ignored", file: "diskfull.go",
		find: "func (db *DB) admit(n int64) error { return diskError(db.eng.Admit(n)) }",
		put:  "func (db *DB) admit(n int64) error { _ = diskError(db.eng.Admit(n)); return nil }",
		pkg:  ".", tests: []string{"TestAFullDiskRefusesAppendsAndNothingElse"},
	},
	{
		name: "the disk is looked at once a second alone", file: "internal/engine/disk.go",
		find: "\td.left.Store(left)\n",
		put:  "\td.left.Store(max(left, 0) << 20)\n",
		pkg:  ".", tests: []string{"TestABurstStopsAtTheMarkBetweenTwoLooks"},
	},
}
