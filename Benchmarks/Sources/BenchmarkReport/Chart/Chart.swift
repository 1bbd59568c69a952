// A line chart: what it shows, apart from how it is drawn.

package struct Chart: Sendable {
    package struct Point: Sendable {
        package let x: Double
        package let y: Summary
    }

    package struct Series: Sendable {
        package let name: String
        /// Which of the chart's colours it has: the same in all charts.
        package let colour: Int
        package let points: [Point]
    }

    package let title: String
    package let xTitle: String
    package let yTitle: String
    package let x: Axis
    package let y: Axis
    /// In the order of their last points, the highest first, as lines end at the right.
    package let series: [Series]

    package init(title: String, xTitle: String, yTitle: String, yScale: Axis.Scale, series: [Series]) {
        self.title = title
        self.xTitle = xTitle
        self.yTitle = yTitle
        x = Axis(marking: Array(Set(series.flatMap(\.points).map(\.x))))
        y = Axis(yScale, holding: series.flatMap(\.points).flatMap { [$0.y.minimum, $0.y.maximum] })
        self.series = series.sorted { ($0.points.last?.y.median ?? 0) > ($1.points.last?.y.median ?? 0) }
    }
}
