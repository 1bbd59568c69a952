// Numbers as people read them.

extension Double {
    /// Three digits that count, or all of those before the point, in groups of three.
    package var figure: String {
        guard isFinite else { return "–" }
        let size = magnitude
        guard size >= 0.0005 else { return "0" }
        let places = size >= 99.95 ? 0 : size >= 9.995 ? 1 : size >= 0.9995 ? 2 : 3
        var scale = 1.0
        for _ in 0..<places { scale *= 10 }
        let scaled = (size * scale).rounded()
        guard scaled < 1e15 else { return "\(self)" }
        let (whole, part) = Int(scaled).quotientAndRemainder(dividingBy: Int(scale))
        var text = whole.grouped
        if part > 0 {
            let digits = String(part)
            text += "." + String(repeating: "0", count: places - digits.count) + digits
            while text.last == "0" { text.removeLast() }
        }
        return (self < 0 ? "−" : "") + text
    }
}

extension Int {
    fileprivate var grouped: String {
        var digits = String(self)
        var index = digits.count - 3
        while index > 0 {
            digits.insert(",", at: digits.index(digits.startIndex, offsetBy: index))
            index -= 3
        }
        return digits
    }
}
