// A Markdown table.

struct Table: CustomStringConvertible {
    private let header: [String]
    private var rows: [[String]] = []

    init(_ header: [String]) { self.header = header }

    mutating func add(_ row: [String]) { rows.append(row) }

    /// Columns are padded, so that it can be read as it is.
    var description: String {
        let rows = ([header] + rows).map { $0.map { String($0.map { $0 == "|" ? "/" : $0 }) } }
        let widths = header.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        func text(_ row: [String]) -> String {
            let cells = zip(row, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }
            return "| " + cells.joined(separator: " | ") + " |\n"
        }
        let rule = "|" + widths.map { String(repeating: "-", count: $0 + 2) + "|" }.joined() + "\n"
        return text(rows[0]) + rule + rows.dropFirst().map(text).joined()
    }
}
