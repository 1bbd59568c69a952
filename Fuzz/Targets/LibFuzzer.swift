// The function that libFuzzer calls. `make fuzz` links it with libFuzzer's own main; in a test it is never called.

import Glibc

/// The target that the environment names.
private let target = getenv("FUZZ_TARGET").flatMap { FuzzTarget(rawValue: String(cString: $0)) }

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard let target else { fatalError("FUZZ_TARGET must name one of \(FuzzTarget.allCases.map(\.rawValue))") }
    do {
        try target.run(Array(UnsafeBufferPointer(start: start, count: count)))
    } catch {
        // libFuzzer keeps the inputs that end the process.
        fatalError("\(error)")
    }
    return 0
}
