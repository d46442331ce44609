package main

// Indexes, queries and their pages.
var queryMutants = []mutant{
	{
		name: "one posting of an index is not written", file: "internal/index/builder.go",
		find: "\t\tset(b.prefix, b.record)\n",
		put:  "\t\tif len(list)%7 != 3 {\n\t\t\tset(b.prefix, b.record)\n\t\t}\n",
		pkg:  ".", tests: []string{"TestAnIndexThatIsAddedCatchesUp"},
	},
	{
		name: "a query misses what a posting was not written for", file: "internal/index/builder.go",
		find: "\t\tset(b.prefix, b.record)\n",
		put:  "\t\tif list[0]%7 != 3 {\n\t\t\tset(b.prefix, b.record)\n\t\t}\n",
		pkg:  ".", tests: []string{"TestAQueryFindsWhatALookAtEveryEventFinds"},
	},
	{
		name: "the checkpoint of an index is stored before its postings", file: "indexer.go",
		find: "\tbatch := x.db.eng.NewBatch()\n\tx.builder.Write(batch.Set)\n\tfor _, s := range group {\n\t\tbatch.Set(indexStateKey(s.index), indexState(until))\n\t}\n",
		put: "\tbatch := x.db.eng.NewBatch()\n\tx.builder.Write(batch.Set)\n\tahead := x.db.eng.NewBatch()\n\tfor _, s := range group {\n\t\tahead.Set(indexStateKey(s.index), indexState(until))\n\t}\n" +
			"\tif err := x.db.apply(ahead, true); err != nil {\n\t\treturn err\n\t}\n",
		pkg: ".", tests: []string{"TestACrashNeverPartsAnIndexFromItsCheckpoint"},
	},
	{
		name: "the checkpoint of an index is ahead of its postings", file: "indexer.go",
		find: "\t\ts.checkpoint.Store(uint64(until))\n",
		put:  "\t\ts.checkpoint.Store(uint64(until) + 1)\n",
		pkg:  ".", tests: []string{"TestAnIndexThatIsAddedCatchesUp"},
	},
	{
		name: "an index beyond the head passes", file: "indexer.go",
		find: "\t\tcase at > db.seq.head:\n",
		put:  "\t\tcase at > db.seq.head+1<<20:\n",
		pkg:  ".", tests: []string{"TestAnIndexBeyondTheHeadIsDamage"},
	},
	{
		name: "a query fails for an index that is damaged", file: "queryplan.go",
		find: "\tif !errors.Is(err, index.ErrDamaged) && !engine.IsCorruption(err) {\n",
		put:  "\tif !errors.Is(err, errReplan) && !engine.IsCorruption(errReplan) {\n",
		pkg:  ".", tests: []string{"TestDamageOfAnIndexIsFound"},
	},
	{
		name: "what the indexes do not have is not read from the log", file: "querycursor.go",
		find: "\t\t\t!c.query.backward && c.lo <= c.plan.indexed {\n\t\t\terr = c.fromIndexes(p, n)\n",
		put:  "\t\t\t!c.query.backward {\n\t\t\tc.plan.indexed = c.hi\n\t\t\terr = c.fromIndexes(p, n)\n",
		pkg:  ".", tests: []string{"TestAQueryFindsWhatALookAtEveryEventFinds"},
	},
	{
		name: "an index is read one record too short", file: "internal/index/postings.go",
		find: "uint64(min(span.High, keys.MaxPosition))+1)\n\tlower",
		put:  "uint64(min(span.High, keys.MaxPosition)))\n\tlower",
		pkg:  ".", tests: []string{"TestAQueryFindsWhatALookAtEveryEventFinds"},
	},
	{
		name: "a stretch of times ends one too early", file: "internal/index/postings.go",
		find: "\t_, upper, err := keys.Range(keys.AppendIndexTerm(nil, tenant, Occurred, AppendTimeTerm(nil, to)))\n",
		put:  "\t_, upper, err := keys.Range(keys.AppendIndexTerm(nil, tenant, Occurred, AppendTimeTerm(nil, to-1)))\n",
		pkg:  ".", tests: []string{"TestAQueryFindsWhatALookAtEveryEventFinds"},
	},
	{
		name: "a query takes the event of another position", file: "querycursor.go",
		find: "\tif env.Position != f.position {\n",
		put:  "\tif env.Position == 0 {\n",
		pkg:  ".", tests: []string{"TestReadsReportDamage"},
	},
	{
		name: "of two conditions one counts", file: "internal/index/sets.go",
		find: "\t\tif agreed++; agreed == len(x.sets) {\n",
		put:  "\t\tif agreed++; agreed == 1 {\n",
		pkg:  ".", tests: []string{"TestAQueryFindsWhatALookAtEveryEventFinds"},
	},
	{
		name: "a recorded-at that a query ends with is left out", file: "querycursor.go",
		find: "return t > c.matcher.recordedTo })",
		put:  "return t >= c.matcher.recordedTo })",
		pkg:  ".", tests: []string{"TestAQueryFindsWhatALookAtEveryEventFinds"},
	},
	{
		name: "pages show what was committed since the first", file: "querypage.go",
		find: "\t\tv.head = from.head\n",
		put:  "",
		pkg:  ".", tests: []string{"TestAQueryFindsWhatALookAtEveryEventFinds"},
	},
	{
		name: "a page begins with the last event of the one before", file: "querypage.go",
		find: "\t\tc.lo = max(c.lo, from.position+1)\n",
		put:  "\t\tc.lo = max(c.lo, from.position)\n",
		pkg:  ".", tests: []string{"TestAQueryFindsWhatALookAtEveryEventFinds"},
	},
	{
		name: "two queries have one digest", file: "querypage.go",
		find: "\t\tb = fmt.Appendf(b, \" %s%q\", fieldNames[f.field], f.values)\n",
		put:  "\t\tb = fmt.Appendf(b, \" %s\", fieldNames[f.field])\n",
		pkg:  ".", tests: []string{"TestACursorIsForItsQueryAlone"},
	},
	{
		name: "a query may read any number of events in vain", file: "querycursor.go",
		find: "err == nil && c.missed > budget {",
		put:  "err == nil && c.missed < 0 && budget < 0 {",
		pkg:  ".", tests: []string{"TestAQueryThatReadsTooMuchInVainSaysSo"},
	},
}
