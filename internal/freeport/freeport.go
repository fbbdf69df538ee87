// Package freeport finds TCP ports for programs that are about to start.
package freeport

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// Ports are taken from below those that systems give to connections and to
// listeners on port 0 (from 32768 on Linux, 49152 elsewhere): a port that is
// free now is then not likely to be taken by chance before the program that it
// is for listens on it.
const lowest, highest = 20000, 32767

var (
	mu    sync.Mutex
	given = map[int]bool{}
)

// Get returns a port on which nobody listens at the loopback addresses and
// which this process was not given before.
func Get() (int, error) {
	mu.Lock()
	defer mu.Unlock()
	for range 1000 {
		port := lowest + rand.IntN(highest-lowest+1)
		if !given[port] && free(port) {
			given[port] = true
			return port, nil
		}
	}
	return 0, errors.New("no free TCP port from " + strconv.Itoa(lowest) + " to " + strconv.Itoa(highest))
}

func free(port int) bool {
	for _, host := range []string{"127.0.0.1", "localhost"} {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			return false
		}
		_ = l.Close() // nothing was accepted
	}
	return true
}
