package main

// Snapshots of aggregates.
var snapshotMutants = []mutant{
	{
		name: "the sum of a snapshot is not compared", file: "snapshot/record.go",
		find: "string(got) != string(want) {",
		put:  "len(got) != len(want) {",
		pkg:  "./snapshot", tests: []string{"TestDamageIsFound", "TestARecordThatWasMovedIsFound"},
	},
	{
		name: "a snapshot of another history passes", file: "snapshots.go",
		find: "\tcase anchor != s.Anchor || position != s.Position:\n",
		put:  "\tcase anchor == 0:\n",
		pkg:  ".", tests: []string{"TestADamagedSnapshotIsToldAndPassedOver"},
	},
	{
		name: "a snapshot is taken of what is not readable", file: "snapshots.go",
		find: "\tif !ok || env.Position > v.head {\n",
		put:  "\tif !ok {\n",
		pkg:  ".", tests: []string{"TestASnapshotIsTakenOfWhatIsReadable"},
	},
	{
		name: "a snapshot beyond the reader's head is shown", file: "snapshots.go",
		find: "\t\ts.Position <= v.head && s.OccurredUntil",
		put:  "\t\ts.OccurredUntil",
		pkg:  ".", tests: []string{"TestAReaderSeesTheSnapshotsOfItsHead"},
	},
	{
		name: "a snapshot serves a past that it lies beyond", file: "snapshots.go",
		find: "s.OccurredUntil.UnixNano() <= o.occurredTo && ",
		put:  "",
		pkg:  "./aggregate", tests: []string{"TestABackDatedEventIsNotMissed"},
	},
	{
		name: "a snapshot serves what was not known yet", file: "snapshots.go",
		find: " && s.RecordedUntil.UnixNano() <= o.recordedTo",
		put:  "",
		pkg:  "./aggregate", tests: []string{"TestStateAtIsExact"},
	},
	{
		name: "of too many snapshots the newest go", file: "snapshots.go",
		find: "\t\tfor _, version := range versions[min(keep, len(versions)):] {\n",
		put:  "\t\tfor _, version := range versions[:len(versions)-min(keep, len(versions))] {\n",
		pkg:  ".", tests: []string{"TestTheNewestSnapshotsAreKept"},
	},
	{
		name: "the newest snapshot can be deleted", file: "snapshots.go",
		find: "\t\tcase versions[0] == version:\n",
		put:  "\t\tcase version == 0:\n",
		pkg:  ".", tests: []string{"TestSnapshotsAreDeletedButForTheNewest"},
	},
	{
		name: "pruning keeps damaged snapshots instead of sound ones", file: "snapshots.go",
		find: "\t\tif found.Err == nil && kept < keep {\n",
		put:  "\t\tif kept < keep {\n",
		pkg:  ".", tests: []string{"TestPruningKeepsWhatIsSound"},
	},
	{
		name: "a state of another type is taken from a snapshot", file: "aggregate/repository.go",
		find: "found.Err == nil && found.Snapshot.Fingerprint != f.r.fingerprint {",
		put:  "found.Err == nil && found.Snapshot.Fingerprint == 0 {",
		pkg:  "./aggregate", tests: []string{"TestSnapshotsOfAnotherStateAreDiscarded"},
	},
}
