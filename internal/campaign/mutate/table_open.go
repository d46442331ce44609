package main

// What Open proves before Pebble may write.
var openMutants = []mutant{
	{
		name: "the high-water mark is not looked at", file: "opencheck.go",
		find: "\tif db.marked {\n\t\tif err := db.checkMark(mark); err != nil {",
		put:  "\tif db.marked {\n\t\tif err := ctx.Err(); err != nil {",
		pkg:  ".", tests: []string{"TestEventsLostFromTheEndOfTheLogAreMissed"},
	},
	{
		name: "the event at the high-water mark may be another", file: "opencheck.go",
		find: "\tif sum != mark.Sum {\n",
		put:  "\tif sum == 0 {\n",
		pkg:  ".", tests: []string{"TestOpenRefusesAHistoryThatIsNotWhole"},
	},
	{
		name: "a mark of another incarnation counts", file: "internal/engine/hwm.go",
		find: "\t\tif mark.Incarnation != f.store.Identity.Incarnation {\n",
		put:  "\t\tif mark.Incarnation != f.store.Identity.Incarnation && mark.Position == 0 {\n",
		pkg:  "./internal/engine", tests: []string{"TestWhatIsFoundOfTheMark"},
	},
	{
		name: "a mark is not synced", file: "internal/engine/hwm.go",
		find: "\t\terr = f.file.SyncData()\n",
		put:  "\t\terr = nil\n",
		pkg:  "./internal/engine", tests: []string{"TestAMarkSurvivesACrash"},
	},
	{
		name: "a mark overwrites the newest one", file: "internal/engine/hwm.go",
		find: "\tslot := 1 - f.slot\n",
		put:  "\tslot := f.slot\n",
		pkg:  "./internal/engine", tests: []string{"TestMarksAreWrittenInTurn"},
	},
	{
		name: "a damaged manifest passes", file: "internal/engine/preflight.go",
		find: "\tcase scan.damaged:\n",
		put:  "\tcase scan.damaged && scan.end == 0:\n",
		pkg:  "./internal/engine", tests: []string{"TestDatabasesThatLookBeforeRefuses"},
	},
	{
		name: "a missing marker of the manifest passes", file: "internal/engine/preflight.go",
		find: "\tif manifest.file == \"\" {\n\t\treturn p, damagedFile(",
		put:  "\tif manifest.file == \"\" {\n\t\treturn p, nil\n\t}\n\tif manifest.file == \"\" {\n\t\treturn p, damagedFile(",
		pkg:  "./internal/engine", tests: []string{"TestAMissingMarkerWouldBeANewDatabase"},
	},
	{
		name: "nothing looks at a database before Pebble opens it", file: "opencheck.go",
		find: "\tif err != nil {\n\t\treturn historyError(err)\n\t}\n\tif err := db.openEngine(true); err != nil {",
		put:  "\t_ = err\n\tif err := db.openEngine(true); err != nil {",
		pkg:  ".", tests: []string{"TestADatabaseOfANewerPebbleIsRefusedByName"},
	},
	{
		name: "Pebble may delete tables before the store is proven", file: "opencheck.go",
		find: "\tif err := db.openEngine(true); err != nil {",
		put:  "\tif err := db.openEngine(db.opts.ReadOnly); err != nil {",
		pkg:  ".", tests: []string{"TestEventsLostFromTheEndOfTheLogAreMissed"},
	},
	{
		name: "Pebble creates a database where there was one", file: "internal/engine/engine.go",
		find: "\t\tErrorIfNotExists:            !cfg.Create,\n",
		put:  "",
		pkg:  "./internal/engine", tests: []string{"TestAMissingMarkerWouldBeANewDatabase"},
	},
	{
		name: "tables that the manifest does not know are not looked at", file: "opencheck.go",
		find: "\tif left != nil {\n",
		put:  "\tif left != nil && left.File == \"\" {\n",
		pkg:  ".", tests: []string{"TestATableThatTheManifestHasLostIsMissed"},
	},
	{
		name: "a table in another's place passes", file: "internal/engine/tables.go",
		find: "\tif !sameKey(smallest, t.Smallest) || !sameKey(largest, t.Largest) {\n",
		put:  "\tif len(smallest.UserKey) == 0 || len(largest.UserKey) == 0 {\n",
		pkg:  "./internal/engine", tests: []string{"TestCheckTablesFindsWhatPebbleDoesNot"},
	},
	{
		name: "a hole among the newest positions passes", file: "opencheck.go",
		find: "\tif err := db.checkPositions(ctx, head-min(head, depth)+1, head); err != nil {\n\t\treturn err\n\t}\n",
		put:  "\t_ = depth\n",
		pkg:  ".", tests: []string{"TestOpenRefusesAHistoryThatIsNotWhole"},
	},
	{
		name: "without a mark no more is read than with one", file: "opencheck.go",
		find: "\tcase found.Torn || !db.marked:\n\t\tdepth = head\n",
		put:  "",
		pkg:  ".", tests: []string{"TestOpenLooksUpEveryPositionWithoutAMark"},
	},
	{
		name: "the newest events are not read", file: "opencheck.go",
		find: "\treturn db.checkEnd(max(head-min(head, openEvents), db.newestSeal.Last)+1, head)\n",
		put:  "\treturn nil\n",
		pkg:  ".", tests: []string{"TestOpenRefusesAHistoryThatIsNotWhole"},
	},
	{
		name: "the events of the newest run are not held against its seal", file: "opencheck.go",
		find: "\tif err := db.verifyRun(&db.newestSeal); err != nil {\n",
		put:  "\tif err := ctx.Err(); err != nil {\n",
		pkg:  ".", tests: []string{"TestEventsThatAreNotThoseThatWereSealed"},
	},
	{
		name: "a newest commit that is cut off passes", file: "db.go",
		find: "\tif event.CommitIndex != event.CommitSize-1 {\n",
		put:  "\tif event.CommitIndex >= event.CommitSize {\n",
		pkg:  ".", tests: []string{"TestOpenRefusesAHistoryThatIsNotWhole"},
	},
	{
		name: "the database of another store passes", file: "identity.go",
		find: "\tif string(stored) != string(identityRecord(db.dir.Identity)) {\n",
		put:  "\tif len(stored) == 0 {\n",
		pkg:  ".", tests: []string{"TestOpenRefusesADatabaseOfAnotherStore"},
	},
}
