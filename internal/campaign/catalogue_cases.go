package campaign

// The tables of the catalogue, by what they are about. Numbers and names never change:
// reports and notes refer to them.

// crashes are about what ends the process, or one operation on the file system.
func crashes() []Case {
	return []Case{
		{1, "crash_every_fs_op", everyLane, []Tests{
			in(root, "TestACrashAtEveryOperationLosesNothingAcknowledged", "TestCreationSurvivesACrashAtEveryStep", "TestACrashNeverPartsEventsFromRecords", "TestACrashDuringABackupLeavesNoneOrAWholeOne", "TestACrashDuringARestoreLeavesNoneOrAWholeStore"),
			in(project, "TestACrashNeverAppliesAnEventTwiceOrNever", "TestACrashAtEveryOperationLeavesViewsTheFoldOfTheLog"),
		}, ""},
		{2, "crash_every_fs_op_unsynced", nightly, []Tests{in(root, "TestACrashAtEveryOperationLosesNothingAcknowledged")}, ""},
		{3, "fail_once_every_op", everyLane, []Tests{
			in(root, "TestAFaultAtEveryOperationLosesNothingAcknowledged", "TestTwoFaultsLoseNothingAcknowledged", "TestAFailedReadIsNeverAShorterAnswer", "TestAReadThatFailsAtOpenLosesNothing", "TestAFaultDuringABackupLeavesNone", "TestAFaultDuringARestoreLeavesNone"),
			in(engine, "TestADirectoryToleratesAFaultAtEveryOperation"),
		}, ""},
		{4, "fail_persist_every_op", nightly, []Tests{in(root, "TestAFaultAtEveryOperationLosesNothingAcknowledged")}, ""},
		{5, "enospc_every_op", everyLane, []Tests{
			in(root, "TestAFaultAtEveryOperationLosesNothingAcknowledged"),
			in(engine, "TestTheBallastSavesTheLog"),
		}, ""},
		{6, "wal_fsync_eio_apply", everyLane, []Tests{
			in(root, "TestAFailingLogPoisonsTheStore", "TestAnswersBecomeThePoisonErrorIfTheSyncFails"),
			in(engine, "TestAFailedSyncPoisonsForGood"),
		}, ""},
		{7, "fatalf_never_acks", everyLane, []Tests{
			in(engine, "TestFatalfOnTheCommitPathComesBackAsAnError", "TestFatalfElsewhereParks", "TestAPanicOfPebblePoisons", "TestPlainPebbleAcknowledgesALostWriteIfFatalfReturnsAndWeDoNot"),
		}, ""},
		{8, "wal_rotate_enospc_child", everyLane, []Tests{
			in(root, "TestALogThatCannotBeRotatedLosesNothingAcknowledged"),
			in(engine, "TestPlainPebbleDiesWhenItsLogCannotBeRotated"),
		}, ""},
		{9, "kill_between_apply_and_syncwait", moreNightly, []Tests{in(root, "TestACrashBetweenHandOverAndSync")}, ""},
		{10, "kill9_loop", moreNightly, []Tests{
			in(root, "TestAKilledProcessLosesNothingAcknowledged"),
			in(cmd, "TestAKilledImportIsFinishedByAnotherOne", "TestAKilledImportOfAJournalIsFinished"),
		}, ""},
		{11, "kill9_during_open", moreNightly, []Tests{in(root, "TestAKilledProcessLosesNothingAcknowledged")}, ""},
		{12, "kill9_during_migration", everyLane, nil, "there is one format on disk: nothing migrates"},
		{13, "power_cut_dmflakey", weekly, nil, "it needs the rights to make a block device; TestALyingDiskIsNeverASilentLoss drops the same writes in memory"},
		{14, "lying_fsync", moreNightly, []Tests{in(root, "TestALyingDiskIsNeverASilentLoss")}, ""},
		{15, "reordered_rename", moreNightly, []Tests{in(root, "TestALyingDiskIsNeverASilentLoss")}, ""},
		{16, "torn_write_512", moreNightly, []Tests{in(root, "TestATornWriteOfTheLogIsNoPartOfACommit")}, ""},
	}
}

// damage is about files that are not what was written.
func damage() []Case {
	return []Case{
		{17, "manifest_bitflip_all", everyLane, []Tests{
			in(engine, "TestEveryFlippedBitOfAManifestIsSeen", "TestAFlippedBitInTheManifestWouldLoseTables"),
			in(root, "TestEveryBitOfASmallStoreIsRepairedOrReported", "TestDamageIsRepairedOrReported"),
		}, ""},
		{18, "manifest_truncate_all", everyLane, []Tests{
			in(engine, "TestEveryTruncationOfAManifestIsTorn"),
			in(root, "TestEveryBitOfASmallStoreIsRepairedOrReported", "TestDamageIsRepairedOrReported"),
		}, ""},
		{19, "marker_missing_or_extra", everyLane, []Tests{
			in(engine, "TestAMissingMarkerWouldBeANewDatabase", "TestDatabasesThatLookBeforeRefuses"),
			in(root, "TestDamageIsRepairedOrReported"),
		}, ""},
		{20, "wal_bitflip_grid", moreNightly, []Tests{in(root, "TestDamageIsRepairedOrReported", "TestEventsLostFromTheEndOfTheLogAreMissed")}, ""},
		{21, "wal_newest_deleted_truncated", everyLane, []Tests{in(root, "TestEventsLostFromTheEndOfTheLogAreMissed")}, ""},
		{22, "wal_middle_deleted", everyLane, []Tests{in(root, "TestDamageIsRepairedOrReported")}, ""},
		{23, "sst_bitflip_grid", everyLane, []Tests{
			in(root, "TestDamageIsRepairedOrReported"),
			in(engine, "TestCheckTablesFindsWhatPebbleDoesNot"),
		}, ""},
		{24, "sst_swapped", everyLane, []Tests{in(root, "TestDamageIsRepairedOrReported")}, ""},
		{25, "sst_deleted_zeroed", everyLane, []Tests{
			in(root, "TestDamageIsRepairedOrReported"),
			in(engine, "TestSalvageReadsAroundDamage"),
		}, ""},
		{26, "blob_file_damage", nightly, nil, "the store keeps no values in files of their own: Pebble's value separation is off"},
		{27, "options_lock_storeid_damage", everyLane, []Tests{
			in(root, "TestOneIdentityFileIsMendedFromTheOther", "TestOpenRefusesAndWritesNothing", "TestTheKeysOfCursors"),
			in(engine, "TestIdentityNoticesEveryDamage"),
		}, ""},
		{28, "hwm_damage", everyLane, []Tests{
			in(root, "TestTheMarkIsDamagedOrAnothers"),
			in(engine, "TestATornMarkLeavesTheOneBefore", "TestEveryFlippedBitOfAMarkIsSeen", "TestWhatIsFoundOfTheMark", "TestAMarkFileThatIsOlderThanTheIdentity"),
		}, ""},
		{29, "value_bitrot_above_pebble", everyLane, []Tests{
			in(root, "TestCheckNamesEveryDamage", "TestReadsReportDamage"),
			in("codec", "TestEveryDamagedBitOfAnEnvelopeIsRefused"),
		}, ""},
		{30, "misdirected_write", moreNightly, []Tests{in(root, "TestAMisdirectedWriteIsNeverASilentLoss")}, ""},
	}
}

// disks are about file systems that are full, slow, or refuse.
func disks() []Case {
	return []Case{
		{31, "disk_full_real", nightly, []Tests{in(root, "TestARealDiskRunsFullAndIsFreed")}, ""},
		{32, "disk_full_spin_guard", everyLane, []Tests{
			in(engine, "TestAFailingFlushCostsNoCoreAndHeals", "TestCloseReturnsWhileFlushesFail", "TestPlainPebbleSpinsOnAFailingFlush", "TestBackgroundErrorsAreLimited"),
			in(root, "TestARealDiskRunsFullAndIsFreed"),
		}, ""},
		{33, "hard_watermark", everyLane, []Tests{in(root, "TestAFullDiskRefusesAppendsAndNothingElse", "TestABurstStopsAtTheMarkBetweenTwoLooks", "TestOpenRefusesADiskThatIsTooSmall")}, ""},
		{34, "slow_disk_stall", everyLane, []Tests{in(root, "TestADiskTakesItsTime", "TestCommitUnknownAndRetry")}, ""},
		{35, "write_stall_bounded", everyLane, []Tests{
			in(root, "TestAStallHoldsNoCallerBeyondItsContext", "TestCloseIsBoundedIfTheDiskNeverAnswers"),
			in(engine, "TestAStallIsCountedAndTimed"),
		}, ""},
		{36, "readonly_fs_remount", everyLane, []Tests{in(root, "TestAFileSystemThatRefuses", "TestAStoreOnAReadOnlyFileSystemIsRead", "TestAStoreOnAMountThatIsReadOnly")}, ""},
		{37, "permission_lost_fd_exhausted", everyLane, []Tests{in(root, "TestAFileSystemThatRefuses"), in(engine, "TestAFaultIsNotTakenForALockThatIsHeld")}, ""},
		{38, "clock_backwards", everyLane, []Tests{
			in(root, "TestTheClockDoesWhatItLikes", "TestAStoreIsMadeWithAWrongClock", "TestRecordedAtNeverGoesBack"),
			in(project, "TestTheMemoryLocker", "TestTheStoreLocker"),
			in("keys", "TestIDsAscendWhateverTheClockDoes"),
		}, ""},
	}
}

// order is about many at once.
func order() []Case {
	return []Case{
		{39, "concurrent_append_linearizable", moreNightly, []Tests{in(model, "TestConcurrentAppendsAreLinearizable"), in(root, "TestConcurrentExactAppends", "TestGuardedAppendsAreLinearizable")}, ""},
		{40, "linearizable_through_crash", moreNightly, []Tests{in(model, "TestHistoriesThroughACrashAreLinearizable")}, ""},
		{41, "global_order_visible", everyLane, []Tests{in(model, "TestFollowersAndReadersSeeOneOrder"), in(root, "TestFollowersSeeEveryEventOnce")}, ""},
		{42, "multi_stream_batch_atomic", everyLane, []Tests{in(root, "TestAppendAllWritesNothingIfOneStreamConflicts", "TestAppendAllIsOneCommit", "TestJournalEntriesAreWhole", "TestACrashBetweenHandOverAndSync")}, ""},
		{43, "idempotent_retry_storm", everyLane, []Tests{in(model, "TestARetryStormThroughCrashes"), in(root, "TestIdempotentRetryStorm", "TestAppendingAgainReturnsTheFirstResult", "TestATakenIDIsRefused")}, ""},
		{44, "model_rapid_state_machine", moreNightly, []Tests{in(model, "TestAStoreDoesWhatTheModelDoes")}, ""},
		{45, "metamorphic_options", moreNightly, []Tests{in(model, "TestNoOptionChangesWhatIsRead")}, ""},
	}
}

// projections are about what is derived from events, and who follows them.
func projections() []Case {
	return []Case{
		{46, "projection_crash_between_write_and_checkpoint", everyLane, []Tests{
			in(project, "TestACrashNeverAppliesAnEventTwiceOrNever"),
			in(cmd, "TestKilledProjectionsAreTheFoldOfTheLog"),
		}, ""},
		{47, "projection_double_start", everyLane, []Tests{in(project, "TestOneOfTwoEnginesRunsAProjection", "TestTheMemoryLocker", "TestTheStoreLocker", "TestALeaseOfAnEarlierSessionIsTakenOver")}, ""},
		{48, "rebuild_under_writes", moreNightly, []Tests{in(project, "TestAViewIsRebuiltWhileItIsWrittenAndRead", "TestACrashedRebuildGoesOn", "TestTheRunnerFollowsASwitchInTheMiddleOfABatch", "TestAScanSurvivesASwitch")}, ""},
		{49, "poison_event", everyLane, []Tests{in(project, "TestAnEventThatFailsDelaysItsOwnProjection", "TestParkedEventsAreAppliedOrDroppedByHand", "TestAHaltedProjectionStandsStillUntilItIsResumed", "TestAnUnsteadyApplyLosesNothing")}, ""},
		{50, "handler_nondeterminism_guard", everyLane, []Tests{in(project, "TestADryRunTellsWhatWouldDiffer", "TestARebuildIsVerifiedBeforeItIsSeen")}, ""},
		{51, "upcaster_all_versions", everyLane, []Tests{
			in("aggregate", "TestAStreamOfMixedVersionsComesToOneState"),
			in("codec", "TestUpcastAppliesTheStepsThatAreLeft", "TestRenamedTypesGoOnWithTheirNewSteps", "TestALongChain"),
			in("estest", "TestGoldenFilesOfEachVersion", "TestGoldenValuesOfEachVersion"),
		}, ""},
		{52, "slow_subscriber", moreNightly, []Tests{in(root, "TestASlowSubscriberCostsNothing")}, ""},
		{53, "subscriber_never_ahead_of_durable", everyLane, []Tests{in(root, "TestNothingRestsOnWhatIsNotDurable", "TestAFailingLogPoisonsTheStore")}, ""},
		{54, "subscriber_resume_exact", everyLane, []Tests{in(root, "TestASubscriberGoesOnExactlyWhereItWas")}, ""},
	}
}

// inputs are about what callers hand in.
func inputs() []Case {
	return []Case{
		{55, "ctx_cancel_each_stage", moreNightly, []Tests{in(root, "TestACancelledCallIsDoneOpenOrNot", "TestACancelledAppendIsWithdrawnOrOpen", "TestACancelledBackupLeavesNothing", "TestEveryCallWithAnEndedContextReturnsItsError", "TestAppendWithAnEndedContextWritesNothing", "TestCommitUnknownAndRetry", "TestAStallHoldsNoCallerBeyondItsContext", "TestReadsHonourTheirContext")}, ""},
		{56, "cursor_tamper", everyLane, []Tests{
			in("cursor", "TestATokenThatWasChangedIsRefused", "TestATokenIsForOneQueryOfOneTenantOfOneStore", "TestARetiredKeyIsAcceptedUntilItsEnd"),
			in(root, "TestARefusedTokenTellsNothing", "TestATokenIsOfNoUseToAnotherTenant", "TestACursorIsForItsQueryAlone", "TestTheKeysOfCursors"),
		}, ""},
		{57, "fuzz_decoders", moreNightly, []Tests{
			in("cursor", "FuzzOpen"),
			in("codec", "FuzzParseEnvelope", "FuzzParseMetadata", "FuzzMsgpackScan", "FuzzRegistryDecode", "FuzzTranscode", "FuzzDecodeZstd"),
			in("keys", "FuzzParseKey"),
			in(snapshot, "FuzzParse"),
			in("internal/segment", "FuzzOpen"),
			in(engine, "FuzzParseIdentity", "FuzzParseBackup"),
			in(root, "FuzzIndexRecord"),
			in(project, "FuzzDecode"),
			in("projection/decimal", "FuzzParse"),
			in("cmd/eventstream/internal/cloudevents", "FuzzBlocks"),
			in("cmd/eventstream/internal/eventline", "FuzzParse"),
			in("cmd/eventstream/internal/jsonobj", "FuzzParse"),
			in("cmd/eventstream/internal/ledger", "FuzzBlocks"),
			in("cmd/eventstream/internal/xes", "FuzzBlocks"),
		}, ""},
		{58, "decompression_bomb", everyLane, []Tests{in("codec", "TestZstdBombsCostNothing", "TestGiantLengthsAllocateNothing", "TestScanEnforcesItsLimits"), in("internal/segment", "TestAForgedSizeIsRefusedBeforeMemoryIsTaken"), in(snapshot, "TestClaimsAreCheckedBeforeAnythingIsAllocated")}, ""},
		{59, "inputs_extreme", everyLane, []Tests{in(root, "TestNamesAtTheirLimits", "TestSizesAndNumbersAtTheirLimits", "TestReadsBeyondTheEnd", "TestAppendsAtTheirLimitToTheByte", "TestAppendLimits", "TestAppendLimitsFollowOptions", "TestAppendRefusesBadArguments"), in("keys", "TestValidateName", "TestVersionsSaturate")}, ""},
		{60, "key_order_property", everyLane, []Tests{in("keys", "TestKeysSortAsTheirTuplesDo", "TestKeysParseIntoTheirTuples", "TestRangesHoldTheirOwnKeysAlone", "TestRangeHoldsExactlyWhatStartsWithThePrefix"), in(project, "TestKeysSortAndComeBack")}, ""},
		{61, "tenant_isolation_adversarial", everyLane, []Tests{in(root, "TestATenantIsAnsweredAsIfItWereAlone", "TestATokenIsOfNoUseToAnotherTenant", "TestTenantsAreApart", "TestATenantWithABadNameFailsEveryCall", "TestTheSameIDInTwoTenantsIsTwoEvents", "TestSnapshotsOfTenantsDoNotMix"), in(project, "TestTenantsHaveTheirOwnViews")}, ""},
	}
}

// process is about the process, the directory, and what goes along with a store.
func process() []Case {
	return []Case{
		{62, "two_processes", everyLane, []Tests{
			in(root, "TestAStoreOfAnotherProcess", "TestAStoreInUseIsRefused", "TestAStoreInMemoryIsLockedToo"),
			in(engine, "TestADirectoryIsLockedOnce", "TestPebblesLockDoesNotHoldThroughALink"),
			in(cmd, "TestAStoreInUse"),
		}, ""},
		{63, "stale_lock_after_kill", everyLane, []Tests{in(root, "TestAStoreOfAnotherProcess"), in(cmd, "TestAKilledImportIsFinishedByAnotherOne"), in(engine, "TestALockIsFreeOnceItIsClosed")}, ""},
		{64, "open_close_10k", moreNightly, []Tests{in(root, "TestOpenAndCloseManyTimes")}, ""},
		{65, "goroutine_leak_all_packages", everyLane, []Tests{in("internal/lint", "TestEveryPackageLooksForLeakedGoroutines"), in("estest", "TestAGoroutineLeftInTheStoreFailsTheTest")}, ""},
		{66, "close_races", moreNightly, []Tests{in(root, "TestCloseWhileEverythingIsCalled", "TestEveryCallAfterCloseIsErrClosed", "TestFollowEndsWithTheStore", "TestCloseIsBoundedIfTheDiskNeverAnswers"), in(project, "TestCloseWhileAnEngineDoesEverything", "TestAPausedProjectionEndsWithTheStore", "TestRunEndsWithTheStore")}, ""},
		{67, "downgrade_unknown_format", everyLane, []Tests{in(root, "TestOpenRefusesAndWritesNothing", "TestOpenNamesTheFormats", "TestADatabaseOfANewerPebbleIsRefusedByName"), in(engine, "TestLookBeforeKeepsOutOfANewerFormat")}, ""},
		{68, "upgrade_corpus", everyLane, []Tests{in(root, "TestAStoreOfFormat1Opens")}, ""},
		{69, "backup_restore_under_load", moreNightly, []Tests{in(root, "TestBackupsUnderLoadAreWhole", "TestACrashDuringABackupLeavesNoneOrAWholeOne", "TestRestoreRefusesABackupThatIsNotWhole", "TestTheKeysOfCursors")}, ""},
		{70, "crypto_shred", everyLane, nil, "payloads are not encrypted yet: there is no key to shred"},
		{71, "tamper_chain", everyLane, []Tests{in(root, "TestTamperedHistoryIsFound", "TestAStoreThatIsPutBackIsFoundByAnAnchorAlone", "TestEventsThatAreNotThoseThatWereSealed")}, ""},
		{72, "admin_http_hardening", everyLane, nil, "there is no server yet"},
	}
}
