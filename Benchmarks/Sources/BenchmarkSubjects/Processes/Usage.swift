// What processes have used of the machine.

import Glibc

/// This process, and a second one where the subject has two.
struct Usage: Sendable {
    private let second: pid_t?

    init(with second: pid_t? = nil) { self.second = second }

    /// User and system time so far.
    var cpuSeconds: Double {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        let own = [usage.ru_utime, usage.ru_stime].reduce(0) { $0 + Double($1.tv_sec) + Double($1.tv_usec) / 1e6 }
        // Fields 14 and 15, counted after the name in parentheses, are in ticks (proc(5)).
        let text = second.flatMap { contents(of: "/proc/\($0)/stat") }
        let fields = text?.split(separator: ")").last?.split(separator: " ") ?? []
        let ticks = fields.count > 12 ? (Double(fields[11]) ?? 0) + (Double(fields[12]) ?? 0) : 0
        return own + ticks / Double(sysconf(CInt(_SC_CLK_TCK)))
    }

    /// The most resident memory there has been, in bytes. (`getrusage` counts from what the process that started this one
    /// had.)
    var peakResident: Double {
        Self.peakResident(of: "self") + (second.map { Self.peakResident(of: "\($0)") } ?? 0)
    }

    private static func peakResident(of process: String) -> Double {
        let lines = contents(of: "/proc/\(process)/status")?.split(separator: "\n") ?? []
        let peak = lines.first { $0.hasPrefix("VmHWM:") }?.split { !$0.isNumber }.first
        return (peak.flatMap { Double($0) } ?? 0) * 1024
    }

    /// The resident memory of this process, in bytes.
    static var resident: Double {
        let pages = contents(of: "/proc/self/statm")?.split(separator: " ").dropFirst().first
        return (pages.flatMap { Double($0) } ?? 0) * Double(sysconf(CInt(_SC_PAGESIZE)))
    }
}

/// A small file of the system's; nil if it can't be read.
private func contents(of path: String) -> String? {
    guard let file = fopen(path, "r") else { return nil }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 14)
    let count = fread(&bytes, 1, bytes.count, file)
    return String(decoding: bytes.prefix(count), as: UTF8.self)
}
