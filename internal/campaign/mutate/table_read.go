package main

// Streams, the log and those who follow it.
var readMutants = []mutant{
	{
		name: "a range of versions ends one too late", file: "readstream.go",
		find: "uint64(c.hi)+1)\n",
		put:  "uint64(c.hi)+2)\n",
		pkg:  ".", tests: []string{"TestReadStreamByVersionRange"},
	},
	{
		name: "a range of versions ends one too early", file: "readstream.go",
		find: "uint64(c.hi)+1)\n",
		put:  "uint64(c.hi))\n",
		pkg:  ".", tests: []string{"TestReadStreamByVersionRange"},
	},
	{
		name: "a stream shows what lies beyond the head", file: "readstream.go",
		find: "\t\tif position > c.view.head {\n",
		put:  "\t\tif position == 0 {\n",
		pkg:  ".", tests: []string{"TestNothingRestsOnWhatIsNotDurable"},
	},
	{
		name: "a hole in a stream passes", file: "readstream.go",
		find: "\tif version != expected {\n",
		put:  "\tif version == 0 {\n",
		pkg:  ".", tests: []string{"TestReadsReportDamage"},
	},
	{
		name: "a hole in the log passes", file: "readlog.go",
		find: "\t\tif position != expected {\n",
		put:  "\t\tif position == 0 {\n",
		pkg:  ".", tests: []string{"TestReadsReportDamage"},
	},
	{
		name: "an event may stand at another position than it says", file: "readlog.go",
		find: "\tif env.Position != position {\n",
		put:  "\tif env.Position == 0 {\n",
		pkg:  ".", tests: []string{"TestReadsReportDamage"},
	},
	{
		name: "the log of a tenant shows the others' events", file: "readlog.go",
		find: "\t\tif r.tenant.name == c.view.tenant {\n",
		put:  "\t\tif r.tenant.name != \"\" {\n",
		pkg:  ".", tests: []string{"TestTenantsAreApart"},
	},
	{
		name: "a check passes what nobody has appended", file: "checker.go",
		find: "position > c.report.Head && uint64(position) <= c.db.seq.assigned.Load()\n",
		put:  "position > c.report.Head\n",
		pkg:  ".", tests: []string{"TestCheckNamesEveryDamage"},
	},
	{
		name: "the first event of a segment is left out", file: "readsegment.go",
		find: "\tfor at := u.First(); at < position ||",
		put:  "\tfor at := u.First(); at < position || at == position && len(s.places) == 0 && !c.opts.backward ||",
		pkg:  ".", tests: []string{"TestSegmentsGiveWhatTheLogGives"},
	},
	{
		name: "a segment that was read ahead is taken as it is", file: "readsegment.go",
		find: "u.err == nil && u.Covers(position) && u.Last() == a.last {",
		put:  "u.Last() >= a.last {",
		pkg:  ".", tests: []string{"TestADamagedSegmentIsReadAhead"},
	},
	{
		name: "a segment shows the events of all tenants", file: "readsegment.go",
		find: "\t\tif s.record.Tenant == tenant {\n\t\t\tif err := c.takePacked(p, &s.record); err != nil {\n\t\t\t\treturn err\n\t\t\t}\n\t\t}\n\t\tc.lo =",
		put:  "\t\tif s.record.Tenant != 0 {\n\t\t\tif err := c.takePacked(p, &s.record); err != nil {\n\t\t\t\treturn err\n\t\t\t}\n\t\t}\n\t\tc.lo =",
		pkg:  ".", tests: []string{"TestSegmentsGiveWhatTheLogGives"},
	},
	{
		name: "a run cuts a commit", file: "sealer.go",
		find: "\t\t\tif len(s.commit) < records[i].commitSize() {\n\t\t\t\tcontinue\n\t\t\t}\n",
		put:  "",
		pkg:  ".", tests: []string{"TestARunNeverCutsACommit"},
	},
	{
		name: "a follower gets an event twice where it goes live", file: "follow.go",
		find: "\t\t\tc.hi, err = v.awaitNews(ctx, c.lo)\n",
		put:  "\t\t\tif c.hi > 1 && c.lo == c.hi+1 {\n\t\t\t\tc.lo--\n\t\t\t}\n\t\t\tc.hi, err = v.awaitNews(ctx, c.lo)\n",
		pkg:  ".", tests: []string{"TestFollowCatchesUpAndGoesLive"},
	},
	{
		name: "a follower misses an event where it goes live", file: "follow.go",
		find: "\t\t\tc.hi, err = v.awaitNews(ctx, c.lo)\n",
		put:  "\t\t\tif c.hi > 1 && c.lo == c.hi+1 {\n\t\t\t\tc.lo++\n\t\t\t}\n\t\t\tc.hi, err = v.awaitNews(ctx, c.lo)\n",
		pkg:  ".", tests: []string{"TestFollowersSeeEveryEventOnce"},
	},
	{
		name: "the tail is read from one event too far", file: "tail.go",
		find: "return t.blocks[i].first > from }) - 1",
		put:  "return t.blocks[i].first >= from }) - 1",
		pkg:  ".", tests: []string{"TestTheTailReadsAcrossBlocks"},
	},
}
