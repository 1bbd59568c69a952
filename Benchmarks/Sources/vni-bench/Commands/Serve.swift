// `vni-bench serve`: the kernel's server by itself, for measurements by hand.

import ArgumentParser
import BenchmarkSubjects
import Glibc

struct Serve: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Serves measurements on this machine's loopback, until standard input ends.")

    func run() throws {
        raiseDescriptorLimit()
        print(try KernelServer.start())
        fflush(nil)
        while Swift.readLine() != nil {}
    }
}
