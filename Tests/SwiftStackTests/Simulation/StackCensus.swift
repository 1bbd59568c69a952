// What a stack holds: how many there are of everything that it keeps.

import NetstackCore

/// The number of elements of each collection in a stack, its TCP and its NICs, and what they count.
///
/// By reflection: so nothing that is kept is missed, whatever is added, and nothing is made visible for this alone.
struct StackCensus: Equatable, CustomStringConvertible {
    private(set) var counts: [String: Int] = [:]
    private var seen: Set<ObjectIdentifier> = []

    init(_ stack: StackCore) {
        add(stack, at: "stack")
        counts = counts.filter { $0.value != 0 }
    }

    static func == (one: StackCensus, other: StackCensus) -> Bool { one.counts == other.counts }

    /// All of it together.
    var total: Int { counts.values.reduce(0, +) }

    var description: String {
        counts.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
    }

    /// What only grows, or does not change.
    private static func isOther(_ value: Any) -> Bool {
        value is NICStatistics || value is Reassembler.Counters || value is Stack.Limits || value is Bound
    }

    private mutating func add(_ value: Any, at path: String) {
        let mirror = Mirror(reflecting: value)
        switch mirror.displayStyle {
        case .collection, .set, .dictionary:
            counts[path, default: 0] += mirror.children.count
            for child in mirror.children { add(child.value, at: path + "[]") }
        case .class:
            guard value is StackCore || value is any TCPEngine || value is NetworkInterface,
                seen.insert(ObjectIdentifier(value as AnyObject)).inserted
            else { return }
            addChildren(of: mirror, at: path)
        case .struct where !Self.isOther(value):
            addChildren(of: mirror, at: path)
        case .optional, .tuple: addChildren(of: mirror, at: path)
        default: break
        }
    }

    private mutating func addChildren(of mirror: Mirror, at path: String) {
        for child in mirror.children {
            let label = child.label ?? ""
            if let count = child.value as? Int {
                if label == "total" || label.lowercased().hasSuffix("count") {
                    counts["\(path).\(label)", default: 0] += count
                }
            } else {
                add(child.value, at: "\(path).\(label)")
            }
        }
    }
}
