// The machine of a run. Its figures mean nothing beside those of another.

import FoundationEssentials
import Glibc

package struct Machine: Sendable, Codable, CustomStringConvertible {
    package let processor: String
    package let cores: Int
    package let kernel: String

    package static var current: Machine {
        var names = utsname()
        uname(&names)
        let release = withUnsafeBytes(of: names.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        let lines = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8))?.split(separator: "\n") ?? []
        let model = lines.first { $0.hasPrefix("model name") }?.split(separator: ": ", maxSplits: 1).last
        return Machine(
            processor: model.map(String.init) ?? "unknown processor", cores: sysconf(CInt(_SC_NPROCESSORS_ONLN)),
            kernel: "Linux \(release)")
    }

    package var description: String { "\(processor), \(cores) cores, \(kernel)" }
}
