// Package index is the format of indexes behind the log, and how they are read.
//
// An index leads from a term, as an event type, to the positions of the events that have
// it. It is built from the log in batches, in order, each with a checkpoint in the same
// commit: what lies at or below the checkpoint is all there. The positions that one batch
// adds to a term are one record, under the first of them: most terms recur, and a record
// for each would cost the appends what it costs here.
package index
