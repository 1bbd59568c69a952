// What the system says of this process.

package main

import (
	"fmt"
	"log"
	"os"
	"syscall"
	"time"
)

func usage() syscall.Rusage {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		log.Fatal(err)
	}
	return u
}

func processorTime() time.Duration {
	u := usage()
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// peakResident is in bytes.
func peakResident() float64 { return float64(usage().Maxrss) * 1024 }

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
