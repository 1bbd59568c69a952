// What the fuzzer has found once, and what led it on, again and without it.

import Foundation
import FuzzTargets
import Testing

@Suite struct CorpusTests {
    @Test(arguments: FuzzTarget.allCases)
    func everyInputOfTheCorpusKeepsThePromises(_ target: FuzzTarget) throws {
        let directory = URL(filePath: #filePath).appending(path: "../../../Fuzz/Corpus/\(target.rawValue)").standardized
        let inputs = try FileManager.default.contentsOfDirectory(at: directory, includingPropertiesForKeys: nil)
        #expect(!inputs.isEmpty)
        for input in inputs {
            #expect(throws: Never.self, "\(input.lastPathComponent)") { try target.run(Array(Data(contentsOf: input))) }
        }
    }
}
