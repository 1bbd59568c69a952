// Where the programs are that measure.

import BenchmarkReport
import BenchmarkSubjects
import FoundationEssentials

enum Programs {
    /// What this program runs as, links followed.
    private static let executable =
        (try? FileManager.default.destinationOfSymbolicLink(atPath: ChildProcess.itself)) ?? ""

    /// The package that this program was built in.
    static let packageFolder = executable.firstRange(of: "/.build/").map { String(executable[..<$0.lowerBound]) } ?? "."

    /// The arguments that a measurement by this program begins with; nil if there is no such program.
    static func command(_ program: Program) -> [String]? {
        let beside = URL(filePath: executable).deletingLastPathComponent().path()
        let path =
            switch program {
            case .vniBench: executable
            case .cLoop, .cLoopStock: beside + program.rawValue
            case .gvisorPeer: packageFolder + "/Peers/.build/" + program.rawValue
            }
        guard FileManager.default.isExecutableFile(atPath: path) else { return nil }
        return program == .vniBench ? [path, "measure"] : [path]
    }
}
