// Package directory is a projection that keeps, for each stream, what a list of streams
// shows: how many events it has, where they begin and end, and the times of them.
package directory
