// What encryption costs by itself: the bound of every link that is encrypted with it.

import BenchmarkReport
import Crypto
import Foundation

/// Encrypts and decrypts, on this thread, messages as long as those that Noise makes of bulk data.
func encryptionAlone(_ cell: Cell, seconds: Double) throws -> Reading {
    guard cell.workload == .bulk, cell[.flows] == 1 else { return .unsupported("it has no connections") }
    let plaintext = Data(repeating: 0x5a, count: 65_519)
    let key = SymmetricKey(size: .bits256)
    let usage = Usage()
    var (nonce, bytes) = (UInt64(0), 0)
    func work(for seconds: Double) throws {
        let end = Nanoseconds.now + seconds.nanoseconds
        while Nanoseconds.now < end {
            nonce += 1
            let number = withUnsafeBytes(of: (UInt32(0), nonce.littleEndian)) { Data($0.suffix(12)) }
            let box = try ChaChaPoly.seal(plaintext, using: key, nonce: .init(data: number))
            bytes += try ChaChaPoly.open(box, using: key).count
        }
    }
    try work(for: seconds / 4)
    let (start, cpu) = (Nanoseconds.now, usage.cpuSeconds)
    bytes = 0
    try work(for: seconds)
    let rate = Double(bytes) / Double(Nanoseconds.now - start)
    return .metrics([
        .gigabitsPerSecond: rate * 8, .cpuSecondsPerGigabyte: (usage.cpuSeconds - cpu) / (Double(bytes) / 1e9),
        .peakMemory: usage.peakResident / 1e6,
    ])
}
