// The command line of `vni-bench`.

import ArgumentParser

@main
struct VNIBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "vni-bench",
        abstract: "Measures userspace stacks and tunnels beside the kernel, a C loop and gVisor.",
        subcommands: [Run.self, Check.self, Measure.self, Serve.self, Exit.self])
}
