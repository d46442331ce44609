package main

// Backups and what is restored of them.
var backupMutants = []mutant{
	{
		name: "a backup is published without its check", file: "backup.go",
		find: "\tif !found.OK() {\n\t\tp := found.Problems[0]\n\t\treturn checked{}, &CorruptionError{",
		put:  "\tif found.Head == 0 && !found.OK() {\n\t\tp := found.Problems[0]\n\t\treturn checked{}, &CorruptionError{",
		pkg:  ".", tests: []string{"TestABackupOfADamagedStoreIsNotPublished"},
	},
	{
		name: "a backup may lack what was durable", file: "backup.go",
		find: "\tif found.Head < durable {\n",
		put:  "\tif found.Head == 0 && durable > 0 {\n",
		pkg:  ".", tests: []string{"TestABackupOfADamagedStoreIsNotPublished"},
	},
	{
		name: "a backup is copied before the log is synced", file: "backup.go",
		find: "\t\tif err := b.db.eng.Sync(ctx, b.db.acknowledged.Load()); err != nil {\n",
		put:  "\t\tif err := ctx.Err(); err != nil {\n",
		pkg:  ".", tests: []string{"TestABackupHoldsWhatWasAcknowledged"},
	},
	{
		name: "the files of a backup are not held against their sums", file: "internal/engine/backup.go",
		find: "\t\tif n != f.Size || [sha256.Size]byte(sum.Sum(nil)) != f.Sum {\n",
		put:  "\t\tif n != f.Size {\n",
		pkg:  ".", tests: []string{"TestRestoreRefusesABackupThatIsNotWhole"},
	},
	{
		name: "a restored store keeps its incarnation", file: "restore.go",
		find: "\tr.id.Incarnation = incarnation\n",
		put:  "\t_ = incarnation\n",
		pkg:  ".", tests: []string{"TestARestoredBackupIsTheStoreToTheByte"},
	},
	{
		name: "a restore ends inside a commit", file: "restorecut.go",
		find: "\tif env.Index+1 == env.Count {\n",
		put:  "\tif env.Count > 0 {\n",
		pkg:  ".", tests: []string{"TestRestoreAsOfAPositionOrATime"},
	},
	{
		name: "a restore as of a time leaves out what was recorded then", file: "restorecut.go",
		find: "\t\treturn first.After(t)\n",
		put:  "\t\treturn !first.Before(t)\n",
		pkg:  ".", tests: []string{"TestRestoreAsOfAPositionOrATime"},
	},
	{
		name: "event ids that were cut off stay taken", file: "restorecut.go",
		find: "\t\t\tbatch.Delete(keys.AppendEventID(nil, tenant, env.EventID))\n",
		put:  "\t\t\t_, _ = tenant, env.EventID\n",
		pkg:  ".", tests: []string{"TestRestoreAsOfAPositionOrATime"},
	},
	{
		name: "what was derived outlives a cut", file: "restorecut.go",
		find: "keys.KindIndex, keys.KindSnapshot, keys.KindView, keys.KindDerived} {",
		put:  "keys.KindIndex, keys.KindSnapshot} {",
		pkg:  ".", tests: []string{"TestACutStoreSealsAgainAndDerivesAnew"},
	},
	{
		name: "what was cut off stays in the files", file: "restorecut.go",
		find: "\t\t\treturn eng.Compact(ctx)\n",
		put:  "\t\t\treturn ctx.Err()\n",
		pkg:  ".", tests: []string{"TestWhatWasCutOffIsGoneFromTheFiles"},
	},
	{
		name: "a restore waits for a Pebble that died", file: "internal/engine/checkpoint.go",
		find: "\treturn e.bounded(func() error { return e.compact(ctx) })\n",
		put:  "\treturn e.compact(ctx)\n",
		pkg:  ".", tests: []string{"TestARestoreReturnsThoughPebbleDied"},
	},
	{
		name: "what is being built counts as a store", file: "internal/engine/staging.go",
		find: "\tif err := writeFile(fs, s.Path, fileBackup, nil); err != nil {\n",
		put:  "\tif err := error(nil); err != nil {\n",
		pkg:  ".", tests: []string{"TestACrashDuringARestoreLeavesNoneOrAWholeStore"},
	},
}
