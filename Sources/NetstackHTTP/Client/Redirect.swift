// Which request follows a response that redirects (RFC 9110 section 15.4).

import HTTPTypes

/// The request a redirect leads to.
struct Redirect {
    let request: HTTPRequest
    let body: HTTPBody?
    let url: HTTPURL

    /// Nil if the response is no redirect, asks for a body again that can't be sent twice, or leads from https to http.
    ///
    /// - Throws: `HTTPClientError.invalidURL` if the response leads nowhere.
    init?(
        of request: HTTPRequest, _ body: HTTPBody?, at url: HTTPURL, answeredBy response: HTTPClientResponse
    ) throws(HTTPClientError) {
        guard let location = response.headerFields[.location] else { return nil }
        let becomesGet: Bool
        switch response.status.code {
        // Browsers have always made a GET of a redirected POST.
        case 301, 302: becomesGet = request.method == .post
        case 303: becomesGet = request.method != .head
        case 307, 308: becomesGet = false
        default: return nil
        }
        guard becomesGet || body?.isReplayable ?? true else { return nil }
        let target = try url.resolving(location)
        guard url.origin.scheme == .http || target.origin.scheme == .https else { return nil }
        var fields = request.headerFields
        if becomesGet {
            for name in [.contentType, .contentEncoding, .contentLanguage, .contentLocation] as [HTTPField.Name] {
                fields[name] = nil
            }
        }
        if target.origin != url.origin {
            for name in [.authorization, .cookie, .proxyAuthorization] as [HTTPField.Name] { fields[name] = nil }
        }
        self.request = HTTPRequest(becomesGet ? .get : request.method, target, fields)
        self.body = becomesGet ? nil : body
        self.url = target
    }
}
