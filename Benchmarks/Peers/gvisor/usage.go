// What the system says of this process.

package main

import (
	"fmt"
	"log"
	"os"
	"strings"
	"syscall"
	"time"
)

func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		log.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// peakResident is in bytes. Rusage's figure begins with that of the process which has started this one.
func peakResident() float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		log.Fatal(err)
	}
	var kilobytes float64
	for _, line := range strings.Split(string(status), "\n") {
		if _, err := fmt.Sscanf(line, "VmHWM: %f", &kilobytes); err == nil {
			break
		}
	}
	return kilobytes * 1024
}

// resident is in bytes.
func resident() float64 {
	var size, pages int64
	file, err := os.ReadFile("/proc/self/statm")
	if err == nil {
		_, err = fmt.Sscan(string(file), &size, &pages)
	}
	if err != nil {
		log.Fatal(err)
	}
	return float64(pages) * float64(os.Getpagesize())
}
