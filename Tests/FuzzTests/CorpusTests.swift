// What the fuzzer has found once, and what led it on, again and without it.

import Foundation
import FuzzTargets
import NIOCore
import Netstack
import Testing

@Suite struct CorpusTests {
    @Test(arguments: FuzzTarget.allCases)
    func everyInputOfTheCorpusKeepsThePromises(_ target: FuzzTarget) async throws {
        let directory = URL(filePath: #filePath).appending(path: "../../../Fuzz/Corpus/\(target.rawValue)").standardized
            .resolvingSymlinksInPath()
        let inputs = try FileManager.default.contentsOfDirectory(at: directory, includingPropertiesForKeys: nil)
        #expect(!inputs.isEmpty)
        for input in inputs {
            let bytes = try Array(Data(contentsOf: input))
            // Where all other stacks are: lwIP lets in one thread at a time, and two would only wait for each other.
            await #expect(throws: Never.self, "\(input.lastPathComponent)") {
                try await Stack.defaultEventLoop.submit { try target.run(bytes) }.get()
            }
        }
    }
}
