package main

// Projections, their leases and rebuilds.
var projectionMutants = []mutant{
	{
		name: "a batch is condensed to the first writes of its keys", file: "internal/engine/condense.go",
		find: "\t\tlast[hash] = lastWrite{key: key, at: writes}\n",
		put:  "\t\tif _, known := last[hash]; !known {\n\t\t\tlast[hash] = lastWrite{key: key, at: writes}\n\t\t}\n",
		pkg:  "./internal/engine", tests: []string{"TestACondensedBatchComesToTheSame"},
	},
	{
		name: "removals are lost from a condensed batch", file: "internal/engine/condense.go",
		find: "\t\t\tcondensed.Delete(key)\n",
		put:  "",
		pkg:  "./internal/engine", tests: []string{"TestACondensedBatchComesToTheSame"},
	},
	{
		name: "a batch with removals of ranges is condensed", file: "internal/engine/condense.go",
		find: "\t\t\treturn nil, 0, false\n\t\t}\n\t\thash",
		put:  "\t\t\tcontinue\n\t\t}\n\t\thash",
		pkg:  "./internal/engine", tests: []string{"TestACondensedBatchComesToTheSame"},
	},
	{
		name: "the checkpoint of a view is committed before the view", file: "projection/writer.go",
		find: "\terr := w.tenant.Derive(eventstream.Derivation{View: w.view, Durable: len(c.park) > 0, Guard: w.guard}, func(tx *eventstream.Tx) error {\n",
		put: "\tif err := w.tenant.Derive(eventstream.Derivation{View: w.view, Guard: w.guard}, func(tx *eventstream.Tx) error {\n\t\treturn setState(tx, w.state, &next)\n\t}); err != nil {\n\t\treturn err\n\t}\n" +
			"\terr := w.tenant.Derive(eventstream.Derivation{View: w.view, Durable: len(c.park) > 0, Guard: w.guard}, func(tx *eventstream.Tx) error {\n",
		pkg: "./projection", tests: []string{"TestACrashNeverAppliesAnEventTwiceOrNever"},
	},
	{
		name: "the checkpoint of a view is committed behind the view", file: "projection/writer.go",
		find: "\t\treturn setState(tx, w.state, &next)\n\t})\n\tif w.owners != nil {\n",
		put: "\t\treturn nil\n\t})\n\tif err == nil {\n\t\terr = w.tenant.Derive(eventstream.Derivation{View: w.view, Guard: w.guard}, func(tx *eventstream.Tx) error {\n\t\t\treturn setState(tx, w.state, &next)\n\t\t})\n\t}\n" +
			"\tif w.owners != nil {\n",
		pkg: "./projection", tests: []string{"TestAViewIsAlwaysTheFoldUpToItsCheckpoint"},
	},
	{
		name: "a batch ends inside a commit", file: "projection/writer.go",
		find: " && events[n-1].CommitPosition() != ev.CommitPosition() {\n\t\t\tafter = endOfCommit(&events[n-1])\n",
		put:  " {\n\t\t\tafter = events[n-1].Position\n",
		pkg:  "./projection", tests: []string{"TestNobodySeesHalfACommit"},
	},
	{
		name: "an event that fails takes part of its commit with it", file: "projection/writer.go",
		find: "\tif sound := before(events, failed.commit); len(sound) > 0 {\n\t\tif err := applyBatch(sound, failed.commit-1, commit); err != nil {",
		put:  "\tif sound := before(events, failed.Position); len(sound) > 0 {\n\t\tif err := applyBatch(sound, failed.Position-1, commit); err != nil {",
		pkg:  "./projection", tests: []string{"TestAnEventThatFailsDelaysItsOwnProjection"},
	},
	{
		name: "the token of a lease is not compared", file: "projection/lease.go",
		find: "\tif r.Owner == \"\" || r.Token != token {\n",
		put:  "\tif r.Owner == \"\" {\n",
		pkg:  "./projection", tests: []string{"TestTheMemoryLocker", "TestTheStoreLocker"},
	},
	{
		name: "what guards a commit of derived data is not asked", file: "views.go",
		find: "\tif d.Guard != nil {\n\t\tif err := d.Guard(); err != nil {",
		put:  "\tif d.Guard != nil {\n\t\tif err := tx.fault; err != nil {",
		pkg:  ".", tests: []string{"TestADerivationThatFailsWritesNothing"},
	},
	{
		name: "a runner does not ask for its lease when it commits", file: "projection/runner.go",
		find: "\tw := r.writer(r.set.Live, r.live, r.checkLease)\n",
		put:  "\tw := r.writer(r.set.Live, r.live, nil)\n",
		pkg:  "./projection", tests: []string{"TestARunnerThatLostItsLeaseWritesNothing"},
	},
	{
		name: "a rebuild does not ask for its lease when it commits", file: "projection/job.go",
		find: "\treturn j.r.writer(generation, p, j.lease.Check), err\n",
		put:  "\treturn j.r.writer(generation, p, nil), err\n",
		pkg:  "./projection", tests: []string{"TestARebuildWithoutALeaseEnds"},
	},
	{
		name: "a lease does not end with its time", file: "projection/lease.go",
		find: "r.Session != session || now.UnixNano()-r.RenewedAt > r.TTL\n",
		put:  "r.Session != session\n",
		pkg:  "./projection", tests: []string{"TestTheMemoryLocker"},
	},
	{
		name: "a lease can be taken while it is held", file: "projection/lease.go",
		find: "\tif r.Owner != \"\" && !r.zombie(now, session) {\n",
		put:  "\tif r.Owner == owner && !r.zombie(now, session) {\n",
		pkg:  "./projection", tests: []string{"TestTheMemoryLocker"},
	},
	{
		name: "a lease of an earlier session goes on", file: "projection/lease.go",
		find: "r.Session != session || now.UnixNano()-r.RenewedAt > r.TTL\n",
		put:  "now.UnixNano()-r.RenewedAt > r.TTL\n",
		pkg:  "./projection", tests: []string{"TestALeaseOfAnEarlierSessionIsTakenOver"},
	},
	{
		name: "two who swap a state at once both succeed", file: "derivedstate.go",
		find: "\tif ok != (old != nil) || !bytes.Equal(current, old) {\n",
		put:  "\tif ok != (old != nil) && bytes.Equal(current, old) {\n",
		pkg:  ".", tests: []string{"TestAStateIsSwappedIfItIsStillTheSame"},
	},
	{
		name: "a rebuilt view takes over before it has caught up", file: "projection/switch.go",
		find: "\tif err := j.reach(w); err != nil {\n\t\treturn err\n\t}\n\told, generation",
		put:  "\told, generation",
		pkg:  "./projection", tests: []string{"TestAViewIsRebuiltWhileItIsWrittenAndRead"},
	},
	{
		name: "a view of another version is written into", file: "projection/runner.go",
		find: "\tcase !r.live.builtBy(&r.def):\n\t\treturn StatusOutdated\n",
		put:  "",
		pkg:  "./projection", tests: []string{"TestAnotherVersionDoesNotWriteIntoAView"},
	},
	{
		name: "two views of a tenant mix", file: "views.go",
		find: "\t_, upper, err := keys.Range(r.prefix)\n",
		put:  "\t_, upper, err := keys.Range(r.prefix[:5])\n",
		pkg:  ".", tests: []string{"TestViewsDoNotMix"},
	},
}
