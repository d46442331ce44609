// Package cloudevents writes and reads events in the JSON format of CloudEvents 1.0
// (https://github.com/cloudevents/spec, JSON event format): batches, which are arrays, and
// events one after the other.
//
// What CloudEvents has no attribute for is in extension attributes, whose names are
// lower-case letters and digits: an event that comes back from them is the same event.
// Numbers that may need more than 32 bits are texts, as the specification's integers do
// not hold them.
package cloudevents
