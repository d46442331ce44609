//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package eventstream_test

import "syscall"

// leaveNoDescriptors makes the system refuse this process any other file descriptor, until
// restore is called.
func leaveNoDescriptors() (restore func() error, err error) {
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		return nil, err
	}
	none := was
	none.Cur = 3
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		return nil, err
	}
	return func() error { return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was) }, nil
}
