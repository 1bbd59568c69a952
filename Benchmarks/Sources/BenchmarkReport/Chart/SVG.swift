// Draws a chart as an SVG document that follows the reader's light or dark mode.

package struct SVG: CustomStringConvertible {
    private static let width = 760.0
    private static let height = 420.0
    /// What the lines may fill. The legend is at its right, titles are above and below.
    private static let plot = (left: 64.0, right: 610.0, top: 48.0, bottom: 366.0)

    private static let style = """
        text { font: 13px system-ui, sans-serif; fill: #3d444d }
        .title { font-size: 15px; font-weight: 600; fill: #1f2328 }
        .grid { stroke: #d1d9e0; stroke-width: 1 }
        .line { fill: none; stroke-width: 2.5; stroke-linejoin: round }
        .range { stroke-width: 1.5 }
        .c0 { --c: #6e7781 } .c1 { --c: #1a7f5a } .c2 { --c: #0969da }
        .c3 { --c: #c4510a } .c4 { --c: #8250df } .c5 { --c: #bf3989 }
        .c0, .c1, .c2, .c3, .c4, .c5 { stroke: var(--c) }
        .dot { fill: var(--c); stroke: none }
        @media (prefers-color-scheme: dark) {
            text { fill: #b7bdc8 } .title { fill: #f0f6fc } .grid { stroke: #3d444d }
            .c0 { --c: #9198a1 } .c1 { --c: #3fb98c } .c2 { --c: #4493f8 }
            .c3 { --c: #f0883e } .c4 { --c: #ab7df8 } .c5 { --c: #f778ba }
        }
        """

    package private(set) var description: String

    package init(_ chart: Chart) {
        description = """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(Self.width.short) \(Self.height.short)" role="img">
            <title>\(Self.escape(chart.title))</title>
            <style>
            \(Self.style)
            </style>

            """
        text(chart.title, Self.plot.left, 26, "class=\"title\"")
        text(chart.yTitle, Self.plot.left - 8, Self.plot.top - 10, "text-anchor=\"end\"")
        text(chart.xTitle, (Self.plot.left + Self.plot.right) / 2, Self.height - 12, "text-anchor=\"middle\"")
        for tick in chart.x.ticks {
            guard let x = Self.x(tick, chart) else { continue }
            line(x, Self.plot.top, x, Self.plot.bottom, "class=\"grid\"")
            text(tick.figure, x, Self.plot.bottom + 20, "text-anchor=\"middle\"")
        }
        for tick in chart.y.ticks {
            guard let y = Self.y(tick, chart) else { continue }
            line(Self.plot.left, y, Self.plot.right, y, "class=\"grid\"")
            text(tick.figure, Self.plot.left - 8, y + 4, "text-anchor=\"end\"")
        }
        for (index, series) in chart.series.enumerated() { draw(series, at: index, in: chart) }
        description += "</svg>\n"
    }

    private static func x(_ value: Double, _ chart: Chart) -> Double? {
        chart.x.position(value).map { plot.left + $0 * (plot.right - plot.left) }
    }

    private static func y(_ value: Double, _ chart: Chart) -> Double? {
        chart.y.position(value).map { plot.bottom - $0 * (plot.bottom - plot.top) }
    }

    private mutating func draw(_ series: Chart.Series, at index: Int, in chart: Chart) {
        let colour = "c\(series.colour % 6)"
        var corners: [String] = []
        for point in series.points {
            guard let x = Self.x(point.x, chart), let y = Self.y(point.y.median, chart) else { continue }
            corners.append("\(x.short),\(y.short)")
            if let low = Self.y(point.y.minimum, chart), let high = Self.y(point.y.maximum, chart) {
                line(x, low, x, high, "class=\"range \(colour)\"")
            }
            let label = "\(series.name): \(point.y.median.figure) (\(point.y.minimum.figure)–\(point.y.maximum.figure))"
            description +=
                "<circle cx=\"\(x.short)\" cy=\"\(y.short)\" r=\"4\" class=\"dot \(colour)\">"
                + "<title>\(Self.escape(label))</title></circle>\n"
        }
        description += "<polyline points=\"\(corners.joined(separator: " "))\" class=\"line \(colour)\"/>\n"
        let legend = (x: Self.plot.right + 20, y: Self.plot.top + 10 + 24 * Double(index))
        line(legend.x, legend.y, legend.x + 22, legend.y, "class=\"line \(colour)\"")
        text(series.name, legend.x + 30, legend.y + 4)
    }

    private mutating func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, _ attributes: String) {
        description +=
            "<line x1=\"\(x1.short)\" y1=\"\(y1.short)\" x2=\"\(x2.short)\" y2=\"\(y2.short)\" \(attributes)/>\n"
    }

    private mutating func text(_ text: String, _ x: Double, _ y: Double, _ attributes: String = "") {
        description += "<text x=\"\(x.short)\" y=\"\(y.short)\" \(attributes)>\(Self.escape(text))</text>\n"
    }

    private static func escape(_ text: String) -> String {
        text.reduce(into: "") { result, character in
            switch character {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            default: result.append(character)
            }
        }
    }
}

extension Double {
    /// As coordinates are written: to a tenth.
    fileprivate var short: String {
        let tenths = (self * 10).rounded() / 10
        return tenths == tenths.rounded() ? "\(Int(tenths))" : "\(tenths)"
    }
}
