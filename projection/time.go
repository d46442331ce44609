package projection

import "time"

// Time is a moment in a record of a view: nanoseconds since 1970, UTC.
type Time int64

// TimeOf returns t as it stands in records. It must lie between 1678 and 2262, as the
// times of events do.
func TimeOf(t time.Time) Time { return Time(t.UnixNano()) }

// Time returns the moment, in UTC.
func (t Time) Time() time.Time { return time.Unix(0, int64(t)).UTC() }
