// What servers send that is not a response, or not all of one.

enum BadResponse {
    static let notHTTP = [
        "SSH-2.0-OpenSSH_9.2\r\n", "HTTP/2.0 200 OK\r\n\r\n", "HTTP/1.1 abc\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: \(String(repeating: "x", count: 100_000))\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\(String(repeating: "X: y\r\n", count: 300))\r\n",
    ]

    static let cutShort = [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhello",
    ]

    static let badlyChunked = [
        "x\r\nhello\r\n", "-1\r\nhello\r\n", "fffffffffffffffff\r\nhello\r\n", "5\r\nhelloX\r\n0\r\n\r\n",
        "\r\n\r\n",
    ].map { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\($0)" }

    /// Everything, and nothing at all.
    static let all = notHTTP + cutShort + badlyChunked + ["", "HTTP/1.1 200 OK\r\nContent-Le"]
}
