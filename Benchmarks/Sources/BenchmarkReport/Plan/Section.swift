// A part of the plan, and of the report: cells that belong into one table.

package struct Section: Sendable {
    package let title: String
    package let workload: Workload
    package let subjects: [Subject]
    package let directions: [Direction]
    /// What differs between the columns.
    package let parameter: Parameter
    package let values: [Int]
    /// What does not.
    private let others: [Parameter: Int]

    package init(
        _ title: String, _ workload: Workload, _ directions: [Direction] = [.down], by parameter: Parameter,
        _ values: [Int], _ subjects: [Subject], with others: [Parameter: Int] = [:]
    ) {
        self.title = title
        self.workload = workload
        self.directions = directions
        self.parameter = parameter
        self.values = values
        self.subjects = subjects
        self.others = others
    }

    /// The rows of the table, as the first cell of each.
    package var rows: [Cell] {
        directions.flatMap { direction in
            subjects.map { Cell($0, workload, direction, others).with(parameter, values[0]) }
        }
    }

    /// All cells, those to be compared next to each other.
    package var cells: [Cell] {
        directions.flatMap { direction in
            values.flatMap { value in subjects.map { Cell($0, workload, direction, others).with(parameter, value) } }
        }
    }
}
