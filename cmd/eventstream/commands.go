package main

import "github.com/spf13/cobra"

// commands are the commands of the program, in the order of its help.
func commands(env *environment) []*cobra.Command {
	return []*cobra.Command{
		newInitCommand(env),
		newAppendCommand(env),
		newImportCommand(env),
		newExportCommand(env),
		newReadCommand(env),
		newAllCommand(env),
		newTailCommand(env),
		newEventCommand(env),
		newQueryCommand(env),
		newTraceCommand(env),
		newStreamsCommand(env),
		newStateCommand(env),
		newSnapshotCommand(env),
		newInfoCommand(env),
		newStatsCommand(env),
		newProjectionCommand(env),
		newVerifyCommand(env),
		newDoctorCommand(env),
		newBackupCommand(env),
		newRestoreCommand(env),
		newBenchCommand(env),
		newDemoCommand(env),
		newPebbleCommand(),
		newCompletionCommand(env),
		newManCommand(env),
		newVersionCommand(env),
	}
}
