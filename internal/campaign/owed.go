package campaign

// Owed says how many of each kind a whole run of a lane must have done. The command
// report fails below it, so that a test which silently does less is seen.
func Owed(lane Lane) map[Kind]int {
	owed := map[Kind]int{
		CrashPoints: 1_500, FaultPoints: 3_000, Damages: 5_000, KillRounds: 60, Histories: 30, ModelCases: 500,
	}
	if lane >= Nightly {
		owed[Damages], owed[KillRounds], owed[Histories], owed[ModelCases] = 50_000, 2_000, 1_000, 20_000
	}
	return owed
}

// The losses that nothing on the disk can show. docs/RELIABILITY.md lists them under
// these names, with the test that counts each.
const (
	LostEnd      = "the end of the log, beyond the high-water mark"
	RolledBack   = "the whole store put back to an older copy"
	LostManifest = "a marker kept without the manifest that it names"
)

// Exceptions are the names of all listed exceptions.
func Exceptions() []string { return []string{LostEnd, RolledBack, LostManifest} }
