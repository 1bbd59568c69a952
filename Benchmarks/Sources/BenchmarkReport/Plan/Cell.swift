// One thing to measure: a subject, a workload, and its parameters.

/// A cell of the report's tables. Each of its measurements is a process of its own.
package struct Cell: Hashable, Sendable {
    package let subject: Subject
    package let workload: Workload
    package let direction: Direction
    /// Those that are not at their default: so that cells are equal when they mean the same.
    private var parameters: [Parameter: Int]

    package init(
        _ subject: Subject, _ workload: Workload, _ direction: Direction = .down, _ parameters: [Parameter: Int] = [:]
    ) {
        self.subject = subject
        self.workload = workload
        self.direction = direction
        self.parameters = [:]
        for (parameter, value) in parameters { self[parameter] = value }
    }

    package subscript(parameter: Parameter) -> Int {
        get { parameters[parameter] ?? parameter.defaultValue }
        set {
            let isFixed = Subject.withoutMTU.contains(subject) && parameter == .mtu
            parameters[parameter] = isFixed || newValue == parameter.defaultValue ? nil : newValue
        }
    }

    package func with(_ parameter: Parameter, _ value: Int) -> Cell {
        var cell = self
        cell[parameter] = value
        return cell
    }

    package func with(_ subject: Subject) -> Cell { Cell(subject, workload, direction, parameters) }

    /// How long to measure, in seconds: it takes round trips to fill a long way.
    package func duration(atLeast seconds: Double) -> Double { max(seconds, 0.04 * Double(self[.roundTrip])) }

    /// The flags that make a program measure this cell.
    package func arguments(seconds: Double) -> [String] {
        var arguments = ["--subject", subject.rawValue, "--workload", workload.rawValue]
        if workload == .bulk { arguments += ["--direction", direction.rawValue] }
        for parameter in Parameter.allCases {
            if let value = parameters[parameter] { arguments += ["--\(parameter.rawValue)", "\(value)"] }
        }
        return arguments + ["--seconds", "\(duration(atLeast: seconds))"]
    }
}

extension Cell: CustomStringConvertible {
    package var description: String { "\(subject.rawValue) \(setting)" }

    /// All but the subject.
    package var setting: String {
        let way = workload == .bulk ? " \(direction.rawValue)" : ""
        let values = Parameter.allCases.compactMap { parameter in parameters[parameter].map(parameter.label) }
        return ([workload.rawValue + way] + values).joined(separator: ", ")
    }
}

extension Cell: Codable {
    private struct Key: CodingKey {
        static let subject = Key("subject")
        static let workload = Key("workload")
        static let direction = Key("direction")

        let stringValue: String
        var intValue: Int? { nil }

        init(_ text: String) { stringValue = text }
        init?(stringValue: String) { self.init(stringValue) }
        init?(intValue: Int) { nil }
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        var parameters: [Parameter: Int] = [:]
        for key in container.allKeys
        where ![Key.subject, .workload, .direction].contains(where: { $0.stringValue == key.stringValue }) {
            guard let parameter = Parameter(rawValue: key.stringValue) else {
                throw DecodingError.dataCorruptedError(
                    forKey: key, in: container, debugDescription: "no workload has this parameter")
            }
            parameters[parameter] = try container.decode(Int.self, forKey: key)
        }
        self.init(
            try container.decode(Subject.self, forKey: .subject),
            try container.decode(Workload.self, forKey: .workload),
            try container.decodeIfPresent(Direction.self, forKey: .direction) ?? .down, parameters)
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(subject, forKey: .subject)
        try container.encode(workload, forKey: .workload)
        if workload == .bulk { try container.encode(direction, forKey: .direction) }
        for (parameter, value) in parameters { try container.encode(value, forKey: Key(parameter.rawValue)) }
    }
}
