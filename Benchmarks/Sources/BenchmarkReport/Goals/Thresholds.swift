// What a change must not undo: comparisons read from a file, with slack for the noise of a short run.

import FoundationEssentials

package enum Thresholds {
    /// - Throws: what reading the file or decoding it throws.
    package static func read(_ path: String) throws -> [Comparison] {
        try JSONDecoder().decode([Comparison].self, from: Data(contentsOf: URL(filePath: path)))
    }
}
